"""What the images of labs are called, and what their names say of machines that were made from them."""

from __future__ import annotations

from dataclasses import astuple

import pytest

from configs.errors import ConfigError
from configs.schema.cluster import Lab
from tasks.docker.apt_sources import AptSources, Suite
from tasks.lab.images import Made, image_names, kinds, made_as, read_name


@pytest.mark.parametrize(
    ("made", "names"),
    [
        (Made(), ("kubev6/lab-machine:bookworm", "kubev6/lab-node:bookworm", "kubev6/lab-support:bookworm")),
        (
            Made("netplan", "trixie", "docker"),
            (
                "kubev6/lab-machine-netplan:trixie",
                "kubev6/lab-docker-node-netplan:trixie",
                "kubev6/lab-support-netplan:trixie",
            ),
        ),
        (
            Made("ifupdown", containerd="2"),
            (
                "kubev6/lab-machine-ifupdown:bookworm",
                "kubev6/lab-node-ifupdown-containerd-2:bookworm",
                "kubev6/lab-support-ifupdown:bookworm",
            ),
        ),
    ],
)
def test_images_are_named_by_what_is_in_them(made: Made, names: tuple[str, ...]) -> None:
    assert astuple(image_names(made)) == names


def test_an_image_says_what_its_machine_was_made_as() -> None:
    for made in kinds():
        names = image_names(made)
        assert read_name(names.node) == made
        plain = made._replace(runtime=None, containerd=None, keepalived=None)
        assert read_name(names.machine) == read_name(names.support) == plain
    assert read_name("debian:bookworm-slim") is None


def test_what_the_file_and_the_release_want_of_the_machines() -> None:
    assert made_as(Lab(networking="netplan", containerd="2"), "containerd") == Made("netplan", containerd="2")
    assert made_as(Lab(debian="trixie"), "docker") == Made(debian="trixie", runtime="docker")
    with pytest.raises(ConfigError, match=r"^lab.containerd is 2, and docker is to run the containers of the nodes"):
        made_as(Lab(containerd="2"), "docker")


def test_another_debian_comes_from_the_same_archive() -> None:
    ours = AptSources(
        (
            Suite("http://mirror.test/debian/", "bookworm", ("main",)),
            Suite("http://mirror.test/debian-security/", "bookworm-security", ("main", "contrib")),
        ),
        ('Acquire::http::Proxy "http://proxy.test:3128";',),
    )
    newer = ours.of("trixie")
    assert newer.suites == (
        Suite("http://mirror.test/debian/", "trixie", ("main",)),
        Suite("http://mirror.test/debian-security/", "trixie-security", ("main", "contrib")),
    )
    assert newer.main == newer.suites[0]
    assert newer.settings == ours.settings
    assert newer.digest() != ours.digest()
    assert b"http://mirror.test/debian/ forky main" in newer.newer("forky")["kubev6-newer.list"]
    assert ours.of("bookworm") == ours
