"""Logins in addresses. An address is told: in errors, logs and manifests; and Prefect keeps it as a run's parameter."""

from __future__ import annotations

import re

_LOGIN = re.compile(r"(?<=://)[^\s/?#]+@")
_WITH_PASSWORD = re.compile(r"://[^\s/?#]*:[^\s/?#]*@")


def names_password(address: str) -> bool:
    """Whether an address holds a password. A user alone, as in ``ssh://git@host.example/``, is no secret.

    Args:
        address: A URL, or anything else that a person names a place by.
    """
    return _WITH_PASSWORD.search(address) is not None


def without_login(text: str) -> str:
    """A text without the logins of the URLs in it, for those who are told what was wrong with one."""
    return _LOGIN.sub("", text)
