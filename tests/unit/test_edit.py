"""What a person is told of an edit, as it came onto a cluster."""

from __future__ import annotations

from configs.manifest import BinaryEntry, ImageEntry, Manifest, SourceEntry, changed_parts
from kubev6.console.edit import summary
from kubev6.console.listener import Ended
from tasks.kubernetes.checks import Check
from tasks.node.change import Change


def release(kubelet: str = "a", proxy: str = "b") -> Manifest:
    return Manifest(
        name="mine",
        version="v1.20.2+kubev6.working-tree",
        key="0" * 64,
        created="now",
        source=SourceEntry(kind="built", origin="here"),
        binaries=(BinaryEntry(name="kubelet", sha256=kubelet * 64, size=1),),
        images=(ImageEntry(name="kube-proxy", tag="1", digest=f"sha256:{proxy * 64}", size=1),),
    )


def test_what_differs_is_told_by_its_bytes() -> None:
    assert changed_parts(release(), release()) == ()
    assert changed_parts(release(), release(proxy="c")) == ("kube-proxy",)
    assert changed_parts(release(), release("d", "c")) == ("kubelet", "kube-proxy")
    assert changed_parts(None, release()) == ("kubelet", "kube-proxy")


def test_one_screen_says_what_an_edit_came_to() -> None:
    replaced = [Change("binary", "/usr/bin/kubelet", "replace", node=f"kube-worker-{number}") for number in range(5)]
    proxy = Change("add-on", "daemonset/kube-proxy", "change", after="image x in place of y", node="lab")
    changes = [*replaced, proxy, Change("service", "kubelet.service", "restart", node="kube-worker-1")]
    checks = [Check("pod to pod", "a", "b", True, "fetched", 0.1), Check("DNS", "a", "b", False, "nothing", 0.1)]
    ended = [
        Ended("working tree", "read", 0.0, 0.5, ok=True, text="changed: cmd/kubelet/kubelet.go"),
        Ended("mine", "compile", 1.0, 12.0, ok=True),
        Ended("kubelet", "image", 13.0, 2.0, ok=True),
        Ended("kube-proxy", "image", 14.0, 2.0, ok=True),
        Ended("lab", "proof", 20.0, 2.0, ok=True),
        Ended("lab", "proof", 30.0, 3.0, ok=True),
    ]
    assert summary(release(), release("d", "c"), changes, checks, ended, 40.0).splitlines() == [
        "tree       changed: cmd/kubelet/kubelet.go",
        "different  kubelet, kube-proxy",
        "replaced   kubelet on 5 machines; kube-proxy on lab",
        "proof      1 of 2 checks hold",
        "took       40.0 s: compile 12.0 s, image 3.0 s, proof 5.0 s, the rest the machines",
    ]
    untouched = summary(release(), release(), [], checks[:1], ended[:1], 6.0).splitlines()
    assert untouched[1:4] == [
        "different  nothing that is compiled",
        "replaced   nothing",
        "proof      1 of 1 check hold",
    ]
