"""Fakes in the place of what is real. One whose original is gone, or is called otherwise by now, fails its test."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from pathlib import PurePath
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    import pytest

T = TypeVar("T")
_NUMBERS = (int, float)
_originals: dict[tuple[int, str], Any] = {}
_REST = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)


def substitute(patch: pytest.MonkeyPatch, owner: object, name: str, fake: Any) -> None:
    """Put a fake in the place of an attribute until the test ends.

    Args:
        patch: What puts the original back.
        owner: The module, class or object that has the attribute.
        name: The attribute.
        fake: A function that can be called as the original is, or a value of the same type.

    Raises:
        AssertionError: There is no such attribute, or the fake is not like it.
    """
    _compare(owner, name, _original(owner, name), fake)
    patch.setattr(owner, name, fake)


def substitute_for_good(owner: object, name: str, fake: Any) -> None:
    """The same for a program of fakes, which ends with them.

    It does without pytest, whose import takes time. A fake in the place of another is compared with what was there
    before both.
    """
    original = _originals.setdefault((id(owner), name), _original(owner, name))
    _compare(owner, name, original, fake)
    setattr(owner, name, fake)


def fake_of(real: type) -> Callable[[type[T]], type[T]]:
    """A decorator for a class of fakes: all that is public in its body has to be there in the original, and alike.

    What a test needs besides goes into ``__init__``, or behind an underscore.

    Raises:
        AssertionError: The original lacks one of its attributes, or has it with another signature.
    """

    def compared(fake: type[T]) -> type[T]:
        for name in dict.fromkeys((*vars(fake), *inspect.get_annotations(fake))):
            if name.startswith("_") or re.search(rf"\bself\.{name}(:.*)? = ", inspect.getsource(real)):
                continue
            there = getattr(fake, name, None)
            if callable(there):
                _compare(real, name, _original(real, name), there)
            else:
                assert hasattr(real, name), f"{real.__name__} has no {name}"
                assert not callable(getattr(real, name)), f"{real.__name__}.{name} is called, and its fake cannot be"
        return fake

    return compared


def _where(owner: object, name: str) -> str:
    return f"{getattr(owner, '__name__', type(owner).__name__)}.{name}"


def _original(owner: object, name: str) -> Any:
    assert hasattr(owner, name), f"there is no {_where(owner, name)} any more, and a fake of it would change nothing"
    return getattr(owner, name)


def _compare(owner: object, name: str, original: Any, fake: Any) -> None:
    where = _where(owner, name)
    if callable(original):
        assert callable(fake), f"{where} is called, and its fake cannot be"
        try:
            wanted = inspect.signature(original)
        except ValueError:  # written in C, it does not say
            return
        _compare_signatures(where, wanted, inspect.signature(fake))
    elif original is not None:
        kinds = next((kinds for kinds in (_NUMBERS, PurePath) if isinstance(original, kinds)), type(original))
        assert isinstance(fake, kinds), f"{where} is {type(original).__name__}, and its fake {type(fake).__name__}"


def _compare_signatures(where: str, original: inspect.Signature, fake: inspect.Signature) -> None:
    """What a fake names has the same name and place, and it takes what the original cannot do without.

    A name that begins with an underscore stands for whatever has its place, and so do ``*_`` and ``**_``.
    """
    told = f"it is {where}{original}, and its fake {fake}"
    places = [each for each in original.parameters.values() if each.kind not in _REST]
    named = set[str]()
    for place, each in enumerate(fake.parameters.values()):
        if each.kind in _REST:
            continue
        at = [original.parameters.get(each.name)] if each.kind is each.KEYWORD_ONLY else places[place : place + 1]
        at = [other for other in at if other]
        named.update(other.name for other in at)
        unnamed = each.name.startswith("_") or any(one.kind is one.POSITIONAL_ONLY for one in (each, *at))
        assert unnamed or each.name in [other.name for other in at], f"{told}: {each.name} is not there"
    given = [each for each in places if each.default is each.empty or each.name in named]
    alone = {each.name for each in (*given, *fake.parameters.values()) if each.kind is each.KEYWORD_ONLY}
    by_name = {each.name: None for each in given if each.name in alone}
    try:
        fake.bind(*[None for each in given if each.name not in by_name], **by_name)
    except TypeError as error:
        raise AssertionError(f"{told}: {error}") from error
