"""Runs on a node: lets its kubelet ask for a certificate again, as it did when the node joined; its key is made there.

The node stays a member: its object, its labels and its pods are not touched.
"""

import json
import os
import re
import time
from typing import List

from tasks.node_agent.certificates import KUBELET_CLIENT, KUBELET_CONFIG, KUBERNETES, kubelet_client
from tasks.node_agent.commands import prepare, run, said
from tasks.node_agent.files import text_of, write_atomically
from tasks.node_agent.kubeadm_lock import no_other_kubeadm
from tasks.node_agent.lock import alone
from tasks.node_agent.originals import as_failed, end, keep, of_kubelet, put_back, remove
from tasks.node_agent.protocol import Failed, Json, progress
from tasks.node_agent.record import FILE, read_json, refuse_other_cluster

BOOTSTRAP = KUBERNETES + "/bootstrap-kubelet.conf"
SECONDS = 120
"""How long a kubelet may take to get a certificate: a controller manager that has just started leads after a while."""


def bootstrap(kubeconfig: str, token: str) -> str:
    """The kubeconfig of a kubelet that has yet to ask for its certificate: JSON, which is YAML too.

    Args:
        kubeconfig: That of the same kubelet, as kubeadm or the kubelet has written it.
        token: What lets a node join.

    Raises:
        Failed: It does not say whom to ask, and how to know that one.
    """
    cluster = dict(re.findall(r"(?m)^ *(server|certificate-authority|certificate-authority-data): (\S+)$", kubeconfig))
    if "server" not in cluster or len(cluster) < 2:
        raise Failed("{} names no API server and its authority".format(KUBELET_CONFIG))
    document = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "cluster", "cluster": cluster}],
        "users": [{"name": "bootstrap", "user": {"token": token}}],
        "contexts": [{"name": "bootstrap", "context": {"cluster": "cluster", "user": "bootstrap"}}],
        "current-context": "bootstrap",
    }
    return json.dumps(document) + "\n"


def renew(token: str, serving: bool) -> None:
    """Have the kubelet get other certificates.

    Args:
        token: What it asks with; empty when it keeps the one that it shows to the API server.
        serving: Whether it makes the one anew that it serves with.

    Raises:
        Failed: It got none; everything is as it was.
    """
    document = bootstrap(text_of(KUBELET_CONFIG), token) if token else ""
    keep(of_kubelet())
    try:
        if serving:
            remove([path for path in of_kubelet() if path.endswith((".crt", ".key"))])
        if document:
            remove([KUBELET_CONFIG, KUBELET_CLIENT])
            write_atomically(BOOTSTRAP, document.encode(), 0o600)
        progress("starts the kubelet again")
        run(["systemctl", "restart", "kubelet"], timeout=90)
        await_certificates(of_kubelet() if serving else [])
    except (Failed, OSError) as error:
        put_back()
        said(["systemctl", "restart", "kubelet"])
        failed = as_failed(error)
        raise Failed("{}; its certificates were put back".format(failed.seen), failed.todo, failed.detail) from None
    finally:
        if document:
            remove([BOOTSTRAP])
    end()


def await_certificates(served: List[str]) -> None:
    """Wait until the kubelet has what it needs: its kubeconfig and the certificate for that, and some files besides."""
    deadline = time.monotonic() + SECONDS
    wanted = [path for path in served if path.endswith((".crt", ".key"))]
    while not (text_of(KUBELET_CONFIG) and kubelet_client() and all(map(os.path.exists, wanted))):
        if time.monotonic() > deadline:
            log = said(["journalctl", "--no-pager", "-q", "-u", "kubelet", "-n", "20", "-o", "cat"])
            raise Failed(
                "the kubelet has got no certificate within {} s".format(SECONDS),
                "see what it says: journalctl -u kubelet",
                log,
            )
        time.sleep(0.5)


def main(cluster: Json, token: str, serving: bool) -> None:
    """Print an empty object, or what was ``seen`` that kept it from being done."""
    prepare()
    answer: Json = {}
    try:
        with alone(), no_other_kubeadm():
            refuse_other_cluster(read_json(FILE), cluster)
            renew(token, serving)
    except Failed as error:
        answer = {"seen": error.seen, "todo": error.todo, "detail": error.detail}
    print(json.dumps(answer))


if "PAYLOAD" in globals():
    main(**PAYLOAD)  # type: ignore[name-defined]
