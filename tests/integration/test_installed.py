"""A kubev6 that was installed from a wheel, in an empty directory: no file of the checkout is there.

The packages that it uses are those of the tests' own environment, so that nothing is fetched.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import sysconfig
import venv
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

from configs.schema.loading import shipped
from kubev6.server import login
from kubev6.server.api import ask
from tests.checkout import REPO
from tests.integration.git_project import Project


@dataclass(frozen=True)
class Installed:
    """A virtual environment that holds it, and the empty directory where it is run."""

    python: Path
    directory: Path

    def run(self, *words: str | Path, **environment: str) -> tuple[int, str, str]:
        """Run a module of its Python; exit status and both outputs with single spaces."""
        done = subprocess.run(
            [str(self.python), "-m", *map(str, words)],
            cwd=self.directory,
            env={**os.environ, **environment},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        return done.returncode, " ".join(done.stdout.split()), " ".join(done.stderr.split())


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installed]:
    room = tmp_path_factory.mktemp("installed")
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(room)]
    subprocess.run(build, cwd=REPO, capture_output=True, check=True, timeout=60)
    (wheel,) = room.glob("*.whl")
    venv.create(room / "venv")
    python = room / "venv" / "bin" / "python"
    words = ["--python", str(python), "install", "--quiet", "--no-deps", "--no-index", str(wheel)]
    subprocess.run([sys.executable, "-m", "pip", *words], check=True, timeout=60)
    (ours,) = (room / "venv" / "lib").glob("*/site-packages")
    (ours / "dependencies.pth").write_text(f"{sysconfig.get_path('purelib')}\n")
    (room / "empty").mkdir()
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith(("PREFECT_", "PYTHONPATH"))]:
            patch.delenv(name)
        patch.setenv("KUBEV6_DATA", str(room / "data"))
        patch.setenv("KUBEV6_CACHE", str(room / "cache"))
        patch.setenv("COLUMNS", "300")
        yield Installed(python, room / "empty")


def test_it_is_the_wheel_s_own_code_and_says_the_wheel_s_version(installed: Installed) -> None:
    (dist_info,) = (installed.python.parents[1] / "lib").glob("*/site-packages/kubev6-*.dist-info")
    version = dist_info.name.removeprefix("kubev6-").removesuffix(".dist-info")
    assert installed.run("kubev6", "--version") == (0, f"kubev6 {version}", "")


def test_what_it_renders_is_what_the_checkout_renders(installed: Installed) -> None:
    status, out, err = installed.run("kubev6", "render", "lab")
    assert status == 0, err
    words = [sys.executable, "-m", "kubev6", "render", "lab"]
    here = subprocess.run(words, cwd=REPO, capture_output=True, text=True, check=True, timeout=60)
    assert out == " ".join(here.stdout.split())


def test_it_knows_every_shipped_release_and_series(installed: Installed) -> None:
    status, out, err = installed.run("kubev6", "releases")
    assert status == 0, err
    assert all(f"{name}: can be " in out for name in shipped("releases"))
    status, _, err = installed.run("kubev6", "series", "apply", "no-such")
    assert status == 1
    assert all(path.stem in err for path in (REPO / "build" / "series").glob("*.yaml"))


def test_it_picks_a_series(installed: Installed, tmp_path: Path) -> None:
    project = Project(tmp_path / "project")
    base = project.commit("Base", {"a": "1\n"})
    patch = project.commit("Make a two", {"a": "2\n"})
    series = {
        "remotes": {"ours": str(project.path)},
        "base": {"remote": "ours", "commit": base},
        "patches": [{"remote": "ours", "commit": patch}],
    }
    (installed.directory / "mine.yaml").write_text(yaml.safe_dump(series))
    status, out, err = installed.run("kubev6", "series", "apply", "mine.yaml", "--json")
    assert status == 0, err
    assert [each["title"] for each in json.loads(out)["patches"]] == ["Make a two"]


@pytest.fixture(scope="module")
def server(installed: Installed) -> Iterator[str]:
    """The API of the server that it keeps."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    api = f"http://127.0.0.1:{port}/api"
    try:
        status, out, err = installed.run("kubev6", "server", "up", "--port", str(port))
        assert status == 0, err
        assert f" . {login.file()} " in out
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv(login.LOGIN, login.of(api))
            yield api
    finally:
        assert installed.run("kubev6", "server", "down")[0] == 0


def test_a_run_of_a_deployment_that_cannot_be_says_why(installed: Installed, server: str) -> None:
    status, out, _ = installed.run("prefect", "deployment", "ls", PREFECT_API_URL=server)
    assert status == 0
    nightly = ("nightly-rebuild", "nightly-e2e", "nightly-backup")
    assert all(f"kubev6/{name}" in out for name in ("build-and-deploy", "deploy-prebuilt", *nightly))
    assert run_of(installed, server, "build-and-deploy", cluster="/home/me/rack.yaml") == (
        "/home/me/rack.yaml: cannot be read: No such file or directory; check the path"
    )


def test_deployments_that_the_version_before_saved_go_on_working(installed: Installed, server: str) -> None:
    before = yaml.safe_load((REPO / "prefect.yaml").read_text())
    for deployment in before["deployments"]:
        module, _, name = deployment["entrypoint"].rpartition(".")
        deployment["entrypoint"] = f"{module.replace('.', '/')}.py:{name}"
    of_a_person = {**before["deployments"][0], "name": "mine", "parameters": {"cluster": "/home/me/mine.yaml"}}
    before["deployments"].append(of_a_person)
    (installed.directory / "before.yaml").write_text(yaml.safe_dump(before))
    words = ["--no-prompt", "deploy", "--all", "--prefect-file", str(installed.directory / "before.yaml")]
    environment = {**os.environ, "PREFECT_API_URL": server}
    subprocess.run([sys.executable, "-m", "prefect", *words], cwd=REPO, env=environment, check=True, timeout=120)
    assert entrypoints(server)["build-and-deploy"] == "flows/deploy.py:deploy"

    port = server.removesuffix("/api").rpartition(":")[2]
    status, _, err = installed.run("kubev6", "server", "up", "--port", port)
    assert status == 0, err
    assert entrypoints(server) == {
        "build-and-deploy": "flows.deploy.deploy",
        "deploy-prebuilt": "flows.deploy.deploy",
        "nightly-rebuild": "flows.nightly.nightly",
        "nightly-e2e": "flows.nightly.nightly",
        "nightly-backup": "flows.backup.backup",
        "mine": "flows/deploy.py:deploy",
    }
    for name, cluster in (("deploy-prebuilt", "/home/me/rack.yaml"), ("mine", "/home/me/mine.yaml")):
        given = {} if name == "mine" else {"cluster": cluster}
        assert run_of(installed, server, name, **given).startswith(f"{cluster}: cannot be read: No such file")


def run_of(installed: Installed, server: str, deployment: str, **parameters: str) -> str:
    """What the run of a deployment ends with, which fails."""
    given = [word for name, value in parameters.items() for word in ("--param", f"{name}={value}")]
    words = ("deployment", "run", f"kubev6/{deployment}", "--watch", *given)
    status, out, _ = installed.run("prefect", "--no-prompt", *words, PREFECT_API_URL=server)
    assert status == 1, out
    (last, *_) = ask(server, "/flow_runs/filter", {"sort": "EXPECTED_START_TIME_DESC", "limit": 1})
    assert last["state"]["type"] == "FAILED"
    return str(last["state"]["message"])


def entrypoints(server: str) -> dict[str, str]:
    """Of every deployment that a server knows."""
    return {each["name"]: each["entrypoint"] for each in ask(server, "/deployments/filter", {})}
