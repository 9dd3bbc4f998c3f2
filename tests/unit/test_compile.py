"""The version stamp, where a tree has what is compiled, and what is said of a failed compilation."""

from __future__ import annotations

import re
from ipaddress import IPv6Network
from pathlib import Path

import pytest

from configs.errors import KubeV6Error
from configs.plan.versions import cluster_dns_address, image_tag, parse_version
from tasks.docker.toolchain import StatusError
from tasks.release.compile import (
    TARGETS,
    CompileError,
    Reported,
    _cause,
    is_the_trees,
    pause_source,
    pause_version,
    targets,
    version_file,
    version_stamp,
)

TREE = "0123456" + "f" * 33


@pytest.mark.parametrize("kubernetes", ["1.20.2", "v1.20.2", "1.9.0-alpha.0", "1.9.0-alpha.0.ipv6.0"])
def test_the_stamp_is_taken_by_all_who_read_it(kubernetes: str) -> None:
    stamp = version_stamp(kubernetes, "debian-1.20", TREE)

    assert stamp == f"v{kubernetes.removeprefix('v')}+kubev6.debian-1.20.0123456"
    # hack/lib/version.sh of Kubernetes refuses others.
    assert re.fullmatch(r"v(\d+)\.(\d+)(\.\d+)?(-[0-9A-Za-z.-]+)?(\+[0-9A-Za-z.-]+)?", stamp)
    # What is ours does not take part in comparing versions.
    assert not parse_version(stamp) < parse_version(kubernetes)
    assert not parse_version(kubernetes) < parse_version(stamp)
    assert re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}", image_tag(stamp))
    assert re.fullmatch(r"[A-Za-z0-9]([A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?", image_tag(stamp)), "a label's value"


def test_the_stamp_of_the_how_tos_release_keeps_the_rules_of_its_version() -> None:
    kubernetes = "1.9.0-alpha.0.ipv6.0"
    stamp = version_stamp(kubernetes, f"v{kubernetes}", TREE)

    # kubeadm of 2017 takes a version of this form, and puts _ for what a tag may not hold.
    assert re.fullmatch(r"v?\d+\.\d+\.\d+[-\w.+]*", stamp)
    assert image_tag(stamp) == "v1.9.0-alpha.0.ipv6.0_kubev6.v1.9.0-alpha.0.ipv6.0.0123456"
    services = IPv6Network("fd00:1234::/110")
    assert cluster_dns_address(services, stamp) == cluster_dns_address(services, kubernetes)


@pytest.mark.parametrize(("kubernetes", "major", "minor"), [("1.20.2", "1", "20"), ("1.9.0-alpha.0.ipv6.0", "1", "9")])
def test_the_version_file_says_all_that_kubernetes_would_ask_git(kubernetes: str, major: str, minor: str) -> None:
    stamp = version_stamp(kubernetes, "demo", TREE)
    assert version_file(Reported(stamp, "c0ffee" + "0" * 34, 1505433600)) == (
        f"KUBE_GIT_COMMIT='c0ffee{'0' * 34}'\n"
        "KUBE_GIT_TREE_STATE='clean'\n"
        f"KUBE_GIT_VERSION='v{kubernetes}+kubev6.demo.0123456'\n"
        f"KUBE_GIT_MAJOR='{major}'\n"
        f"KUBE_GIT_MINOR='{minor}'\n"
    )


def tree_of(root: Path, files: dict[str, str]) -> Path:
    """A tree of some files."""
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    return root


@pytest.mark.parametrize("place", ["cmd", "plugin/cmd"], ids=["since 1.10", "before"])
def test_the_scheduler_is_where_the_tree_has_it(tmp_path: Path, place: str) -> None:
    for name in TARGETS:
        (tmp_path / (place if name == "kube-scheduler" else "cmd") / name).mkdir(parents=True)

    assert set(targets(tmp_path)) == {f"{place if name == 'kube-scheduler' else 'cmd'}/{name}" for name in TARGETS}


def test_a_tree_without_a_program_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CompileError, match=r"has no cmd/kubeadm and no plugin/cmd/kubeadm"):
        targets(tmp_path)


CONSTANTS, KUBELET = "cmd/kubeadm/app/constants/constants.go", "cmd/kubelet/app/options/container_runtime.go"


@pytest.mark.parametrize(
    ("files", "version"),
    [
        ({CONSTANTS: 'const (\n\tPauseVersion = "3.2"\n)\n', "build/pause/Makefile": "TAG = 3.4.1\n"}, "3.2"),
        # What the kubelet asks for counts, not what the tree would make next.
        ({KUBELET: '\tdefaultPodSandboxImageVersion = "3.0"\n', "build/pause/Makefile": "TAG = 3.1\n"}, "3.0"),
        ({"build/pause/Makefile": "TAG ?= 3.0\n"}, "3.0"),
    ],
    ids=["kubeadm", "kubelet", "makefile"],
)
def test_the_version_of_pause_is_the_one_that_is_asked_for(tmp_path: Path, files: dict[str, str], version: str) -> None:
    assert pause_version(tree_of(tmp_path, files)) == version


@pytest.mark.parametrize("source", ["build/pause/linux/pause.c", "build/pause/pause.c"])
def test_the_source_of_pause_is_where_the_tree_has_it(tmp_path: Path, source: str) -> None:
    assert pause_source(tree_of(tmp_path, {source: ""})) == source


@pytest.mark.parametrize(
    ("output", "cause"),
    [
        (
            [
                "pkg/a",
                "# pkg/b",
                "pkg/b/b.go:7:2: undefined: x",
                "!!! [1123] Call tree:",
                "make: *** [all] Error 1",
            ],
            "pkg/b/b.go:7:2: undefined: x",
        ),
        (
            ["pkg/b/b.go:7:2: odd", "write /tmp/x: no space left on device"],
            "write /tmp/x: no space left on device",
        ),
        (["pause.c:3:1: error: expected ';'", "make: *** Error"], "pause.c:3:1: error: expected ';'"),
        (["+++ Building", "!!! Error in hack/x.sh:1"], "!!! Error in hack/x.sh:1"),
        (["nothing that is known"], ""),
    ],
)
def test_the_line_that_says_why(output: list[str], cause: str) -> None:
    assert _cause(output) == cause


@pytest.mark.parametrize(
    ("error", "its"),
    [
        (StatusError("compile", 2, ["pkg/b/b.go:7:2: undefined: x", "make: *** [all] Error 1"]), True),
        (StatusError("compile", 1, []), True),
        (StatusError("compile", 2, ["write /tmp/x: no space left on device", "make: *** [all] Error 1"]), False),
        (StatusError("compile", 2, ["go build k8s.io/x: /usr/lib/go/compile: signal: killed"]), False),
        (StatusError("compile", 2, ["fork/exec /usr/lib/go/compile: cannot allocate memory"]), False),
        (StatusError("compile", 137, ["pkg/b"]), False),
        (KubeV6Error("compile: its container went away"), False),
        (KubeV6Error("compile: was stopped after 7200 s", detail="pkg/b/b.go:7:2: undefined: x"), False),
    ],
)
def test_what_a_machine_lacks_is_not_laid_to_what_is_compiled(error: KubeV6Error, its: bool) -> None:
    assert is_the_trees(error) is its
