"""The login of the kept Prefect server: made with the server, in a file that only its user may read.

Whoever may use the server may run programs as its user. A shell reads the file (``. prefect.env``), and so does Prefect
where it is called ``.env`` in the directory that it works in. So nobody types the login, and no command line holds it.
"""

from __future__ import annotations

import os
import re
import secrets as random
from contextlib import suppress
from pathlib import Path

from tasks import bounded
from tasks.paths import CHECKOUT, data_dir
from tasks.replace import write_whole
from tasks.secrets import remember

API, LOGIN = "PREFECT_API_URL", "PREFECT_API_AUTH_STRING"


def file() -> Path:
    """Where the login of the kept server is, and its address."""
    return data_dir() / "prefect.env"


def new() -> str:
    """A login that nobody can guess, as Prefect wants it: name and password in one."""
    made = f"kubev6:{random.token_urlsafe(32)}"
    remember(made)
    return made


def write(api: str) -> None:
    """Make the login of the server that is about to start, for all who use it from now on.

    Args:
        api: Its API.
    """
    text = f"# The kept Prefect server, written by `kubev6 server up`.\nexport {API}={api}\nexport {LOGIN}={new()}\n"
    write_whole(file(), text, mode=0o600)


def remove() -> None:
    """Forget it: the next server has another one."""
    file().unlink(missing_ok=True)


def of(api: str) -> str:
    """The login of a server: that of the kept one, else what the environment has for the server that it names.

    Args:
        api: The server's API. No other server is told the login.

    Returns:
        The login; empty when there is none.
    """
    found = {}
    with suppress(OSError, ValueError):
        found = dict(re.findall(r"^export (\w+)=(.+)$", bounded.content(file()).decode(), re.MULTILINE))
    login = next((each.get(LOGIN, "") for each in (found, os.environ) if each.get(API) == api), "")
    remember(login)
    return login


def give_to_checkout() -> bool:
    """Let Prefect's own commands find the login in the checkout, as its ``.env``. One of somebody else's stays.

    Returns:
        Whether they do.
    """
    if CHECKOUT is None:
        return False
    link = CHECKOUT / ".env"
    with suppress(OSError):
        if link.is_symlink() and link.readlink().name == file().name:
            link.unlink()
        link.symlink_to(file())
    return link.is_symlink() and link.readlink() == file()
