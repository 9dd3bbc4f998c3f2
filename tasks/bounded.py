"""How much is taken of what comes from outside the process: files, answers, what a program prints, what is unpacked.

Nothing there is endless, so what is larger than its bound is none of what it should be, be it damaged or made so. How
deep JSON may be is a bound of the two parsers: pydantic's ends at 200 levels, Python's where its stack does.
"""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import IO, Any, TypeVar

from configs.words import shortened

LARGEST = 256 << 20
"""Bytes of a file of text: the record of a run that made a hundred changes on each of a thousand machines has less than
half of that, a manifest of an image some KiB."""
TOLD = 1 << 18
"""Bytes of a program's output that are kept of it for the log when it fails; what is wrong mostly stands at its end."""
LONGEST_LINE = 1 << 16
"""Bytes of a line that are held until its end comes."""
M = TypeVar("M")
log = logging.getLogger("kubev6.bounded")


class TooMuchError(ValueError):
    """Something has more bytes than it may have: as good as a damaged one.

    Args:
        most: How many it may have.
        what: What has them, such as ``"its layers, unpacked"``; empty for the thing itself.
    """

    def __init__(self, most: int, what: str = "it") -> None:
        super().__init__(f"{what} has more than {_size(most)}, which is the most that is taken")


class Bound:
    """Counts the bytes of one thing that comes, and ends it when they are too many.

    Args:
        most: How many may come.
        what: What they are of, see :class:`TooMuchError`.
    """

    def __init__(self, most: int, what: str = "it") -> None:
        self._most, self._what, self._come = most, what, 0

    def count(self, size: int) -> None:
        """Count some bytes more.

        Raises:
            TooMuchError: They are too many.
        """
        self._come += size
        if self._come > self._most:
            raise TooMuchError(self._most, self._what)


def content(path: Path, most: int | None = None) -> bytes:
    """What stands in a file.

    Args:
        path: The file.
        most: How many bytes that may be; :data:`LARGEST` when absent.

    Raises:
        OSError: It cannot be read.
        TooMuchError: It is too large.
    """
    bound = LARGEST if most is None else most
    with path.open("rb") as file:
        found = file.read(bound + 1)
    if len(found) > bound:
        raise TooMuchError(bound)
    return found


def read(path: Path, kind: type[M]) -> M:
    """What a file of JSON holds, in its typed form.

    Args:
        path: The file.
        kind: The form: whatever pydantic takes for one.

    Raises:
        OSError: It cannot be read.
        ValueError: It is too large, no JSON, or of another form; in one line, to be read after the file's name.
    """
    return formed(content(path), kind)


def formed(text: bytes, kind: type[M], what: str = "") -> M:
    """What a text of JSON means, in its typed form.

    Args:
        text: The text.
        kind: The form: whatever pydantic takes for one.
        what: What it is, for the error; empty where who catches that says so.

    Raises:
        ValueError: It is no JSON, or of another form.
    """
    return _validated(kind, what, lambda adapter: adapter.validate_json(text))


def shaped(value: Any, kind: type[M], what: str = "") -> M:
    """The same of what :func:`parsed` gave, which may hold text that is no Unicode, such as a file name of a machine's.

    Args:
        value: The value.
        kind: The form: whatever pydantic takes for one.
        what: What it is, for the error.

    Raises:
        ValueError: It is of another form.
    """
    return _validated(kind, what, lambda adapter: adapter.validate_python(value))


def _validated(kind: type[M], what: str, validate: Callable[[Any], M]) -> M:
    from pydantic import TypeAdapter, ValidationError  # which takes longer to import than many commands take

    from configs.schema.reading import field_path

    try:
        return validate(TypeAdapter(kind))
    except ValidationError as error:  # whose own words have several lines
        told = error.errors(include_url=False, include_input=False)[0]
        where = " ".join(part for part in (what, field_path(told["loc"])) if part)
        seen = shortened(f"{told['msg'][0].lower()}{told['msg'][1:]}", 200)
        raise ValueError(f"{where}: {seen}" if where else seen) from None


def parsed(text: str | bytes) -> Any:
    """What a text of JSON means, whatever its form.

    Raises:
        ValueError: It is none.
    """
    try:
        return json.loads(text)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def kept(path: Path, kind: type[M], otherwise: str) -> M | None:
    """What a file of JSON holds that is only kept to save time.

    Args:
        path: The file.
        kind: Its form.
        otherwise: What is done without it, for the log.

    Returns:
        None when it is not there, or cannot be understood, which is a line in the log.
    """
    try:
        return read(path, kind)
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        log.warning("%s cannot be understood (%s); %s", path, reason(error), otherwise)
        return None


def reason(error: OSError | ValueError) -> str:
    """Why a file could not be read, in a few words."""
    return getattr(error, "strerror", None) or str(error)


def lines(output: Iterable[bytes], most: int) -> Iterator[str]:
    """The lines that a program writes; those of more than :data:`LONGEST_LINE` in parts.

    Args:
        output: What it writes, as it comes.
        most: How many bytes that may be.

    Raises:
        TooMuchError: It is more.
    """
    rest, bound = b"", Bound(most, "what it prints")
    for chunk in output:
        bound.count(len(chunk))
        *whole, rest = (rest + chunk).split(b"\n")
        if len(rest) > LONGEST_LINE:
            whole, rest = [*whole, rest], b""
        for line in whole:
            yield line.decode(errors="replace").rstrip("\r")
    if rest:
        yield rest.decode(errors="replace")


def tail(text: str, most: int = TOLD) -> str:
    """The last lines of a text, whole, so that no secret is left in part: each of them is one line.

    Args:
        text: The text.
        most: How many bytes it may have.

    Returns:
        The text; of a longer one its last lines, after one that says that there were more.
    """
    whole = text.encode(errors="replace")
    if len(whole) <= most:
        return text
    _, _, last = whole[-most:].partition(b"\n")
    return f"(what was before this is cut off)\n{last.decode(errors='replace')}"


def end_of(file: IO[bytes], most: int = TOLD) -> str:
    """The same of what stands in a file, of which no more is read.

    Raises:
        OSError: It cannot be read.
    """
    file.seek(max(0, file.seek(0, os.SEEK_END) - most - 1))
    return tail(file.read().decode(errors="replace"), most)


def _size(count: int) -> str:
    for power, name in ((30, "GiB"), (20, "MiB"), (10, "KiB")):
        if count >= 1 << power:
            return f"{count >> power} {name}"
    return f"{count} bytes"
