"""Secrets that a Prefect server keeps: `Secret` blocks, for those who would rather not have them on the worker's disk.

``KUBEV6_SUDO_PASSWORD_BLOCK=ops`` names the block `ops`. It is read at the start of a run, into the memory of that
run's process alone; blocks that nobody names are not asked for.
"""

from __future__ import annotations

from typing import Any, cast

from configs.errors import KubeV6Error, UnansweredError
from flows.run.redaction import hide_in_all
from tasks import secrets


def provide() -> None:
    """Have all secrets that the environment names, before anything is touched that may want one.

    What tells of the run, Prefect's logs too, hides them from now on.

    Raises:
        KubeV6Error: A block is not there, the Prefect server does not answer, or a file cannot be used.
    """
    for variable in secrets.KINDS:
        if name := secrets.block_of(variable):
            secrets.hold(variable, _read(name, variable), f"the Prefect block {name} ({variable}_BLOCK)")
        secrets.secret(variable)
    hide_in_all()


def _read(name: str, variable: str) -> str:
    import httpx
    from prefect.blocks.system import Secret

    try:
        value = cast(Secret[Any], Secret.load(name)).get()
    except ValueError:
        raise KubeV6Error(
            f"{variable}_BLOCK names {name!r}, and the Prefect server has no Secret block of that name",
            todo=f"make it on the server's page, under Blocks, or name a file by {variable}_FILE",
        ) from None
    except httpx.HTTPError as error:
        seen = f"the Prefect server did not give the Secret block {name} of {variable}_BLOCK"
        raise UnansweredError(seen, error, todo="kubev6 server status") from None
    if not isinstance(value, str):
        seen = f"the Secret block {name} ({variable}_BLOCK) holds no text"
        raise KubeV6Error(seen, todo="write only the secret there")
    return value
