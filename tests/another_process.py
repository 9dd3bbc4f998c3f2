"""What another process holds while a test looks at it."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def holding(imports: str, context: str) -> Iterator[subprocess.Popen[str]]:
    """A Python process that is in a context until its input is closed, or it is killed at the end.

    Args:
        imports: What it has to import.
        context: The context, as a ``with`` statement names it.
    """
    script = f"import sys\n{imports}\nwith {context}:\n    print('mine', flush=True)\n    sys.stdin.read()\n"
    pipe = subprocess.PIPE
    with subprocess.Popen([sys.executable, "-c", script], stdin=pipe, stdout=pipe, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "mine\n"
        try:
            yield holder
        finally:
            holder.kill()
