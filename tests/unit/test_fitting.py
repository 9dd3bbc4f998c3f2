"""Whether a machine's parts fit a release, as tables."""

from __future__ import annotations

import pytest

from configs.versions import Runtime
from tasks.node.fitting import Parts, iptables_doubt, parse, problem

HOW_TO = "v1.9.0-alpha.0.ipv6.0"


@pytest.mark.parametrize(
    ("said", "parts"),
    [
        ("Docker version 20.10.24+dfsg1, build 297e128\niptables v1.8.9 (nf_tables)\n", Parts("20.10", "nft")),
        ("Docker version 1.13.1, build 7d71120/1.13.1\niptables v1.4.21\n", Parts("1.13", "legacy")),
        ("  Candidate: 5:24.0.7-1~debian.12~bookworm\niptables v1.8.9 (legacy)\n", Parts("24.0", "legacy")),
        ("  Candidate: (none)\n", Parts()),
        ("Name        : docker\nVersion     : 1.13.1\nRelease     : 209.git7d71120.el7\n", Parts("1.13")),
        ("containerd github.com/containerd/containerd 1.6.20~ds1 1.6.20~ds1-1+b1\n", Parts("1.6")),
        (
            "containerd github.com/containerd/containerd/v2 v2.1.4 75cb2b7\niptables v1.8.11 (nf_tables)\n",
            Parts("2.1", "nft"),
        ),
        ("iptables v1.8.9 (nf_tables)\n", Parts("", "nft")),
        ("", Parts()),
        ('KUBELET_KUBEADM_ARGS="--network-plugin=cni --node-ip=fd00::101"\n', Parts("", "", "docker")),
        (
            'iptables v1.8.9 (nf_tables)\nKUBELET_KUBEADM_ARGS="--container-runtime=remote '
            '--container-runtime-endpoint=/run/containerd/containerd.sock"\n',
            Parts("", "nft", "containerd"),
        ),
        ('KUBELET_KUBEADM_ARGS="--pod-infra-container-image=registry.k8s.io/pause:3.10"\n', Parts()),
    ],
)
def test_versions_are_read_however_they_are_told(said: str, parts: Parts) -> None:
    assert parse(said) == parts


@pytest.mark.parametrize(
    ("docker", "cni", "wrong"),
    [
        ("1.13", "0.6.0", False),
        ("17.03", "0.6.0", False),
        ("17.06", "0.6.0", True),
        ("20.10", "0.6.0", True),
        ("20.10", "0.7.0", False),
        ("20.10", "1.8.0", False),
        ("20.10", "", False),
        ("", "0.6.0", False),
    ],
)
def test_a_docker_that_hides_ipv6_is_refused_with_plugins_that_do_not_show_it(
    docker: str, cni: str, wrong: bool
) -> None:
    found = problem("docker", Parts(docker), HOW_TO, cni)
    assert bool(found) is wrong
    if wrong:
        assert f"its Docker is {docker} and the release's CNI plugins are {cni}" in found
        assert "`cni: system`" in found
        assert "where it has none deploy a copy of the release's file with newer ones under `cni:`" in found


@pytest.mark.parametrize(
    ("containerd", "version", "wrong"),
    [
        ("1.6", "v1.20.2", ""),
        ("2.0", "v1.20.2", "wants one before 2.0"),
        ("2.0", "v1.23.17", ""),
        ("1.4", "v1.25.16", ""),
        ("1.4", "v1.34.2", "works with 1.6 and newer"),
        ("1.7", "v1.35.0", ""),
        ("1.7", "v1.36.0", "works with 2.0 and newer"),
        ("2.1", "v1.36.0", ""),
        ("", "v1.36.0", ""),
    ],
)
def test_a_containerd_that_speaks_another_interface_is_refused(containerd: str, version: str, wrong: str) -> None:
    runtime: Runtime = "containerd"
    found = problem(runtime, Parts(containerd), version, "")
    assert bool(found) is bool(wrong)
    assert wrong in found


@pytest.mark.parametrize("runtime", ["docker", "containerd"])
def test_the_runtime_under_a_node_of_a_cluster_is_not_changed(runtime: Runtime) -> None:
    other: Runtime = "containerd" if runtime == "docker" else "docker"
    assert f"containers {other} runs, not {runtime}" in problem(runtime, Parts("1.6", in_use=other), "v1.20.2", "")
    assert problem(runtime, Parts("1.6", in_use=runtime), "v1.20.2", "") == ""


@pytest.mark.parametrize(
    ("iptables", "version", "doubtful"),
    [
        ("nft", HOW_TO, True),
        ("nft", "v1.16.15", True),
        ("nft", "v1.17.0", False),
        ("legacy", HOW_TO, False),
        ("", HOW_TO, False),
    ],
)
def test_an_old_kube_proxy_and_a_node_with_the_other_iptables_are_warned_of(
    iptables: str, version: str, doubtful: bool
) -> None:
    assert bool(iptables_doubt(Parts("", iptables), version)) is doubtful
