"""Runs on a control plane: lets kubeadm renew what it has made, and starts everything that goes by it again.

kubeadm needs neither API server nor etcd for that. When the API server does not come back, all is put back as it was.
"""

import json
import os
import re
import signal
import subprocess
import time
from typing import Dict, List

from tasks.node_agent.certificates import KUBELET_CLIENT, KUBELET_CONFIG, KUBERNETES
from tasks.node_agent.commands import prepare, run
from tasks.node_agent.files import exact_text_of, rewrite, text_of
from tasks.node_agent.kubeadm_lock import no_other_kubeadm
from tasks.node_agent.lock import alone
from tasks.node_agent.originals import as_failed, end, keep, of_kubeadm, of_kubelet, put_back, remove
from tasks.node_agent.pods import processes
from tasks.node_agent.protocol import Failed, Json, progress
from tasks.node_agent.record import FILE, HOME, read_json, refuse_other_cluster

CONFIG = KUBERNETES + "/kubev6-kubeadm.yaml"
"""kubeadm's document, without which it would ask an API server that may not answer."""
COMPONENTS = ("etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler")
AGAIN_SECONDS = 5
"""After which a component is told again to end: an API server, which waits for a minute for what it is asked, does so
at the second time (k8s.io/apiserver's signal handler)."""
END_SECONDS = 60
"""How long a component may take to end by itself."""
START_SECONDS = 240
"""How long all of them may take to come back: on a slow machine the first start of etcd takes a minute."""
CERTIFICATE_SECONDS = 120
ROTATION_SECONDS = 30
"""How long a kubelet may take to put away what its kubeconfig holds, which it does when it starts."""


def renew(commands: List[List[str]], again: bool, kubelet: List[str], serving: bool, server: str) -> None:
    """Renew certificates, and start what goes by them again.

    Args:
        commands: What kubeadm is told, one after the other.
        again: Whether these make only what is not there.
        kubelet: What kubeadm is told so that the kubelet gets another certificate; nothing when it needs none.
        serving: Whether the kubelet is to make the one anew that it serves with.
        server: Where the API server of this machine is, if the kubeconfig may lead to another; else empty.

    Raises:
        Failed: It could not be done; everything is as it was.
    """
    keep(of_kubeadm() + of_kubelet())
    try:
        if again:
            remove(of_kubeadm())
        for words in commands:
            kubeadm(words)
        if kubelet:
            remove([KUBELET_CONFIG, KUBELET_CLIENT])
            kubeadm(kubelet)
        if serving:
            remove([path for path in of_kubelet() if path.endswith((".crt", ".key"))])
    except (Failed, OSError) as error:  # nothing goes by them yet
        put_back()
        failed = as_failed(error)
        raise Failed("{}; the certificates were put back".format(failed.seen), failed.todo, failed.detail) from None
    try:
        restart()
        await_api_server(server)
    except (Failed, OSError) as error:
        progress("puts the certificates back")
        put_back()
        failed = as_failed(error)
        raise Failed("{}; {}".format(failed.seen, back_as_before(server)), failed.todo, failed.detail) from None
    if kubelet:
        follow_rotation()
    end()


def kubeadm(words: List[str]) -> None:
    """Let kubeadm write certificates. What it says last is seldom what is wrong."""
    progress("kubeadm " + " ".join(words))
    try:
        run(["kubeadm"] + words + ["--config", CONFIG], timeout=CERTIFICATE_SECONDS)
    except Failed as error:
        said = [line.strip() for line in error.detail.splitlines() if "rror" in line or "failed" in line]
        seen = "kubeadm {}: {}".format(" ".join(words), said[0]) if said else error.seen
        raise Failed(seen, error.todo, error.detail) from None


def follow_rotation() -> None:
    """Let the kubelet's kubeconfig name the certificate that it rotates, in the place of its first one.

    kubeadm does so too when it has made a control plane (kubeadm#1753): a kubelet whose kubeconfig holds one that has
    ended does not start, whatever else it has. One that rotates none goes by what the kubeconfig holds.
    """
    deadline = time.monotonic() + ROTATION_SECONDS
    while not os.path.exists(KUBELET_CLIENT):
        if time.monotonic() > deadline:
            return
        time.sleep(0.5)
    text = exact_text_of(KUBELET_CONFIG)
    rewrite(KUBELET_CONFIG, re.sub(r"client-(certificate|key)-data: \S+", r"client-\1: " + KUBELET_CLIENT, text))


def restart() -> None:
    """Start the kubelet and the components of the control plane anew.

    A kubelet that has just started starts at once what has ended, however often that has failed before.
    """
    progress("starts the control plane again")
    run(["systemctl", "stop", "kubelet"], timeout=90)
    end_components()
    run(["systemctl", "start", "kubelet"], timeout=90)


def end_components() -> None:
    """End the components of the control plane."""
    began = time.monotonic()
    told: Dict[int, float] = {}
    while True:
        alive = [process for process, _ in sorted(components().items())]
        if not alive:
            return
        waited = time.monotonic() - began
        if waited > END_SECONDS + 10:
            raise Failed("processes of the control plane do not end: {}".format(" ".join(map(str, alive))))
        for process in alive:
            if waited < told.get(process, 0.0):
                continue
            told[process] = waited + AGAIN_SECONDS
            try:
                os.kill(process, signal.SIGTERM if waited < END_SECONDS else signal.SIGKILL)
            except ProcessLookupError:
                continue
        time.sleep(0.2)


def components() -> Dict[int, str]:
    """The components of the control plane that run in pods here, by process."""
    commands = ((each, text_of("/proc/{}/cmdline".format(each)).split("\0")[0]) for each in processes())
    named = ((each, os.path.basename(command)) for each, command in commands)
    return {each: name for each, name in named if name in COMPONENTS}


def await_api_server(server: str) -> None:
    """Wait until all components run, and the API server answers who shows it the administrator's certificate."""
    deadline = time.monotonic() + START_SECONDS
    while True:
        lacking = sorted(set(COMPONENTS) - set(components().values()))
        said = "{} does not run".format(", ".join(lacking)) if lacking else unhealthy(server)
        if not said:
            return
        if time.monotonic() > deadline:
            raise Failed("the API server has not come back for {} s: {}".format(START_SECONDS, said))
        time.sleep(1)


def unhealthy(server: str) -> str:
    """What kubectl says of an API server that is not well; empty of one that is."""
    words = ["env", "HOME=" + HOME, "kubectl", "--kubeconfig", KUBERNETES + "/admin.conf", "--request-timeout=5s"]
    words += ["--server=" + server] if server else []
    try:
        asked = subprocess.run(
            words + ["get", "--raw", "/healthz"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=15
        )
    except subprocess.TimeoutExpired:
        return "kubectl has not answered for 15 s"
    lines = (asked.stderr or b"").decode("utf-8", "replace").strip().splitlines()
    return "" if asked.returncode == 0 else (lines[-1:] or ["kubectl ended with status {}".format(asked.returncode)])[0]


def back_as_before(server: str) -> str:
    """Start everything again by the certificates that were put back; in words what came of that."""
    try:
        restart()
        await_api_server(server)
    except Failed as error:
        return "the certificates were put back, and by those it does not answer either: {}".format(error.seen)
    return "the certificates were put back, and by those it answers"


def main(cluster: Json, commands: List[List[str]], again: bool, kubelet: List[str], serving: bool, server: str) -> None:
    """Print an empty object, or what was ``seen`` that kept it from being done."""
    prepare()
    answer: Json = {}
    try:
        with alone(), no_other_kubeadm():
            refuse_other_cluster(read_json(FILE), cluster)
            renew(commands, again, kubelet, serving, server)
    except Failed as error:
        answer = {"seen": error.seen, "todo": error.todo, "detail": error.detail}
    print(json.dumps(answer))


if "PAYLOAD" in globals():
    main(**PAYLOAD)  # type: ignore[name-defined]
