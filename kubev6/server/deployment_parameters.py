"""Parameters that somebody has given a deployment in Prefect's page, which `prefect deploy` would take away again."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from configs.errors import KubeV6Error
from kubev6.server.api import ask
from tasks import bounded
from tasks.paths import data_dir
from tasks.replace import write_whole

log = logging.getLogger("kubev6.server")
Parameters = Mapping[str, Any]


def merged(saved: Parameters, before: Parameters, now: Parameters) -> dict[str, Any]:
    """The parameters of a deployment, of which people give some in its file and some in Prefect's page. Pure.

    Args:
        saved: What the server has.
        before: What the file said when they were saved: what differs from it was given in the page.
        now: What the file says.
    """
    given = {name: value for name, value in saved.items() if name not in before or before[name] != value}
    return {**now, **given}


def saved(api: str) -> dict[str, Parameters]:
    """The parameters of every deployment that a server has, by its name.

    Raises:
        KubeV6Error: It does not answer.
    """
    return {each["name"]: each["parameters"] for each in ask(api, "/deployments/filter", {})}


def give_back(api: str, were: Mapping[str, Parameters], now: Mapping[str, Parameters]) -> None:
    """Give deployments that have just been made anew what people had given them, and write down what the file says.

    Args:
        api: The server's API.
        were: What :func:`saved` said before.
        now: What the file says, by the deployment's name.

    Raises:
        KubeV6Error: The server does not answer, or the file cannot be written.
    """
    before = bounded.kept(_file(), dict[str, dict[str, Any]], "what differs from the file now is kept") or {}
    for each in ask(api, "/deployments/filter", {}):
        name = each["name"]
        if name not in were or name not in now:
            continue
        known = each["parameter_openapi_schema"].get("properties", {})
        wanted = merged(were[name], before.get(name, now[name]), now[name])
        wanted = {parameter: value for parameter, value in wanted.items() if parameter in known}
        if wanted == each["parameters"]:
            continue
        try:
            ask(api, f"/deployments/{each['id']}", {"parameters": wanted}, method="PATCH")
        except KubeV6Error as error:  # what was right for an older version need not be now
            log.warning("deployment %s no longer takes the parameters that it had, %s: %s", name, wanted, error)
    write_whole(_file(), json.dumps({name: dict(parameters) for name, parameters in now.items()}, indent=1))


def _file() -> Path:
    """What the file said when the deployments were last made."""
    return data_dir() / "deployments.json"
