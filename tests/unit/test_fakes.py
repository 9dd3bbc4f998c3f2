"""A fake is refused when what it stands for is gone or has changed, and no test puts one in place by other means."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator

import pytest

from tests.checkout import REPO
from tests.fakes import fake_of, substitute

OWN_STATE = ("os.environ", "sys.stdin", "sys.stderr")
"""What of the interpreter is set as a whole."""


class Original:
    """With something of each kind that is replaced."""

    SECONDS = 10
    NAME = "a"

    def __init__(self) -> None:
        self.node = "kube-worker-1"

    @property
    def is_open(self) -> bool:
        return True

    def run(self, command: str, *, step: str, timeout: float = 60) -> None:
        raise NotImplementedError


@pytest.mark.parametrize(
    ("name", "fake"),
    [
        ("SECONDS", 0.1),
        ("NAME", "b"),
        ("run", lambda *_, **__: None),
        ("run", lambda command, *, step: (command, step)),
        ("run", lambda _, step, **__: step),
        ("run", lambda *, command, step: (command, step)),
        ("run", lambda _, *, step, __=None, **___: step),
        ("run", lambda command, *, step, timeout: (command, step, timeout)),
    ],
)
def test_a_fake_that_is_like_its_original_takes_its_place_until_the_test_ends(name: str, fake: object) -> None:
    owner = Original()
    before = getattr(owner, name)
    with pytest.MonkeyPatch.context() as patch:
        substitute(patch, owner, name, fake)
        assert getattr(owner, name) == fake
    assert getattr(owner, name) == before


@pytest.mark.parametrize(
    ("name", "fake", "said"),
    [
        ("ran", lambda *_: None, r"there is no Original\.ran any more"),
        ("SECONDS", "0.1", r"Original\.SECONDS is int, and its fake str"),
        ("run", None, r"Original\.run is called, and its fake cannot be"),
        ("run", lambda words, **_: words, r"its fake \(words, \*\*_\): words is not there"),
        ("run", lambda _, command, **__: command, "command is not there"),
        ("run", lambda _, *, stage, **__: stage, "stage is not there"),
        ("run", lambda *, step: step, "too many positional arguments"),
        ("run", lambda _: None, "unexpected keyword argument 'step'"),
        ("run", lambda _, __, **___: None, "missing a required argument: '__'"),
    ],
)
def test_a_fake_of_what_is_gone_or_is_otherwise_by_now_fails(name: str, fake: object, said: str) -> None:
    with pytest.MonkeyPatch.context() as patch, pytest.raises(AssertionError, match=said):
        substitute(patch, Original(), name, fake)


def test_a_class_of_fakes_that_is_like_its_original_may_keep_more_of_its_own() -> None:
    @fake_of(Original)
    class Fake:
        node: str
        is_open = False

        def __init__(self) -> None:
            self.asked: list[str] = []

        def run(self, command: str, **_: object) -> None:
            self._keep(command)

        def _keep(self, command: str) -> None:
            self.asked.append(command)

    fake = Fake()
    fake.run("true")
    assert fake.asked == ["true"]


def no_longer_there() -> None:
    @fake_of(Original)
    class Fake:
        def run_python(self) -> None: ...


def no_field_any_more() -> None:
    @fake_of(Original)
    class Fake:
        host: str


def other_parameters() -> None:
    @fake_of(Original)
    class Fake:
        def run(self, words: str, **_: object) -> None: ...


def a_method_by_now() -> None:
    @fake_of(Original)
    class Fake:
        run = True


@pytest.mark.parametrize(
    ("making", "said"),
    [
        (no_longer_there, r"there is no Original\.run_python any more"),
        (no_field_any_more, "Original has no host"),
        (other_parameters, "words is not there"),
        (a_method_by_now, r"Original\.run is called, and its fake cannot be"),
    ],
)
def test_a_class_of_fakes_that_is_not_like_its_original_is_refused(making: Callable[[], None], said: str) -> None:
    with pytest.raises(AssertionError, match=said):
        making()


def unchecked(tree: ast.Module) -> Iterator[ast.AST]:
    """Where a test sets an attribute of something that it has imported from elsewhere."""
    imports = [each for each in ast.walk(tree) if isinstance(each, ast.Import | ast.ImportFrom)]
    imported = {
        (name.asname or name.name).partition(".")[0]
        for each in imports
        if not (getattr(each, "module", "") or "").startswith("tests")
        for name in each.names
    }
    for each in ast.walk(tree):
        match each:
            case ast.Assign(targets=[ast.Attribute(value=ast.Name(id=owner))]) if owner in imported:
                yield each
            case ast.Call(func=ast.Name(id="setattr")):
                yield each
            case ast.Call(func=ast.Attribute(attr="setattr"), args=[owner, ast.Constant(value=name), *_]):
                if f"{ast.unparse(owner)}.{name!s}" not in OWN_STATE:
                    yield each
            case ast.Call(func=ast.Attribute(attr="setattr")) | ast.Attribute(value=ast.Name(id="mock")):
                yield each


@pytest.mark.parametrize(
    "source",
    [
        "import lab\nlab.up = fake",
        "from tasks.lab import lab\nlab.up = fake",
        "setattr(lab, 'up', fake)",
        "monkeypatch.setattr(lab, 'up', fake)",
        "monkeypatch.setattr('tasks.lab.lab.up', fake)",
        "monkeypatch.setattr(lab, name, fake)",
        "mock.patch.object(lab, 'up')",
    ],
)
def test_a_fake_that_nobody_has_compared_is_found(source: str) -> None:
    assert len(list(unchecked(ast.parse(source)))) == 1


def test_every_fake_is_compared_with_its_original() -> None:
    tests = [path for path in (REPO / "tests").rglob("*.py") if path != REPO / "tests" / "fakes.py"]
    found = {
        f"{path.relative_to(REPO)}: {ast.unparse(each)}"
        for path in tests
        for each in unchecked(ast.parse(path.read_text()))
    }
    assert found == set()
