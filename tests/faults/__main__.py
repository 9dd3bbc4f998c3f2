"""Everything that can go wrong, on labs side by side: each process does what no other has begun.

Told line by line, with the number of the lab before it. The arguments are pytest's.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.checkout import REPO
from tests.faults.scenarios import SEED

LABS = 2
"""As many as a machine with two processors has the time for: the half of a deploy is waiting."""
FILES = ("test_whole_state.py", "test_power_cuts.py", "test_faults.py")
"""What goes by one another comes first."""


def main(words: list[str], claims: str) -> int:
    """Run all of it.

    Args:
        words: Arguments of pytest's.
        claims: A directory for what each process has begun.

    Returns:
        The exit status: 0 when all was well.
    """
    here = Path(__file__).parent
    command = [sys.executable, "-m", "pytest", "-v", *(str(here / name) for name in FILES), *words]

    def on_a_lab(number: int) -> int:
        own = {"LAB": f"kubev6-faults-test-{number}", "CLAIMS": claims, "SEED": str(SEED)}
        environment = os.environ | {f"KUBEV6_TEST_FAULTS_{name}": value for name, value in own.items()}
        environment["KUBEV6_TEST_FAULTS"] = "all"
        with subprocess.Popen(
            command, cwd=REPO, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        ) as run:
            assert run.stdout is not None
            for line in run.stdout:
                if "SKIPPED" not in line:
                    sys.stdout.write(f"{number}: {line}")
                    sys.stdout.flush()
        return run.returncode

    with ThreadPoolExecutor(LABS) as pool:
        return max(pool.map(on_a_lab, range(1, LABS + 1)))


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as directory:
        sys.exit(main(sys.argv[1:], directory))
