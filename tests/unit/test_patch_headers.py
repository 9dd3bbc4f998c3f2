"""What the head of a patch file says."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from configs.errors import KubeV6Error
from tasks.release.series.patch_header import Header, read_header, text_of

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
            "They come from objects of the cluster.\n\nAnd could do harm.",
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
        ("just a remark\n\nIndex: x\n", "just a remark", "kubev6 <kubev6@localhost>", None, ""),
        (
            "proxy: use ip6tables for IPv6 nodes\n\nWhy it is right.\n---\ndiff --git a/f b/f\n",
            "proxy: use ip6tables for IPv6 nodes",
            "kubev6 <kubev6@localhost>",
            None,
            "Why it is right.",
        ),
        (
            "From: Sender <sender@example.org>\nSubject: [PATCH] x\n\nFrom: Ann <ann@example.org>\n\nWhy.\n---\n",
            "x",
            "Ann <ann@example.org>",
            None,
            "Why.",
        ),
        (
            "From: =?utf-8?q?D=C3=B6e=2C_J=2E?= <j@example.org>\nSubject: Re: [PATCH v2 1/9] [kubeadm] y\n\n---\n",
            "[kubeadm] y",
            "Döe, J. <j@example.org>",
            None,
            "",
        ),
        (
            "Author: Ann <ann@example.org>\nBug-Debian: x\n\nDescription: Two paragraphs\n\nMore.\n--- a/x\n",
            "Two paragraphs",
            "Ann <ann@example.org>",
            None,
            "More.",
        ),
        ("Subject: =?x-foo?q?bar?=\n\n---\n", "bar", "kubev6 <kubev6@localhost>", None, ""),
        ("Subject: =?utf-8?b?a?=\n", "=?utf-8?b?a?=", "kubev6 <kubev6@localhost>", None, ""),
        ("Subject: a\0b\nDate: Mon, 1 Jan 1800 00:00:00 +0000\n", "ab", "kubev6 <kubev6@localhost>", None, ""),
        ("From: <>\nSubject: x\nDate: Mon, 1 Jan 2020 00:00 +99999999\n", "x", "unknown <unknown@localhost>", None, ""),
        ("Last-Update: 2020-13-99\nDescription: z\n", "z", "kubev6 <kubev6@localhost>", None, ""),
        (
            "commit 0123456789012345678901234567890123456789\nAuthor: Ann Example <ann@example.org>\n"
            "Date:   Tue Jul 6 14:04:46 2021 +0200\n\n    proxy: hide strings\n\n    They break:\n\n      tables\n\n"
            "diff --git a/x b/x\n",
            "proxy: hide strings",
            "Ann Example <ann@example.org>",
            "2021-07-06T14:04:46+02:00",
            "They break:\n\n  tables",
        ),
        (
            MAIL.replace("\n", "\r\n"),
            "Hide long strings when printing",
            "André Example <andre@example.org>",
            "2021-07-06T14:04:46+02:00",
            "They break tables.",
        ),
        ("\ufeffSubject: x\nFrom: Ann <ann@example.org>\n\n---\n", "x", "Ann <ann@example.org>", None, ""),
        ("Description: x\n" + "\nOrigin: upstream\n" * 5000 + "---\n", "x", "kubev6 <kubev6@localhost>", None, ""),
    ],
    ids=[
        *("DEP-3", "git format-patch", "mail with DEP-3 below", "no head at all", "only a remark", "plain text"),
        *("another author in the message", "an encoded comma", "DEP-3 in two paragraphs"),
        *("unknown charset", "bad base64", "a NUL, and a year that git cannot keep", "no address, no date", "month 13"),
        *("git show", "lines that end as in DOS", "a byte order mark", "very many paragraphs"),
    ],
)
def test_head(text: str, title: str, author: str, date: str | None, in_body: str) -> None:
    header = read_header(text, name="fix.patch")

    assert isinstance(header, Header)
    assert header.title == title
    assert header.author == author
    assert (header.date.isoformat() if header.date else None) == date
    assert in_body in header.body
    assert "---" not in header.body


AUTHORS = ("Pätch Authör", "Dr. Ann, Example", "張三", 'A "B" C')
MESSAGES = (
    "proxy: listen on [::] when the node is IPv6-only, and a subject so long that it is folded\n\nWhy.\n\nFixes: #1\n",
    "Ünïcode ïn á títle that is long enough to be folded, and encoded in more than one word of RFC 2047\n\nBödy.\n",
    "short\n",
    "From here on: a title that looks like a field\n\nWhy: because.\n",
)


@pytest.mark.parametrize("author", AUTHORS)
@pytest.mark.parametrize("message", MESSAGES)
def test_what_git_writes_reads_as_what_was_committed(tmp_path: Path, author: str, message: str) -> None:
    date = "2026-11-26T14:58:19+01:00"
    environment = {
        **{key: value for key, value in os.environ.items() if not key.startswith("GIT_")},
        **{"GIT_AUTHOR_NAME": author, "GIT_AUTHOR_EMAIL": "a@example.org", "GIT_AUTHOR_DATE": date},
        **{"GIT_COMMITTER_NAME": "C", "GIT_COMMITTER_EMAIL": "c@example.org", "GIT_CONFIG_GLOBAL": os.devnull},
    }

    def git(*words: str) -> bytes:
        return subprocess.run(["git", "-C", tmp_path, *words], env=environment, capture_output=True, check=True).stdout

    git("init", "--quiet")
    (tmp_path / "f").write_text("a\n")
    git("add", "f")
    git("commit", "--quiet", "--no-gpg-sign", "-m", message)
    header = read_header(text_of(git("format-patch", "--stdout", "--root", "HEAD")), name="0001.patch")

    title, _, body = message.partition("\n")
    assert header.title == title
    assert header.author == f"{author} <a@example.org>"
    assert header.date is not None
    assert header.date.isoformat() == date
    assert header.body == body.strip()


def test_bytes_are_read_in_the_charset_that_the_mail_names() -> None:
    mail = 'Subject: x\nContent-Type: text/plain; charset="iso-8859-15"\n\n1 €\n---\n'
    assert read_header(text_of(mail.encode("iso-8859-15")), name="x").body == "1 €"
    assert read_header(text_of("é\n".encode("latin-1")), name="x").title == "é"


def test_a_mail_whose_patch_is_encoded_is_refused() -> None:
    with pytest.raises(KubeV6Error, match=r"x\.patch: is a mail in quoted-printable"):
        read_header("Subject: x\nContent-Transfer-Encoding: quoted-printable\n\n---\n", name="x.patch")
