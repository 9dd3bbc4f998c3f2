"""What the head of a patch file says: title, author, date and message."""

from __future__ import annotations

import email.header
import email.utils
import re
from dataclasses import dataclass
from datetime import UTC, datetime

from tasks.series.repository import COMMITTER


@dataclass(frozen=True, slots=True)
class Header:
    """What the head of a patch file says (DEP-3, or mail headers as git format-patch writes them)."""

    title: str
    author: str
    date: datetime | None
    body: str


def read_header(text: str, *, name: str) -> Header:
    """Read the head of a patch.

    Args:
        text: The patch file.
        name: Its file name, the title of last resort.

    The fields are those of Debian Enhancement Proposal 3.
    """
    head = re.split(r"^(?:---(?: |$)|diff --git |Index: )", text, maxsplit=1, flags=re.MULTILINE)[0]
    fields: dict[str, str] = {}
    last = ""
    lines = head.splitlines()
    end = 0
    for end, line in enumerate(lines):  # noqa: B007 - where the fields end is what is looked for
        if line[:1].isspace() and last:
            fields[last] += "\n" + line.strip().removeprefix(".")
        elif found := re.match(r"([A-Za-z][A-Za-z-]*): *(.*)", line):
            last = found[1].lower()
            fields.setdefault(last, "")
            fields[last] = (fields[last] + "\n" + found[2]).strip()
        elif line.strip() or last in ("from", "date", "subject"):
            break
    subject = _decoded(fields.get("subject") or fields.get("description", "").split("\n", 1)[0])
    title = re.sub(r"^\[PATCH[^]]*\]\s*", "", " ".join(subject.split())) or name
    author = _decoded(fields.get("from") or fields.get("author") or COMMITTER).split("\n", 1)[0]
    real_name, address = email.utils.parseaddr(author)
    described = fields.get("description", "") if "subject" in fields else ""
    body = "\n\n".join(part for part in (described, "\n".join(lines[end:]).strip()) if part)
    return Header(
        title=title,
        author=f"{real_name or address or 'unknown'} <{address or 'unknown@localhost'}>",
        date=_date(fields.get("date") or fields.get("last-update") or ""),
        body=body,
    )


def _date(text: str) -> datetime | None:
    for read in (email.utils.parsedate_to_datetime, datetime.fromisoformat):
        try:
            found = read(text.strip())
        except ValueError:
            continue
        return found if found.tzinfo else found.replace(tzinfo=UTC)
    return None


def _decoded(text: str) -> str:
    return str(email.header.make_header(email.header.decode_header(text)))
