"""prefect.yaml: every entrypoint, schedule and parameter is one that a server and a worker can use."""

from __future__ import annotations

import importlib
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from prefect.client.schemas.schedules import CronSchedule

from configs.errors import ConfigError
from configs.schema.loading import shipped
from flows import parameters
from flows.build import build
from kubev6.server import kept_server
from tests.checkout import REPO

FILE = yaml.safe_load((REPO / "prefect.yaml").read_text())
DEPLOYMENTS: list[dict[str, Any]] = FILE["deployments"]
each_deployment = pytest.mark.parametrize("deployment", DEPLOYMENTS, ids=lambda deployment: deployment["name"])


def flow_of(deployment: dict[str, Any]) -> Any:
    module, _, name = deployment["entrypoint"].rpartition(".")
    return getattr(importlib.import_module(module), name)


def validated(name: str, **parameters: Any) -> Any:
    (deployment,) = (each for each in DEPLOYMENTS if each["name"] == name)
    return flow_of(deployment).validate_parameters({**deployment["parameters"], **parameters})


def test_the_deployments_are_those_that_the_documentation_names() -> None:
    assert [each["name"] for each in DEPLOYMENTS] == [
        "build-and-deploy",
        "deploy-prebuilt",
        "nightly-rebuild",
        "nightly-e2e",
        "nightly-backup",
    ]


@each_deployment
def test_the_flow_of_a_deployment_is_there_and_called_kubev6(deployment: dict[str, Any]) -> None:
    assert flow_of(deployment).name == "kubev6"
    assert deployment["work_pool"]["name"] == kept_server.POOL
    assert "pull" not in FILE


@each_deployment
def test_the_parameters_of_a_deployment_are_parameters_of_its_flow(deployment: dict[str, Any]) -> None:
    schema = flow_of(deployment).parameters.model_dump()
    assert set(deployment["parameters"]) <= set(schema["properties"])
    assert all(about.get("description") for about in schema["properties"].values()), "what the page shows"
    missing = set(schema.get("required", ())) - set(deployment["parameters"])
    if missing:
        assert deployment["schedules"], "only a schedule may leave out what a person has to say"
    else:
        flow_of(deployment).validate_parameters(deployment["parameters"])


def test_schedules_have_a_slug_a_cron_and_a_time_zone_that_exists() -> None:
    schedules = [schedule for each in DEPLOYMENTS for schedule in each.get("schedules", ())]
    assert schedules
    for schedule in schedules:
        assert schedule["slug"]
        CronSchedule(cron=schedule["cron"], timezone=schedule["timezone"])
        assert "active" not in schedule, "deploying again would undo what the person has turned on or off"


def test_the_version_of_prefect_is_the_one_that_is_installed() -> None:
    lock = (REPO / "requirements.lock").read_text()
    assert re.search(rf"^prefect=={re.escape(FILE['prefect-version'])} ", lock, re.MULTILINE)


@pytest.mark.parametrize("wrong", [{"cron": "30 25 * * *"}, {"timezone": "Europe/Atlantis"}])
def test_a_schedule_that_is_wrong_would_be_seen_above(wrong: dict[str, str]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        CronSchedule.model_validate({"cron": "30 2 * * *", "timezone": "Etc/UTC", **wrong})


@pytest.mark.parametrize("name", shipped("clusters"))
def test_every_shipped_cluster_can_be_named(name: str) -> None:
    assert validated("build-and-deploy", cluster=name)["cluster"] == name


@pytest.mark.parametrize(
    "parameters",
    [
        {"cluster": "/home/me/rack.yaml", "release": "/srv/my release.yml"},
        {"release": ""},
        {"mirror": "http://mirror.example:8080/kubev6"},
        {"mirror": "/media/usb"},
        {"if_busy": "refuse"},
        {"refresh": "compile"},
    ],
)
def test_parameters_that_are_right_are_taken(parameters: dict[str, Any]) -> None:
    assert parameters.items() <= validated("build-and-deploy", **parameters).items()


@pytest.mark.parametrize(
    "parameters",
    [
        {"cluster": "labb"},
        {"cluster": "rack.yaml"},
        {"release": "debian-1x20"},
        {"prebuilt": "perhaps"},
        {"mirror": "usb"},
        {"mirror": "/media/\x00usb"},
        {"cluster": "/home/me/\x1b[2Jrack.yaml"},
        {"cluster": "/home/me/rack.yaml\n"},
        {"release": "/" + 5000 * "x"},
        {"mirror": "http://me:secret@mirror.example/"},
        {"if_busy": "wait a bit"},
        {"refresh": "compilation"},
    ],
)
def test_parameters_that_cannot_be_right_are_refused(parameters: dict[str, Any]) -> None:
    with pytest.raises(Exception, match=next(iter(parameters))):
        validated("build-and-deploy", **parameters)


@pytest.mark.parametrize(
    ("place", "good"),
    [
        ("https://github.com/kubernetes/kubernetes", True),
        ("ssh://git@host.example/repository", True),
        ("git@host.example:repository.git", True),
        ("git@[fd00::64]:repository.git", True),
        ("https://token@host.example/repository", False),
        ("host:repository.git", True),
        ("file:///srv/repository", True),
        ("ftp://host.example/repository", True),
        ("/srv/fork.bundle", True),
        ("fork.bundle", False),
        ("https://me:secret@host.example/repository", False),
        ("https://me:secret@host.example:8443/repository", False),
        ("me:secret@host.example/repository", False),
        ("ext::/srv/program", False),
        ("host::program", False),
        ("git@host.example::program", False),
        ("-oProxyCommand=program:x", False),
        ("git@-oProxyCommand=program:x", False),
        ("-o@host.example:x", False),
        ("ssh://-oProxyCommand=program/x", False),
        ("ssh://-o@host.example/x", False),
        ("/srv/\x1b[2J", False),
        ("/srv/" + 5000 * "x", False),
    ],
)
def test_a_source_is_an_address_without_a_secret_or_a_whole_path(place: str, good: bool) -> None:
    parameters: dict[str, Any] = {"release": "debian-1.20", "sources": {"upstream": place}}
    if good:
        assert validated("nightly-rebuild", **parameters)["sources"] == {"upstream": place}
        assert build.validate_parameters({"sources": {"upstream": place}})["sources"] == {"upstream": place}
    else:
        with pytest.raises(Exception, match="sources"):
            validated("nightly-rebuild", **parameters)
        with pytest.raises(Exception, match="sources"):
            build.validate_parameters({"sources": {"upstream": place}})


def test_a_source_that_is_given_as_a_relative_path_becomes_a_whole_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "host:clone").mkdir()
    assert parameters.source("fork.bundle") == str(tmp_path / "fork.bundle")
    assert parameters.source("host:clone") == str(tmp_path / "host:clone")
    assert parameters.source("host:other") == "host:other"
    assert parameters.source("https://host.example/x") == "https://host.example/x"


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ("ext::sh -c x", "ext::sh -c x"),
        ("https:///x", "https:///x"),
        ("gopher://host.example/x", "gopher://host.example/x"),
        ("me:secret@host.example/x", "host.example/x"),
    ],
)
def test_a_source_that_git_cannot_fetch_from_is_refused_in_words(given: str, told: str) -> None:
    with pytest.raises(ConfigError, match=f"^--source: {told} is no address of a git repository; give a URL"):
        parameters.source(given)


@pytest.mark.parametrize(
    ("parameters", "wrong"),
    [
        ({}, ""),
        ({"keys": ["ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAI me@here", "/home/me/backup.pub"], "keep": 0}, ""),
        ({"to": "/srv/backups"}, ""),
        ({"keys": ["backup.pub"]}, "keys"),
        ({"keys": ["AGE-SECRET-KEY-1QQQQ"]}, "keys"),
        ({"keys": "none"}, "keys"),
        ({"to": "backups"}, "to"),
        ({"keep": -1}, "keep"),
    ],
)
def test_a_backup_is_to_public_keys_and_a_whole_path(parameters: dict[str, Any], wrong: str) -> None:
    given = {"cluster": "lab", "keys": ["age1qqqqqqqqqqqqqqqqqqqqqqqqqqqq"], **parameters}
    if wrong:
        with pytest.raises(Exception, match=wrong):
            validated("nightly-backup", **given)
    else:
        assert validated("nightly-backup", **given)["keep"] == parameters.get("keep", 7)


@pytest.mark.parametrize("keep", [0, -1, 366])
def test_a_number_of_dates_to_keep_is_within_reason(keep: int) -> None:
    with pytest.raises(Exception, match="keep"):
        validated("nightly-rebuild", release="debian-1.20", keep=keep)
