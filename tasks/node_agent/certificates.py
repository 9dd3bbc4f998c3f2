"""The certificates that a cluster lives by, as they are in the files of a node; never a key."""

import base64
import os
import re
import time
from typing import Dict, List

from tasks.node_agent.files import text_of
from tasks.node_agent.protocol import Json

KUBERNETES = "/etc/kubernetes"
PKI = KUBERNETES + "/pki"
KUBELET_CONFIG = KUBERNETES + "/kubelet.conf"
KUBECONFIGS = ("admin.conf", "super-admin.conf", "controller-manager.conf", "scheduler.conf")
"""What kubeadm gives those who speak to the API server by a certificate in the file itself."""
KUBELET_PKI = "/var/lib/kubelet/pki"
KUBELET_CLIENT = KUBELET_PKI + "/kubelet-client-current.pem"
"""What a kubelet that rotates it shows to the API server; a link to the newest."""
KUBELET_SERVERS = (KUBELET_PKI + "/kubelet-server-current.pem", KUBELET_PKI + "/kubelet.crt")
"""What a kubelet shows to the API server which asks it: signed by the cluster's authority, or by itself."""
CERTIFICATE = re.compile("-----BEGIN CERTIFICATE-----\n.*?-----END CERTIFICATE-----\n?", re.DOTALL)


def told(registry: List[str]) -> Json:
    """What :func:`certificates` says, and the time here: it is by this clock that they end."""
    return {"now": time.time(), "certificates": certificates(registry)}


def certificates(registry: List[str]) -> Dict[str, str]:
    """Every certificate of this node by its name; empty where a file is there and no certificate is in it.

    Args:
        registry: Where that of the registry, or this node's copy of it, may be.
    """
    found = {}
    for path in filter(os.path.exists, registry):
        found["registry"] = first(text_of(path))
    for path in files_of_kubeadm(".crt"):
        found[os.path.relpath(path, PKI)[: -len(".crt")]] = first(text_of(path))
    for name in KUBECONFIGS:
        path = os.path.join(KUBERNETES, name)
        if os.path.exists(path):
            found[name] = embedded(text_of(path))
    if os.path.exists(KUBELET_CONFIG):
        found["kubelet client"] = kubelet_client()
    for path in KUBELET_SERVERS:
        if os.path.exists(path):
            found.setdefault("kubelet server", first(text_of(path)))
    return found


def files_of_kubeadm(*endings: str) -> List[str]:
    """The files with some endings that kubeadm has made for API server and etcd."""
    places = (PKI, os.path.join(PKI, "etcd"))
    names = ((place, name) for place in places if os.path.isdir(place) for name in sorted(os.listdir(place)))
    return [os.path.join(place, name) for place, name in names if name.endswith(endings)]


def first(text: str) -> str:
    """The first certificate in a text, where a server has its own; empty without one."""
    found = CERTIFICATE.search(text)
    return found.group() if found else ""


def embedded(kubeconfig: str) -> str:
    """The client's certificate in a kubeconfig; empty without one."""
    found = re.search(r"client-certificate-data: (\S+)", kubeconfig)
    try:
        return first(base64.b64decode(found.group(1)).decode("ascii", "replace")) if found else ""
    except ValueError:
        return ""


def kubelet_client() -> str:
    """What the kubelet shows to the API server; empty when nothing can be found.

    The newest that it has been given goes before what its kubeconfig began with.
    """
    kubeconfig = text_of(KUBELET_CONFIG)
    named = re.search(r"client-certificate: (\S+)", kubeconfig)
    for path in (KUBELET_CLIENT, named.group(1) if named else ""):
        if os.path.exists(path):
            return first(text_of(path))
    return embedded(kubeconfig)
