"""A cluster that is up, brought from one build of Kubernetes to another: one component at a time."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass

from configs.errors import KubeV6Error, NodeError
from configs.manifest import Manifest
from configs.plan.stages.kubernetes import KUBEADM_CONFIG
from configs.plan.upgrade import Found, Step, build, steps
from configs.plan.versions import kubeadm_api
from configs.schema.cluster import Cluster
from configs.schema.loading import load_release
from configs.schema.release import Release
from tasks import deployed
from tasks.bounded import parsed
from tasks.deployed import Deployed
from tasks.kubernetes.kubeadm import KUBECTL
from tasks.kubernetes.members import SOON
from tasks.node import membership
from tasks.shell import quote
from tasks.ssh.channel import last_line
from tasks.ssh.connection import Connection
from tasks.ssh.program import program

STEP = "upgrade"
POD_SECONDS = 300
"""How long a static pod may take from its new manifest to being Ready: its image is pulled, the old one may take half a
minute to end, and a kubelet whose API server was away tells of the new one at its next turn, up to 90 s later."""
FIRST_LOOK_SECONDS = 15
"""By when a kubelet that was started has looked at its static pods; seen after 3 s on a busy machine."""
KUBELET_SECONDS = 120
"""How long a restarted kubelet may take until the API server has heard its version and that it is Ready."""
READY = "{.status.conditions[?(@.type=='Ready')].status}"
WAITING = "{.status.containerStatuses[0].state.waiting.reason}"
PODS = f"jsonpath={{range .items[*]}}{{.metadata.name}} {{.spec.containers[0].image}} {READY} {WAITING}{{'\\n'}}{{end}}"
HOPELESS = "CrashLoopBackOff|RunContainerError|CreateContainerError|ErrImagePull|ImagePullBackOff|InvalidImageName"
"""Why a container waits that does not come up by itself (the kubelet's reasons), mostly."""
HOPELESS_SECONDS = 60
HEARTBEAT = "{.status.conditions[?(@.type=='Ready')].lastHeartbeatTime}"
NODE = f"jsonpath={{.status.nodeInfo.kubeletVersion}} {READY} {HEARTBEAT}"
STARTED = """
kubelet --version || exit
python3 -c 'import sys, time
print(time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() - time.monotonic() + int(sys.argv[1]) / 1e6)))
' "$(systemctl show -p ActiveEnterTimestampMonotonic kubelet | cut -d= -f2)"
"""
"""The version of a node's kubelet, and when it was started, by the node's clock, by which it tells its heartbeats too.
systemd and Python count from the same moment (CLOCK_MONOTONIC), which is not that of /proc/uptime where a machine has
slept."""
LOGS = "/var/log/pods/kube-system_"
"""What the directories of the pods' logs begin with, since 1.14."""
CRI_LINE = re.compile(r"\S+ (?:stdout|stderr) [FP] (.*)")
"""A line of a container's log as container runtimes write it, and in it what the container wrote."""


class PutBackError(KubeV6Error):
    """What became of a cluster after an upgrade failed: it runs what it ran before, and its proof holds."""


def between(cluster: Cluster, former: str, wanted: str) -> KubeV6Error:
    """What is to be said of a cluster whose upgrade to the next minor version failed."""
    return KubeV6Error(
        f"cluster {cluster.name} stays between {former} and {wanted}: Kubernetes does not go back to an older minor "
        "version",
        todo="mend that, and deploy again: it goes on from there",
    )


@dataclass(frozen=True, slots=True)
class Way:
    """How a cluster gets from what it runs to a build.

    Attributes:
        steps: What is replaced, in order; nothing on one that runs it already.
        former: What was deployed last; None when that is not known.
        cut_off: Whether an upgrade did not come to its end.
    """

    steps: tuple[Step, ...]
    former: Deployed | None
    cut_off: bool


def way(cluster: Cluster, release: Release, manifest: Manifest, found: Found) -> Way:
    """How a cluster gets to a build, by what its machines say and what was deployed from here.

    Args:
        cluster: The topology.
        release: How the release wants to be configured.
        manifest: What is to run.
        found: What the machines say of themselves.

    Raises:
        KubeV6Error: It cannot be done in place.
    """
    last, cut_off = deployed.last(cluster), deployed.upgrading(cluster)
    wanted, former = build(cluster, release, manifest), None
    if last and (known := _release_of(last, release)):
        last = last.model_copy(update={"release": known})
        former = build(cluster, known, last.manifest)
    ordered = steps(cluster, wanted, former, found)
    ours = [each.manifest for each in (last, deployed.previous(cluster), *cut_off) if each]
    membership.refuse_upgrade(cluster, wanted, ours, found, ordered)
    return Way(ordered, last if former else None, bool(cut_off))


def _release_of(last: Deployed, wanted: Release) -> Release | None:
    """The release of what an older kubev6 has written down without it; None when its file is not there any more."""
    if last.release or last.manifest.name == wanted.name:
        return last.release or wanted
    with suppress(KubeV6Error):
        return load_release(last.manifest.name)
    return None


def replace_static_pods(control_plane: Connection, images: Mapping[str, str]) -> tuple[str, ...]:
    """Give static pods of a control plane other images.

    Args:
        control_plane: To it.
        images: The references by the pods' names without the node's.

    Returns:
        The names of those that had another one.

    Raises:
        NodeError: A manifest is not as kubeadm writes it.
    """
    payload = {"images": dict(images)}
    return tuple(control_plane.run_python(program("static_pods"), payload, step=STEP, timeout=60, kind=list[str]))


def await_static_pods(control_plane: Connection, images: Mapping[str, str]) -> None:
    """Wait until static pods of a control plane run with some images and are Ready.

    Args:
        control_plane: To it.
        images: The references by the pods' names without the node's.

    Raises:
        NodeError: They are not.
    """
    get = quote([*KUBECTL.split(), SOON, "-n", "kube-system", "get", "pods", "-o", PODS])
    wanted = [f"{name}-{control_plane.node} {image} True " for name, image in images.items()]
    there = " && ".join(f"printf '%s\\n' \"$seen\" | grep -qxF {quote([line])}" for line in wanted)
    pods = "|".join(f"{_literally(f'{name}-{control_plane.node} {image}')}" for name, image in images.items())
    hopeless = f"printf '%s\n' \"$seen\" | grep -qE {quote([f'^({pods}) [A-Za-z]* ({HOPELESS})$'])}"
    script = _until(f"seen=$({get} 2>/dev/null) && {there}", POD_SECONDS, hopeless, "printf '%s\n' \"$seen\"")
    asked = control_plane.run(script, step=STEP, timeout=POD_SECONDS + 30, check=False)
    if asked.status != 0:
        reasons = dict.fromkeys(re.findall(rf"(?m)^(?:{pods}) \S* (\S+)$", asked.stdout))
        words = f" ({', '.join(reasons)})" if reasons else ""
        lines = asked.stdout.splitlines()
        bad = [name for name, line in zip(images, wanted, strict=True) if line not in lines]
        raise NodeError(
            control_plane.node,
            STEP,
            f"{' and '.join(bad)} not Ready with the new image{words}{_last_words(control_plane, bad)}",
            detail=asked.stdout + asked.stderr,
        )


def await_restarted(control_plane: Connection, images: Mapping[str, str]) -> None:
    """Wait until static pods are Ready that a kubelet of another minor version may start anew when it has begun.

    It does where it computes another hash of the same container, and nothing tells beforehand.

    Args:
        control_plane: To the control plane, whose kubelet was just replaced.
        images: The references by the pods' names without the node's.

    Raises:
        NodeError: They are not.
    """
    control_plane.run(f"sleep {FIRST_LOOK_SECONDS}", step=STEP)
    await_static_pods(control_plane, images)


def await_kubelet(control_plane: Connection, node: Connection) -> None:
    """Wait until the API server has heard from a node's kubelet, as it is installed there, since that was started.

    What the kubelet of before has told would stand there for some time: builds of one version are told apart by that.

    Args:
        control_plane: To the control plane.
        node: To the node.

    Raises:
        NodeError: It has not.
    """
    *_, version, started = node.run(STARTED, step=STEP).stdout.split()
    get = quote([*KUBECTL.split(), SOON, "get", "node", node.node, "-o", NODE])
    # Both times are UTC in RFC 3339 without fractions, so that their order is that of the texts.
    later = f'[ "$(printf "%s\n" {quote([started])} "${{seen##* }}" | sort | head -n 1)" = {quote([started])} ]'
    there = f'seen=$({get} 2>/dev/null) && [ "${{seen% *}}" = {quote([version + " True"])} ] && {later}'
    heard = control_plane.run(
        _until(there, KUBELET_SECONDS, "false", 'echo "$seen"'),
        step=STEP,
        timeout=KUBELET_SECONDS + 30,
        check=False,
    )
    if heard.status != 0:
        said = node.run("journalctl --no-pager -q -u kubelet -n 20 -o cat", step=STEP, check=False).stdout
        raise NodeError(
            node.node,
            STEP,
            f"its kubelet of {version} is not Ready after {KUBELET_SECONDS} s "
            f"(the API server knows of: {heard.stdout.strip() or 'nothing'}): {last_line(said)}",
            detail=said,
        )


def upload_configuration(control_plane: Connection, manifest: Manifest) -> None:
    """Tell the cluster kubeadm's document as it is now, by which the kubeadm of a node that joins goes.

    Args:
        control_plane: To it, whose kubernetes stage has been applied.
        manifest: The release.

    Raises:
        NodeError: kubeadm failed.
    """
    old = kubeadm_api(manifest.version) == "v1alpha1"
    words = "config upload from-file" if old else "init phase upload-config kubeadm"
    control_plane.run(f"kubeadm {words} --config {KUBEADM_CONFIG} >/dev/null", step=STEP, timeout=120)


def _literally(text: str) -> str:
    """A text as a regular expression for Python and grep, which wants no backslash before what has no meaning."""
    return re.sub(r"([][.*+?^$(){}|\\])", r"\\\1", text)


def _until(condition: str, seconds: int, hopeless: str, otherwise: str) -> str:
    """Waits on the machine itself: the API server is away meanwhile, and cannot be asked to say when.

    Args:
        condition: What is waited for; it sets ``$seen``.
        seconds: How long at the most.
        hopeless: What says of ``$seen`` that it will not come, when that stays so for a minute.
        otherwise: What is said in the end when it has not come.
    """
    return (
        f"end=$(( $(date +%s) + {seconds} )); since=; until {condition}; do now=$(date +%s); "
        f"if {hopeless}; then since=${{since:-$now}}; else since=; fi; "
        f"[ $now -lt $end ] && [ $(( now - ${{since:-$now}} )) -lt {HOPELESS_SECONDS} ] || {{ {otherwise}; exit 1; }}; "
        "sleep 0.5; done"
    )


def _last_words(control_plane: Connection, names: Sequence[str]) -> str:
    """What the newest container of each pod wrote last, for a person; empty where it has written nothing."""
    told = []
    for name in names:
        newest = f"ls -t {LOGS}{name}-{control_plane.node}_*/{name}/*.log 2>/dev/null | head -n 1"
        said = control_plane.run(f'log=$({newest}); [ -z "$log" ] || tail -n 1 "$log"', step=STEP, check=False).stdout
        told += [f"; {name} said: {line_of_log(said.strip())}"] * bool(said.strip())
    return "".join(told)


def line_of_log(line: str) -> str:
    """What a container wrote, from a line of its log as containerd keeps it, or Docker as JSON. Pure."""
    if found := CRI_LINE.fullmatch(line):
        return found[1]
    with suppress(ValueError, KeyError, TypeError):
        return str(parsed(line)["log"]).strip()
    return line
