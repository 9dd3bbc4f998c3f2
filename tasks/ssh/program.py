"""Programs that run on a node, each made of the modules of :mod:`tasks.node_agent` that it needs.

What is sent is one text. It begins by making modules, in memory, of those that the program imports, so that an import
on the node is what it is here and nothing has to be copied there first.
"""

from __future__ import annotations

import ast
import threading
from functools import cache
from pathlib import Path

from tasks import node_agent

DIRECTORY = Path(node_agent.__file__).parent
PACKAGE = f"{node_agent.__name__}."

_LOADER = """\
import sys
def _load(name, source):
    module = sys.modules[name] = type(sys)(name)
    exec(compile(source, name, "exec"), module.__dict__)
"""


_parsing = threading.Lock()


@cache
def program(name: str) -> str:
    """The source of a program, for :meth:`tasks.ssh.connection.Connection.run_python`.

    Args:
        name: The name of its module in :mod:`tasks.node_agent`.

    Returns:
        The text: the modules that it imports from there, each after those that it imports itself, and then itself.
    """
    loads = [f"_load({PACKAGE + each!r}, {source_of(each)!r})\n" for each in modules(name) if each != name]
    return "".join([_LOADER, *loads]) + source_of(name) if loads else source_of(name)


def modules(name: str) -> tuple[str, ...]:
    """The modules that make up a program, each after those that it imports.

    Args:
        name: The name of its module in :mod:`tasks.node_agent`.
    """
    found: dict[str, None] = {}

    def visit(each: str) -> None:
        for node in ast.walk(_parsed(each)[1]):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith(PACKAGE):
                imported = str(node.module).removeprefix(PACKAGE)
                if imported not in found:
                    visit(imported)
        found[each] = None

    visit(name)
    return tuple(found)


@cache
def source_of(name: str) -> str:
    """The source of a module without the annotations of its variables, which Python 3.5 cannot read.

    Args:
        name: The name of the module in :mod:`tasks.node_agent`, with a dot for each package below that.
    """
    text, tree = _parsed(name)
    lines = text.splitlines(keepends=True)
    for node in ast.walk(tree):
        if isinstance(node, ast.AnnAssign) and node.target.lineno == node.annotation.end_lineno:
            line = lines[node.lineno - 1]
            lines[node.lineno - 1] = line[: node.target.end_col_offset] + line[node.annotation.end_col_offset :]
    return "".join(lines)


@cache
def _parsed(name: str) -> tuple[str, ast.Module]:
    """A module's source and its tree, made by one thread at a time: Python 3.11 adds up the recursion of all."""
    text = (DIRECTORY / f"{name.replace('.', '/')}.py").read_text()
    with _parsing:
        return text, ast.parse(text)
