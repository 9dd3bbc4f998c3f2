"""What the head of a patch file says."""

from __future__ import annotations

import pytest

from tasks.series.patch_header import Header, read_header

DEP3 = """\
Description: Escape the terminal's special characters
 They come from objects of the cluster.
 .
 And could do harm.
Author: Ann Example <ann@example.org>
Last-Update: 2025-07-08
---
diff --git a/x b/x
"""

MAIL = """\
From: =?UTF-8?q?Andr=C3=A9?= Example <andre@example.org>
Date: Tue, 6 Jul 2021 14:04:46 +0200
Subject: [PATCH 2/7] Hide long strings
 when printing

They break tables.
---
 x | 2 +-
diff --git a/x b/x
"""

MAIL_WITH_FIELDS = """\
From: Ann Example <ann@example.org>
Subject: Restore long strings

Description: Nothing is cut off.
 Not even at the end.

Origin: upstream
---
--- a/x
"""


@pytest.mark.parametrize(
    ("text", "title", "author", "date", "in_body"),
    [
        (
            DEP3,
            "Escape the terminal's special characters",
            "Ann Example <ann@example.org>",
            "2025-07-08T00:00:00+00:00",
            "",
        ),
        (
            MAIL,
            "Hide long strings when printing",
            "André Example <andre@example.org>",
            "2021-07-06T14:04:46+02:00",
            "They break tables.",
        ),
        (
            MAIL_WITH_FIELDS,
            "Restore long strings",
            "Ann Example <ann@example.org>",
            None,
            "Nothing is cut off.",
        ),
        ("--- a/x\n+++ b/x\n", "fix.patch", "kubev6 <kubev6@localhost>", None, ""),
        ("just a remark\n\nIndex: x\n", "fix.patch", "kubev6 <kubev6@localhost>", None, "just a remark"),
    ],
    ids=["DEP-3", "git format-patch", "mail with DEP-3 below", "no head at all", "only a remark"],
)
def test_head(text: str, title: str, author: str, date: str | None, in_body: str) -> None:
    header = read_header(text, name="fix.patch")

    assert isinstance(header, Header)
    assert header.title == title
    assert header.author == author
    assert (header.date.isoformat() if header.date else None) == date
    assert in_body in header.body
