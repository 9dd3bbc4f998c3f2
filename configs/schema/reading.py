"""Reading YAML files, and checking the form of what they hold. What is wrong is one line, whoever wrote the file.

The grammar is that of PyYAML's parser. What a word without quotes means is YAML 1.2's core schema (YAML 1.2.2, 10.3):
``no``, ``on``, ``2026-11-26`` and ``20:01:10:20`` are text, as in the editors that check a file while it is written,
and only numbers, ``true``, ``false`` and ``null`` are something else. Merge keys (``<<``) are read as well.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, TypeAdapter, ValidationError
from pydantic_core import ErrorDetails

from configs.errors import ConfigError
from configs.logins import without_login
from configs.words import INVISIBLE, counted, shortened

LARGEST = 4 << 20
"""Bytes of a file; a cluster of a thousand machines is described in a tenth of that."""
DEEPEST = 32
"""Lists and mappings in one another."""
MOST = 200_000
"""Values of a file, those counted again that an alias stands for: a few lines of aliases come to billions."""
MOST_TOLD = 8
"""Mistakes of a file that are told."""
_TAG = "tag:yaml.org,2002:"
_PLAIN: tuple[tuple[str, re.Pattern[str], Callable[[str], object]], ...] = (
    ("null", re.compile(r"null|Null|NULL|~|"), lambda text: None),  # noqa: ARG005
    ("bool", re.compile(r"true|True|TRUE|false|False|FALSE"), lambda text: text.lower() == "true"),
    ("int", re.compile(r"[-+]?[0-9]+"), int),
    ("int", re.compile(r"0o[0-7]+"), lambda text: int(text[2:], 8)),
    ("int", re.compile(r"0x[0-9a-fA-F]+"), lambda text: int(text[2:], 16)),
    ("float", re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?"), float),
    ("float", re.compile(r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)"), lambda text: float(text.replace(".", ""))),
)
_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # libyaml's where PyYAML was built with it
M = TypeVar("M")


def read_yaml(path: Path) -> object:
    """What a file holds: mappings whose keys are text, lists, text, numbers, booleans and None.

    Raises:
        ConfigError: It cannot be read, or is no YAML of this form; names file, line and field.
    """
    try:
        if path.exists() and not path.is_file():  # a pipe or a device may never end, and is read more than once
            raise ConfigError(f"{path}: is no file that can be read again", todo="write it into one")
        with path.open("rb") as file:
            content = file.read(LARGEST + 1)
        if len(content) > LARGEST:
            raise ConfigError(f"{path}: is larger than {LARGEST >> 20} MiB", todo="a YAML file is wanted")
        return _Document(content.decode()).value()
    except (OSError, ValueError) as error:  # a name may hold what no path can
        if isinstance(error, UnicodeDecodeError):
            raise ConfigError(f"{path}: is not text (UTF-8)", todo="a YAML file is wanted") from None
        seen = (error.strerror if isinstance(error, OSError) else "") or str(error)
        raise ConfigError(f"{path}: cannot be read: {seen}", todo="check the path") from None
    except _WrongError as error:
        raise ConfigError(f"{path}: {error}") from None
    except yaml.MarkedYAMLError as error:
        line = f"line {error.problem_mark.line + 1}" if error.problem_mark else "somewhere"
        raise ConfigError(f"{path}: is not YAML: {line}: {error.problem}", todo="mend that line") from None
    except yaml.YAMLError as error:
        seen = shortened(" ".join(str(error).split()), 200)
        raise ConfigError(f"{path}: is not YAML: {seen}", todo="mend the file") from None


def checked(file: Path, model: type[M], data: object, **more: object) -> M:
    """What a file says in its typed form.

    Args:
        file: The file, for errors.
        model: The form of a mapping.
        data: What the file says.
        more: Fields that follow from elsewhere.

    Raises:
        ConfigError: It cannot be right; names file, fields, what was seen there and what would be right.
    """
    if data is None:
        shipped = Path(__file__).resolve().parent.parent
        raise ConfigError(f"{file}: is empty", todo=f"start from a copy of one that is shipped, as in {shipped}")
    if not isinstance(data, dict):
        raise ConfigError(f"{file}: holds a {type(data).__name__}", todo="a mapping with keys such as name: is wanted")
    return validated(file, model, {**data, **more})


def validated(file: Path, kind: type[M], data: object) -> M:
    """The same of anything that pydantic takes for a form, such as ``tuple[Model, ...]``."""
    try:
        return TypeAdapter(kind).validate_python(data)
    except ValidationError as error:
        # What is missing often stands there under another name, so that is told first.
        details = sorted(error.errors(include_url=False), key=lambda detail: detail["type"] == "missing")
        raise ConfigError(f"{file}: {told([_explain(kind, detail) for detail in details])}") from None


def told(mistakes: list[str]) -> str:
    """The mistakes of a file, as many as a person mends at a time."""
    more = len(mistakes) - MOST_TOLD
    return "; ".join([*mistakes[:MOST_TOLD], *([f"and {counted(more, 'more mistake')}"] if more > 0 else [])])


class _WrongError(Exception):
    """Something that YAML allows and a file of ours may not hold, to be read after the file's name."""


class _Document:
    """The one document of a file.

    Args:
        text: The file.
    """

    def __init__(self, text: str) -> None:
        self._events = yaml.parse(text, Loader=_LOADER)
        self._anchors: dict[str, tuple[object, int]] = {}
        self._read = 0

    def value(self) -> object:
        """What it holds, None when that is nothing."""
        next(self._events)
        if isinstance(next(self._events), yaml.StreamEndEvent):
            return None
        found = self._value(next(self._events), "")
        next(self._events)
        if not isinstance(following := next(self._events), yaml.StreamEndEvent):
            raise _wrong(following, "", "another document begins there; one is wanted in a file")
        return found

    def _value(self, event: yaml.Event, where: str, depth: int = 0) -> object:
        before, anchor = self._read, getattr(event, "anchor", None)
        self._read += 1
        found: object
        match event:
            case yaml.AliasEvent():
                if anchor not in self._anchors:
                    raise _wrong(event, where, f"*{anchor} stands for nothing that ends before it")
                found, size = self._anchors[anchor]
                self._read += size
            case yaml.ScalarEvent():
                found = _scalar(event, where)
            case _ if depth == DEEPEST:
                raise _wrong(event, where, f"more than {DEEPEST} lists and mappings in one another")
            case yaml.SequenceStartEvent():
                _refuse_tag(event, where, "seq")
                found = items = list[object]()
                while not isinstance(item := next(self._events), yaml.SequenceEndEvent):
                    items.append(self._value(item, f"{where}[{len(items)}]", depth + 1))
            case _:
                _refuse_tag(event, where, "map")
                found = self._mapping(where, depth + 1)
        if self._read > MOST:
            raise _wrong(event, where, f"the file comes to more than {MOST} values")
        if anchor and not isinstance(event, yaml.AliasEvent):
            self._anchors[anchor] = found, self._read - before
        return found

    def _mapping(self, where: str, depth: int) -> dict[str, object]:
        own: dict[str, object] = {}
        merged: dict[str, object] = {}
        lines: dict[str, int] = {}
        while not isinstance(event := next(self._events), yaml.MappingEndEvent):
            if not isinstance(event, yaml.ScalarEvent):
                raise _wrong(event, where, "a key that is no text")
            key, line = event.value, _line(event)
            inner = field_path([where, key])
            _refuse_tag(event, inner, "str")
            _refuse_invisible(event, inner)
            if key in lines:
                raise _wrong(event, inner, f"stands there twice, in line {lines[key]} too; one of the two is wanted")
            lines[key] = line
            value = self._value(next(self._events), inner, depth)
            if key != "<<" or not event.implicit[0]:
                own[key] = value
                continue
            for each in value if isinstance(value, list) else [value]:
                if not isinstance(each, dict):
                    raise _wrong(event, inner, "merges something that is no mapping")
                merged = {**each, **merged}
        return {**merged, **own}


def _scalar(event: yaml.ScalarEvent, where: str) -> object:
    _refuse_invisible(event, where)
    kind = event.tag.removeprefix(_TAG) if event.tag else ""
    if kind in ("str", "!") or (not kind and not event.implicit[0]):
        return event.value
    for name, pattern, made in _PLAIN:
        if kind in ("", name) and pattern.fullmatch(event.value):
            if len(event.value) > 40 and name == "int":
                raise _wrong(event, where, f"a number of {len(event.value)} digits")
            return made(event.value)
    if kind:
        _refuse_tag(event, where, "str")
    return event.value


def _refuse_tag(event: Any, where: str, usual: str) -> None:
    if event.tag not in (None, "!", _TAG + usual):
        tag = shortened(without_login(event.tag.replace(_TAG, "!!")), 60)
        raise _wrong(event, where, f"is marked {tag!r}, which is not read here, or does not fit; take the mark away")


def _refuse_invisible(event: yaml.ScalarEvent, where: str) -> None:
    if found := INVISIBLE.search(event.value.replace("\n", "").replace("\t", "")):
        raise _wrong(event, where, f"holds U+{ord(found[0]):04X}, which nobody sees; take it out")


def _wrong(event: yaml.Event, where: str, seen: str) -> _WrongError:
    line = f"line {_line(event)}"
    return _WrongError(f"{shortened(where, 300)} ({line}): {seen}" if where else f"{line}: {seen}")


def _line(event: yaml.Event) -> int:
    return event.start_mark.line + 1 if event.start_mark else 0


def field_path(location: Iterable[str | int]) -> str:
    """Where in a file something is, as in ``nodes[2].ssh.host``."""
    path = ""
    for part in location:
        path += f"[{part}]" if isinstance(part, int) else f".{_key(part)}" if path else _key(part)
    return path


def _key(text: str) -> str:
    """A key or path as it is told."""
    return shortened(text if INVISIBLE.search(text) is None else repr(text), 60)


def _explain(kind: Any, detail: ErrorDetails) -> str:
    where = shortened(field_path(detail["loc"]), 300) or "the file"
    seen = _seen(detail["input"])
    message = f"{detail['msg'][0].lower()}{detail['msg'][1:]}"
    match detail["type"]:
        case "missing":
            return f"{where}: is missing"
        case "extra_forbidden":
            return f"{where}: no such key; known here: {', '.join(_known_keys(kind, detail['loc'][:-1]))}"
        case "value_error":
            return f"{where}: {seen} {shortened(str(detail['ctx']['error']), 300)}"
        case "string_type" if isinstance(detail["input"], int | float):
            return f"{where}: {seen}: is a {_type(detail['input'])} to YAML, and text is wanted; put it in quotes"
    return f"{where}: {seen}: {shortened(message, 300)}"


def _seen(value: object) -> str:
    """A value as it is told: without logins, on one line, and no longer than a person reads."""
    if isinstance(value, list | dict):
        return f"a {_type(value)} of {len(value)}" if value else f"an empty {_type(value)}"
    return shortened(repr(without_login(value) if isinstance(value, str) else value), 100)


def _type(value: object) -> str:
    names = {bool: "boolean", list: "list", dict: "mapping", str: "text"}
    return names.get(type(value), "number")


def _known_keys(kind: Any, location: Iterable[str | int]) -> list[str]:
    """The keys allowed at ``location``, found by walking the model's annotations."""
    current = _model_in(kind)
    for part in location:
        # A number is an item of a list; a name that is no field is a key of a mapping.
        if hasattr(current, "model_fields") and part in current.model_fields:
            current = _model_in(current.model_fields[part].annotation)
    return list(_keys_of(current)) if hasattr(current, "model_fields") else []


@cache
def _keys_of(model: type[BaseModel]) -> tuple[str, ...]:
    """Not all fields: some follow from elsewhere, and have no place in its JSON Schema."""
    return tuple(model.model_json_schema()["properties"])


def _model_in(annotation: Any) -> Any:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    for inner in getattr(annotation, "__args__", ()):
        if (found := _model_in(inner)) is not None:
            return found
    return None
