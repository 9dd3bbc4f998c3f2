"""A run's state is its own: what modules keep for the whole process is listed here, each with its reason."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from tests.checkout import REPO

PACKAGES = ("configs", "tasks", "flows", "kubev6")
MAKERS = frozenset(
    (
        *("list", "dict", "set", "bytearray", "deque", "defaultdict", "OrderedDict", "Counter", "ChainMap"),
        *("Lock", "RLock", "Event", "Condition", "Semaphore", "BoundedSemaphore", "Barrier", "Queue", "SimpleQueue"),
        *("ContextVar", "local", "ThreadPoolExecutor", "Threads", "ExitStack", "WeakKeyDictionary", "WeakSet", "count"),
    )
)
"""What is called to make something that changes."""
CHANGERS = frozenset(("add", "append", "clear", "discard", "extend", "insert", "pop", "popitem", "remove", "update"))
"""Methods by which something changes."""
MUTABLE = (ast.List, ast.Dict, ast.Set, ast.ListComp, ast.DictComp, ast.SetComp)
KEEPING = frozenset(("cache", "lru_cache", "cached_property"))
"""Decorators that keep what a function returned."""

PURE = "a cache of a pure value: it comes from files of the program, which do not change while the process lives"
VALUE = "a cache of a pure value: its argument is frozen, and few are kept"
DEFAULT = "what a pydantic model has where nothing is given; pydantic makes a copy for each"
ALLOWED: dict[str, str] = {
    "configs.plan.derived.Derived._values()": "what a frozen value holds, as its templates take it; it goes with it",
    "configs.render._environment()": PURE,
    "configs.plan.routes._to_pods()": VALUE,
    "configs.plan.stages.network._hosts()": VALUE,
    "configs.plan.systems.System.lacking": DEFAULT,
    "configs.plan.systems.System.repositories": DEFAULT,
    "configs.plan.systems.systems()": PURE,
    "tasks.kubernetes.e2e._Answer.tests": DEFAULT,
    "configs.schema.reading._keys_of()": "a cache of a pure value: what keys a class has",
    "configs.plan.versions.parse_version()": "a cache of a pure value: what a short text says",
    "flows.run.notify._of_the_run": "the secrets of the caller's run, for the hooks that Prefect calls after its end",
    "flows.run.record.ReleaseOfRun.stand_ins": DEFAULT,
    "flows.run.task._failed_attempts": "what one task run came to before it is tried again, where its flow is not",
    "kubev6.report.page._environment()": PURE,
    "kubev6.server.orchestration._import_flows()": "what is imported is so once for a process; nothing else is kept",
    "tasks.node_agent.record: global HOME": "a program on a node does one thing at a time, with one record",
    "tasks.scope._held": "holds each run's own parts apart: by it a run finds its context",
    "tasks.ssh.command_log.hear_local_commands()": "an audit hook of the interpreter, which can be set once for good",
    "tasks.ssh.connection._JUMPS_AT_ONCE": "what a jump host bears counts for all runs of the process together",
    "tasks.ssh.ssh_config._options()": "a cache of a pure value: what a text of ssh_config(5) says",
    "tasks.ssh.ssh_config._parsed()": "the same",
    "tasks.ssh.ssh_config._passed_over()": "says a warning once for a process; nothing is told by it otherwise",
    "tasks.ssh.program._parsing": "the parser of Python itself is not safe in several threads; nothing is kept by it",
    "tasks.ssh.program._parsed()": PURE,
    "tasks.ssh.program.program()": PURE,
    "tasks.ssh.program.source_of()": PURE,
}


def found_in(source: str, module: str) -> set[str]:
    """The names that hold what may change, in a module's own scope and in the bodies of its classes."""
    tree = ast.parse(source)
    found = {
        f"{module}: global {name}" for each in ast.walk(tree) if isinstance(each, ast.Global) for name in each.names
    }
    bodies: list[tuple[str, list[ast.stmt]]] = [(module, tree.body)]
    while bodies:
        where, body = bodies.pop()
        for statement in body:
            match statement:
                case ast.ClassDef():
                    bodies.append((f"{where}.{statement.name}", statement.body))
                case ast.If() | ast.Try() | ast.With() | ast.For() | ast.While():
                    inner = [each for each in ast.iter_child_nodes(statement) if isinstance(each, ast.stmt)]
                    inner += [each for handler in getattr(statement, "handlers", ()) for each in handler.body]
                    bodies.append((where, inner))
                case ast.FunctionDef():
                    if any(_called(each) in KEEPING for each in statement.decorator_list):
                        found.add(f"{where}.{statement.name}()")
                case ast.Assign() | ast.AnnAssign() if statement.value is not None and _changes(statement.value):
                    targets = statement.targets if isinstance(statement, ast.Assign) else [statement.target]
                    names = {ast.unparse(target) for target in targets}
                    if not (isinstance(statement.value, MUTABLE) and all(_is_constant(name, tree) for name in names)):
                        found |= {f"{where}.{name}" for name in names}
    return found


def _is_constant(name: str, tree: ast.Module) -> bool:
    """Whether a table is a named constant: written in capitals, and changed by nothing in its module."""
    for each in ast.walk(tree):
        changed = each.func if isinstance(each, ast.Call) else each
        if isinstance(changed, ast.Attribute) and changed.attr in CHANGERS and ast.unparse(changed.value) == name:
            return False
        if (
            isinstance(each, ast.Subscript)
            and isinstance(each.ctx, ast.Store | ast.Del)
            and ast.unparse(each.value) == name
        ):
            return False
    return name.isupper() or name == "__all__"


def _changes(value: ast.expr) -> bool:
    """Whether a value may change, or one that it is chosen from or grouped with."""
    if isinstance(value, ast.Tuple | ast.BoolOp | ast.IfExp | ast.NamedExpr):
        return any(_changes(each) for each in ast.iter_child_nodes(value) if isinstance(each, ast.expr))
    return isinstance(value, MUTABLE) or (isinstance(value, ast.Call) and _called(value) in MAKERS)


def _called(value: ast.expr) -> str:
    function = value.func if isinstance(value, ast.Call) else value
    function = function.value if isinstance(function, ast.Subscript) else function
    return getattr(function, "attr", getattr(function, "id", ""))


def all_found() -> set[str]:
    found: set[str] = set()
    for package in PACKAGES:
        for path in sorted((REPO / package).rglob("*.py")):
            module = ".".join(path.relative_to(REPO).with_suffix("").parts).removesuffix(".__init__")
            found |= found_in(path.read_text(), module)
    return found


def test_no_module_keeps_what_changes_but_with_a_reason() -> None:
    assert sorted(all_found() - ALLOWED.keys()) == [], "a run's state hangs on its context (flows/run/context.py)"


def test_every_reason_is_still_needed() -> None:
    assert sorted(ALLOWED.keys() - all_found()) == []
    assert all(ALLOWED.values())


@pytest.mark.parametrize(
    ("source", "seen"),
    [
        ("a = []", {"m.a"}),
        ("a: dict[str, int] = {}", {"m.a"}),
        ("a = b = set()", {"m.a", "m.b"}),
        ("a = threading.Lock()", {"m.a"}),
        ("a = Counter[str]()", {"m.a"}),
        ("a = (1, [])", {"m.a"}),
        ("a = {'b': 1}", {"m.a"}),
        ("if x:\n    a = ContextVar('a')", {"m.a"}),
        ("try:\n    pass\nexcept OSError:\n    a = []", {"m.a"}),
        ("class C:\n    a: list[int] = []", {"m.C.a"}),
        ("def f():\n    global a\n    a = 1", {"m: global a"}),
        ("@functools.cache\ndef f(): ...", {"m.f()"}),
        ("class C:\n    @lru_cache(maxsize=1)\n    def f(self): ...", {"m.C.f()"}),
        ("a = 1\nb = (1, 2)\nc = frozenset({1})\nd = re.compile('x')\ne = MappingProxyType({})", set()),
        ("def f():\n    a = []", set()),
        ("TABLE = {'b': 1}", set()),
        ("TABLE = {'b': 1}\ndef f():\n    TABLE['c'] = 2", {"m.TABLE"}),
        ("KNOWN = []\ndef f():\n    KNOWN.append(1)", {"m.KNOWN"}),
        ("LOCK = threading.Lock()", {"m.LOCK"}),
        ("a: list[int]", set()),
    ],
)
def test_it_would_be_seen(source: str, seen: set[str]) -> None:
    assert found_in(source, "m") == seen


def test_what_is_looked_through_is_there() -> None:
    assert all(any(Path(REPO, package).rglob("*.py")) for package in PACKAGES)
