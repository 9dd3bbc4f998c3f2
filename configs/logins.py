"""Logins in addresses. An address is told: in errors, logs and manifests; and Prefect keeps it as a run's parameter."""

from __future__ import annotations

import re

_LOGIN = re.compile(r"(?<=://)[^\s/?#]+@")
_WITH_SECRET = re.compile(r"://[^\s/?#]*:[^\s/?#]*@|https?://[^\s/?#]*@", re.IGNORECASE)


def holds_secret(address: str) -> bool:
    """Whether an address holds a password or a token.

    Over HTTP the place of the user is one for a token too, as servers of git take it. Elsewhere a user alone, as in
    ``ssh://git@host.example/``, is no secret.

    Args:
        address: A URL, or anything else that a person names a place by.
    """
    return _WITH_SECRET.search(address) is not None


def without_login(text: str) -> str:
    """A text without the logins of the URLs in it, for those who are told what was wrong with one."""
    return _LOGIN.sub("", text)
