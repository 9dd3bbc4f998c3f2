"""The Debian image that every other image is made from.

It is pulled where a registry answers, else made with debootstrap; either way its apt uses the archive that this
machine uses, and it is made again when that changes.
"""

from __future__ import annotations

import hashlib
import json
import os
import selectors
import shutil
import subprocess
import tempfile
import time
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import docker
import docker.errors

from configs.errors import KubeV6Error
from configs.render import render
from tasks import bounded
from tasks.docker import apt_sources, container_engine
from tasks.docker import build as docker_build
from tasks.docker.apt_sources import CODENAME, AptSources
from tasks.docker.pull import pull
from tasks.docker.root import by_root, search_path
from tasks.exclusive import exclusive
from tasks.paths import cache_dir
from tasks.steps import Step, go_on, step

SCRIPTS = Path("/usr/share/debootstrap/scripts")
NEWEST_SCRIPT = SCRIPTS / "sid"
"""By which debootstrap makes a Debian that is newer than itself."""
BOOTSTRAP_DEADLINE = 900
"""Seconds that debootstrap may take."""
PRINTED = 64 << 20
"""Bytes that it may print, which are some KiB."""
KILL_AFTER = 5
"""Seconds that it has to end when it is asked to."""
TIMED_OUT = (124, 137)
"""Exit statuses of timeout(1) when it has ended a command, the second when that had to be killed."""

_ENVIRONMENT = {"DEBIAN_FRONTEND": "noninteractive", "LANG": "C.UTF-8"}
_LEFT_OUT = (
    "var/cache/apt/*",
    "var/lib/apt/lists/*",
    "var/log/*",
    "usr/share/info/*",
    "usr/share/locale/*",
    "usr/share/man/*",
)


def image_name(codename: str) -> str:
    """What the base image of a Debian is called."""
    return f"kubev6/base:{codename}"


def published(codename: str) -> str:
    """Repository and tag of the same thing in a registry."""
    return f"debian:{codename}-slim"


def base_image(codename: str = CODENAME) -> str:
    """The Debian base image, pulled or made when this machine's engine does not hold a current one.

    Args:
        codename: Which Debian.

    Returns:
        Its reference, for example ``kubev6/base:bookworm``.

    Raises:
        KubeV6Error: It can neither be pulled nor made.
    """
    client, image, wanted = container_engine.client(), image_name(codename), published(codename)
    with exclusive(cache_dir() / "base-image.lock"):
        sources = apt_sources.read().of(codename)
        inputs = _inputs(sources)
        if docker_build.is_current(client, image, inputs):
            return image
        with step("docker", "base image") as shown:
            refused = pull(wanted, shown)
            if not refused:
                _derive(client, sources, inputs, shown)
                shown.ended_as(f"from {wanted}")
            else:
                _bootstrap(client, sources, inputs, shown)
                shown.ended_as(f"made with debootstrap; {wanted} could not be pulled: {refused}")
    return image


def _inputs(sources: AptSources) -> str:
    parts = (
        sources.codename,
        sources.digest(),
        render("dpkg-small.cfg"),
        json.dumps(_ENVIRONMENT, sort_keys=True),
        *_LEFT_OUT,
    )
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()


def _files(sources: AptSources) -> dict[str, str]:
    """The files that make apt and dpkg in an image ours, by path without the leading slash."""
    files = {
        "etc/apt/apt.conf.d/90kubev6": sources.apt_conf(),
        "etc/dpkg/dpkg.cfg.d/90kubev6": render("dpkg-small.cfg"),
    }
    if sources.suites:
        files["etc/apt/sources.list"] = sources.sources_list()
    return files


def _derive(client: docker.DockerClient, sources: AptSources, inputs: str, shown: Step) -> None:
    """Make the base image from the pulled one."""
    values = {
        "published": published(sources.codename),
        "environment": _ENVIRONMENT,
        "own_sources": bool(sources.suites),
    }
    files = {f"files/{path}": text.encode() for path, text in _files(sources).items()}
    bundle = Path("/etc/ssl/certs/ca-certificates.crt")
    if bundle.exists():
        files["files/etc/ssl/certs/ca-certificates.crt"] = bundle.read_bytes()
    files["Dockerfile"] = render("base-image.Dockerfile", **values).encode()
    with docker_build.context_of(files) as context:
        docker_build.build(client, image_name(sources.codename), context, inputs=inputs, shown=shown)


def _bootstrap(client: docker.DockerClient, sources: AptSources, inputs: str, shown: Step) -> None:
    """Make the base image from the archive's packages."""
    origin = sources.main
    if shutil.which("debootstrap", path=search_path()) is None:
        raise KubeV6Error(
            "no registry answers, and debootstrap, which would make the base image, is not on this machine",
            todo="apt-get install debootstrap",
        )
    cache_dir().mkdir(parents=True, exist_ok=True)
    scratch = Path(tempfile.mkdtemp(prefix="base-image-", dir=cache_dir()))
    root = scratch / "root"
    try:
        proxies = {f"{scheme}_proxy": sources.proxy(scheme) for scheme in ("http", "https")}
        settings = [f"{key}={value}" for key, value in {**_ENVIRONMENT, **proxies}.items() if value]
        command = ["debootstrap", "--variant=minbase", "--include=ca-certificates"]
        own = SCRIPTS / sources.codename
        script = [] if own.exists() else [str(NEWEST_SCRIPT)]
        _run_root(["env", *settings, *command, sources.codename, str(root), origin.uri, *script], shown)
        for path, text in _files(sources).items():
            staged = scratch / "staged"
            staged.write_text(text)
            _run_root(["install", "-D", "-m", "0644", str(staged), str(root / path)], shown)
        doomed = [str(found) for pattern in _LEFT_OUT for found in root.glob(pattern)]
        _run_root(["rm", "-rf", *doomed], shown)
        documents = str(root / "usr/share/doc")
        _run_root(["find", documents, "!", "-type", "d", "!", "-name", "copyright", "-delete"], shown)
        shown.progress("importing")
        _import(client, root, scratch / "root.tar", image_name(sources.codename), inputs, shown)
    finally:  # also when everything is to stop
        subprocess.run(by_root(["rm", "-rf", str(scratch)]), stderr=subprocess.DEVNULL, check=False)


def _import(client: docker.DockerClient, root: Path, archive: Path, image: str, inputs: str, shown: Step) -> None:
    _run_root(["tar", "--numeric-owner", "-C", str(root), "-cf", str(archive), "."], shown)
    _run_root(["chmod", "0644", str(archive)], shown)
    repository, tag = image.split(":")
    changes = [f"ENV {key}={value}" for key, value in _ENVIRONMENT.items()]
    changes += [f"LABEL {key}={value}" for key, value in docker_build.labels(inputs).items()]
    changes += ['CMD ["bash"]']
    with archive.open("rb") as data:
        # The SDK hands the file to requests, which streams it; its type says bytes.
        body: Any = data
        answer = client.api.import_image_from_data(body, repository=repository, tag=tag, changes=changes)
    if '"error"' in str(answer):
        raise KubeV6Error("the Docker engine refused the base image", detail=str(answer))


def _run_root(command: list[str], shown: Step) -> None:
    """Run a command as root, its lines as progress; however that ends, it and its children have ended too."""
    tail: deque[str] = deque(maxlen=40)
    # timeout(1) runs as root too, so it can end what this user may not, and its children with it.
    limits = ["timeout", f"--kill-after={KILL_AFTER}", str(BOOTSTRAP_DEADLINE)]
    deadline = time.monotonic() + BOOTSTRAP_DEADLINE
    process = subprocess.Popen(
        by_root([*limits, *command]),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env={**os.environ, "PATH": search_path()},
    )
    assert process.stdout is not None
    try:
        for line in map(str.strip, bounded.lines(_pieces(process.stdout), PRINTED)):
            if line:
                tail.append(line)
                shown.progress(line.removeprefix("I: "))
        status = process.wait()
    except bounded.TooMuchError as error:
        raise KubeV6Error(f"making the base image: {error}", detail="\n".join(tail)) from None
    finally:
        _end(process)
    program = next(word for word in command if word != "env" and "=" not in word)
    if status in TIMED_OUT and time.monotonic() > deadline:
        raise KubeV6Error(
            f"making the base image: {program} did not end in {BOOTSTRAP_DEADLINE} s",
            todo="see whether the package mirror is slow, and run it again",
            transient=True,
            detail="\n".join(tail),
        )
    if status != 0:
        last = tail[-1] if tail else "no output"
        raise KubeV6Error(
            f"making the base image: {program} ended with status {status}: {last}",
            todo="see whether `apt-get update` works on this machine",
            detail="\n".join(tail),
        )


def _pieces(output: IO[bytes]) -> Iterator[bytes]:
    """What a command writes. One that is silent can be stopped too."""
    with selectors.DefaultSelector() as ready:
        ready.register(output, selectors.EVENT_READ)
        while True:
            go_on()
            if ready.select(timeout=1.0):
                if not (piece := os.read(output.fileno(), 1 << 16)):
                    return
                yield piece


def _end(process: subprocess.Popen[bytes]) -> None:
    """End a command of root's that is still under way."""
    assert process.stdout is not None
    if process.poll() is None:
        # sudo passes a signal on, but not one that comes from its own process group.
        kill = by_root(["kill", str(process.pid)])
        subprocess.run(kill, process_group=0, stderr=subprocess.DEVNULL, check=False)
        process.wait()
    process.stdout.close()
