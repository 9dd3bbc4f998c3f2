"""Made-up runs of any size, for tests of what is drawn from a record."""

from __future__ import annotations

from datetime import UTC, datetime
from ipaddress import IPv6Network
from typing import Any

from flows.run.record import (
    ChangeOfRun,
    CheckOfRun,
    ErrorOfRun,
    FabricOfRun,
    Nat64OfRun,
    NodeOfRun,
    PatchOfRun,
    ReleaseOfRun,
    RunRecord,
    SeriesOfRun,
    ServicesOfRun,
    StepOfRun,
    Topology,
)
from tasks.node.change import Change

VERSION = "v1.20.2+kubev6.debian-1.20.e4f6458"
STAGES = {"network": 3.1, "runtime": 9.4, "kubernetes": 4.2}
POD_CHECKS = ("hairpin", "Service by name", "cluster DNS", "ClusterIP", "NodePort", "API", "NAT64 name", "NAT64 fetch")
NODE_CHECKS = POD_CHECKS[3:]


def topology(nodes: int = 4, **more: Any) -> Topology:
    """A support node, a control plane and workers: ``nodes`` machines in all."""
    workers = [(f"kube-worker-{number}", "worker", 0x100 + number) for number in range(1, nodes - 1)]
    machines = [("kube-support", "support", 0x64), ("kube-control-plane", "control-plane", 0x100), *workers]
    given: dict[str, Any] = {
        "name": "lab",
        "description": "Machines as containers, real in everything else",
        "fabric": FabricOfRun(interface="eth1", subnet="fd00::/64"),
        "services": ServicesOfRun(subnet=IPv6Network("fd00:1234::/110"), domain="cluster.local"),
        "nat64": Nat64OfRun(prefix="fd00:64:ff9b::/96"),
        "nodes": tuple(_node(name, role, host) for name, role, host in machines),
        "lab": {},
    }
    return Topology(**{**given, **more})


def _node(name: str, role: str, host: int) -> NodeOfRun:
    subnet = None if role == "support" else f"fd00:{host:x}::/64"
    return NodeOfRun(name=name, roles=(role,), address=f"fd00::{host:x}", pod_subnet=subnet)


def finished(nodes: int = 4) -> RunRecord:
    """A deploy from nothing that went well."""
    drawn = topology(nodes)
    steps = [
        step("prefect", "start", 0.0, 4.1, "a server for this run alone"),
        step("release", "choose", 4.3, 0.2, f"{VERSION}: this cluster's release, from the store"),
        step("lab", "lab", 4.3, 6.9, "brought up"),
    ]
    changes = [
        ChangeOfRun(node="lab", text="machines brought up"),  # as records of before have it
        change("registry", "registry", "blobs and manifests", "send", after="29 sent"),
    ]
    for number, node in enumerate(drawn.nodes):
        steps.append(step(node.name, "machine", 4.5, 6.0 + number % 3 * 0.3, "new"))
        at = 11.3
        stages = {"network": 3.1, "support": 6.0} if "support" in node.roles else STAGES
        for stage, seconds in stages.items():
            took = seconds + (number * 7 % 5) * 0.4
            start = max(at, 24.9) if stage == "kubernetes" else at
            steps.append(step(node.name, stage, start, took, f"{12 if stage == 'kubernetes' else 9} changes"))
            at = start + took
            for path in range(12 if stage == "kubernetes" else 9):
                file = f"/etc/kubev6/{stage}-{path}.conf"
                changes.append(
                    change(node.name, "file", file, "create", after="sha256 3f2a1b7, mode 0644", stage=stage)
                )
        if "control-plane" in node.roles:
            steps.append(step(node.name, "kubeadm init", 32.0, 21.4, ""))
            steps.append(step("lab", "cluster DNS", 53.5, 2.1, "stand-in for CoreDNS, 5 changes"))
            changes.append(change(node.name, "cluster", "lab", "init", after="by kubeadm"))
        elif "worker" in node.roles:
            steps.append(step(node.name, "kubeadm join", 53.5, 5.5 + number % 4, ""))
            changes.append(change(node.name, "cluster", "lab", "join", after="by kubeadm"))
    steps.append(step("registry", "push", 21.0, 3.8, "29 sent (271 MB)"))
    checks = proof(drawn)
    steps.append(step("lab", "proof", 64.0, 6.3, f"{len(checks)} checks, all ok"))
    return RunRecord(
        command="deploy",
        subject="lab",
        started=datetime(2026, 3, 1, 9, 30, tzinfo=UTC),
        seconds=70.6,
        status="succeeded",
        log="/home/someone/.local/share/kubev6/logs/20260301-093000-1-deploy.log",
        topology=drawn,
        release=ReleaseOfRun(
            name="debian-1.20",
            version=VERSION,
            why="this cluster's release, from the store",
            kind="built",
            origin="kubernetes 1.20.2-1",
            toolchain="go1.19.8 linux/amd64",
            stand_ins={"cluster-dns-stand-in": "CoreDNS"},
        ),
        series=series(),
        steps=tuple(steps),
        changes=tuple(changes),
        checks=checks,
    )


def failed(nodes: int = 4) -> RunRecord:
    """The same run, when the disk of one worker is full and the run before its kubeadm was cut off for the others."""
    good = finished(nodes)
    broken = good.topology.nodes[-1].name if good.topology else ""
    steps = []
    for each in good.steps:
        if each.start >= 32.0 and each.title in ("kubeadm join", "proof", "cluster DNS"):
            continue
        if (each.subject, each.title) == (broken, "kubernetes"):
            continue
        if (each.subject, each.title) == (broken, "runtime"):
            seen = f"{broken}: runtime: the disk is full; make room there"
            each = each.model_copy(update={"outcome": "failed", "text": seen, "seconds": 2.0})
        elif each.title == "kubeadm init":
            each = each.model_copy(update={"outcome": "not ended", "seconds": 8.0, "text": ""})
        steps.append(each)
    error = ErrorOfRun(
        message=f"{broken}: runtime: install package containerd: /var: the disk is full: No space left on device",
        todo="make room there (df -h /var), then run the same command again",
        node=broken,
        step="runtime",
    )
    return good.model_copy(
        update={"status": "failed", "seconds": 40.0, "steps": tuple(steps), "errors": (error,), "checks": ()}
    )


def badly_proved(nodes: int = 4) -> RunRecord:
    """The same run, when no packet comes to or from the pod of the last worker."""
    good = finished(nodes)
    cut_off = good.topology.nodes[-1].name if good.topology else ""
    checks = tuple(
        check.model_copy(update={"ok": False, "seen": "timed out: no route to host", "seconds": 10.0})
        if f"pod on {cut_off}" in (check.source, check.target)
        else check
        for check in good.checks
    )
    return good.model_copy(update={"status": "proof failed", "checks": checks})


def change(node: str, kind: str, subject: str, action: str, *, after: str, stage: str = "") -> ChangeOfRun:
    """One that was made."""
    return ChangeOfRun.of(Change(kind, subject, action, after=after, node=node, stage=stage))


def step(subject: str, title: str, start: float, seconds: float, text: str = "") -> StepOfRun:
    """A step that ended well."""
    return StepOfRun(subject=subject, title=title, start=start, seconds=seconds, outcome="ended", text=text)


def proof(drawn: Topology) -> tuple[CheckOfRun, ...]:
    """The checks that a cluster of this topology is asked, all of them good and each with a time of its own."""
    names = [node.name for node in drawn.nodes if "support" not in node.roles]
    checks = [
        CheckOfRun(name=title, source="API", target=name, ok=True, seen=seen)
        for name in names
        for title, seen in (("node Ready", "KubeletReady"), ("InternalIP", "fd00::101"))
    ]
    for row, name in enumerate(names):
        pod = f"pod on {name}"
        checks += [
            CheckOfRun(
                name="pod to pod",
                source=pod,
                target=f"pod on {other}",
                ok=True,
                seen=other,
                seconds=0.0011 * (1 + (row * 31 + column * 17) % 23) * (12 if column % 11 == 7 else 1),
            )
            for column, other in enumerate(names)
            if other != name
        ]
        other = names[(row + 1) % len(names)]
        for source, titles in ((pod, POD_CHECKS), (name, NODE_CHECKS)):
            checks += [
                CheckOfRun(
                    name=title,
                    source=source,
                    target=f"Service of {other}" if "IP" in title else title,
                    ok=True,
                    seen="fd00:64:ff9b::c000:aa" if "NAT64" in title else other,
                    seconds=0.002 * (1 + (row * 13 + number * 29) % 41),
                )
                for number, title in enumerate(titles)
            ]
    return tuple(checks)


def series() -> SeriesOfRun:
    """Four patches of every fate."""
    patches = (
        ("Add IPv6 support to iptables proxier", "Dane LeBlanc <dane@example.org>", "applied", 48551),
        (
            "Updates RangeSize func and tests for IPv6",
            "Daneyon Hansen <d@example.org>",
            "already upstream",
            47621,
        ),
        ("Removed the IPv6 prefix size limit for cluster-cidr", "André Martins <andre@example.org>", "applied", 52033),
        ("Changed dns probes to type SRV", "Dane LeBlanc <dane@example.org>", "applied", None),
    )
    return SeriesOfRun(
        name="v1.9.0-alpha.0.ipv6.0",
        base="98ed5dd8a26929245e4aa30f110242ac7bb7cbbd",
        commit="e4f6458" + "0" * 33,
        tree="7c" * 20,
        patches=tuple(
            PatchOfRun(
                title=title,
                author=author,
                source=f"{number:040x}",
                commit="" if fate == "already upstream" else f"{number + 9:040x}",
                fate=fate,
                pull_request=pull_request,
            )
            for number, (title, author, fate, pull_request) in enumerate(patches, 1)
        ),
    )
