"""What the head of a patch file says: title, author, date and message.

Four forms are read: mails as git format-patch writes them, by the rules of git-mailinfo(1); what git show prints; the
fields of Debian Enhancement Proposal 3; and plain text, whose first line is the title as in a commit's message.
"""

from __future__ import annotations

import email.errors
import email.header
import email.utils
import re
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from configs.errors import KubeV6Error
from tasks.release.series.repository import COMMITTER

_PATCH = re.compile(r"^(?:---(?: |[ \t]*$)|diff -|Index: )", re.MULTILINE)
"""Where git-mailinfo(1) has the patch begin."""
_FROM_LINE = re.compile(r">?From \S+ .*\d\d:\d\d:\d\d .*\d{4}")
_COMMIT_LINE = re.compile(r"commit [0-9a-f]{7,64}( .*)?")
_FIELD = re.compile(r"([A-Za-z][A-Za-z0-9-]*):(?:[ \t]+(.*)|$)")
_MAIL = ("from", "date", "subject")
_DEP3 = (
    *("description", "origin", "bug", "forwarded", "author", "reviewed-by", "acked-by"),
    *("last-update", "applied-upstream"),
)
_TAG = re.compile(r"^(?:re:|\[[^]]*PATCH[^]]*\])\s*", re.IGNORECASE)
"""What mails have before a title."""


@dataclass(frozen=True, slots=True)
class Header:
    """What the head of a patch file says."""

    title: str
    author: str
    date: datetime | None
    body: str


def text_of(content: bytes) -> str:
    """A patch file as text: UTF-8, or in the charset that its mail names, or whatever it is byte for byte."""
    named = re.search(rb"^Content-Type:[^\n]*charset=\"?([\w.:-]+)", content, re.MULTILINE | re.IGNORECASE)
    for charset in ("utf-8", *([named[1].decode()] if named else [])):
        try:
            return content.decode(charset)
        except (UnicodeError, LookupError):
            continue
    return content.decode("latin-1")


def read_header(text: str, *, name: str) -> Header:
    """Read the head of a patch.

    Args:
        text: The patch file.
        name: Its file name, the title of last resort.

    Raises:
        KubeV6Error: It is a mail whose patch is encoded, so that git would not apply what is meant.
    """
    head = _PATCH.split(text.replace("\r\n", "\n"), maxsplit=1)[0].replace("\0", "").removeprefix("\ufeff")
    lines = head.strip("\n").split("\n")
    is_mail = bool(_FROM_LINE.fullmatch(lines[0]))
    lines = lines[is_mail:]
    first = _field(lines[0]) if lines else ""
    if _COMMIT_LINE.fullmatch(lines[0] if lines else ""):
        fields, rest = _shown(lines[1:])
    elif is_mail or first in _MAIL:
        fields, rest = _mail(lines)
    elif first in _DEP3 or first.startswith("bug-"):
        fields, rest = _dep3(lines)
    else:
        fields, rest = {"subject": lines[:1]}, lines[1:]
    if (encoding := " ".join(fields.get("content-transfer-encoding", ())).lower()) in ("quoted-printable", "base64"):
        raise KubeV6Error(
            f"{name}: is a mail in {encoding}, and git applies a patch as it stands there",
            todo="make it again with git format-patch",
        )
    described = [line.strip().removeprefix(".") for line in fields.get("description", ())]
    if not any(map(str.strip, fields.get("subject", ()))):
        fields["subject"], described = described[:1], described[1:]
    parts = ("\n".join(described).strip(), "\n".join(rest).strip())
    return Header(
        title=_title(fields["subject"]) or name,
        author=_author(fields.get("from") or fields.get("author") or ()),
        date=_date(" ".join(fields.get("date") or fields.get("last-update") or ())),
        body="\n\n".join(part for part in parts if part),
    )


def _field(line: str) -> str:
    """Name of the field that begins with a line; empty when it begins none."""
    found = _FIELD.fullmatch(line)
    return found[1].lower() if found else ""


def _mail(lines: Sequence[str]) -> tuple[dict[str, list[str]], Sequence[str]]:
    """The fields up to the first empty line, over which go those that the message itself begins with."""
    fields, rest = _stanza(lines)
    while rest and not rest[0].strip():
        rest = rest[1:]
    if rest and _field(rest[0]) in _MAIL:
        within, rest = _stanza(rest)
        fields |= within
    return fields, rest


def _shown(lines: Sequence[str]) -> tuple[dict[str, list[str]], Sequence[str]]:
    """The fields and the message, which is indented."""
    fields, rest = _stanza(lines)
    message = textwrap.dedent("\n".join(rest)).strip("\n").split("\n")
    return {**fields, "subject": message[:1]}, message[1:]


def _dep3(lines: Sequence[str]) -> tuple[dict[str, list[str]], Sequence[str]]:
    """The fields, which may stand in more than one paragraph."""
    fields, rest = _stanza(lines)
    at = 0
    while at < len(rest):
        if rest[at].strip():
            if _field(rest[at]) not in (*_DEP3, *_MAIL):
                break
            more, rest = _stanza(rest[at:])
            fields, at = more | fields, 0
        else:
            at += 1
    return fields, rest


def _stanza(lines: Sequence[str]) -> tuple[dict[str, list[str]], Sequence[str]]:
    """The lines of each field at the beginning, the first of equal ones, and what follows."""
    fields: dict[str, list[str]] = {}
    last: list[str] = []
    for number, line in enumerate(lines):
        if line[:1] in (" ", "\t") and line.strip() and fields:
            last.append(line)
        elif name := _field(line):
            last = [line.partition(":")[2].strip()]
            fields.setdefault(name, last)
        else:
            return fields, lines[number:]
    return fields, ()


def _title(lines: Sequence[str]) -> str:
    title = " ".join(_decoded(lines).split())
    while (shorter := _TAG.sub("", title)) != title:
        title = shorter
    return title


def _author(lines: Sequence[str]) -> str:
    # The address is looked for first: what is encoded may hold a comma.
    name, address = email.utils.parseaddr(" ".join(" ".join(lines).split()) or COMMITTER)
    name, address = (" ".join(re.sub(r"[<>\n]", "", part).split()) for part in (_decoded([name]), address))
    return f"{name or address or 'unknown'} <{address or 'unknown@localhost'}>"


def _date(text: str) -> datetime | None:
    """The moment that a text names, if git can keep it."""
    for read in (email.utils.parsedate_to_datetime, datetime.fromisoformat):
        try:
            found = read(text.strip())
            found = found if found.tzinfo else found.replace(tzinfo=UTC)
            if 1970 < found.astimezone(UTC).year < 2100:
                return found
        except (ValueError, TypeError, OverflowError):
            continue
    return None


def _decoded(lines: Sequence[str]) -> str:
    """A field that was folded, with its encoded words (RFC 2047) read, but for those that cannot be."""
    text = " ".join(line.strip() for line in lines)
    try:
        parts = email.header.decode_header(text)
    except email.errors.HeaderParseError:
        return text
    return "".join(part if isinstance(part, str) else _part(part, charset) for part, charset in parts)


def _part(part: bytes, charset: str | None) -> str:
    if charset is None:  # what stands between encoded words is given as Python's raw-unicode-escape
        return part.decode("raw-unicode-escape", "replace")
    try:
        return part.decode(charset)
    except (LookupError, UnicodeError):
        return part.decode("utf-8", "replace")
