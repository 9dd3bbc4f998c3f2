"""Certificates and keys as they were before a renewal, kept until the next one, and put back when it fails.

Those of a renewal that was cut off stay what they are: what it has left may be half of a pair.
"""

import os
import shutil
from typing import List, Sequence

from tasks.node_agent.certificates import (
    KUBECONFIGS,
    KUBELET_CLIENT,
    KUBELET_CONFIG,
    KUBELET_PKI,
    KUBERNETES,
    files_of_kubeadm,
)
from tasks.node_agent.files import make_directories, sync_directory, write_atomically
from tasks.node_agent.protocol import Failed
from tasks.node_agent.record import HOME

UNDER_WAY = "certificates"
"""In :data:`~tasks.node_agent.record.HOME`: those of a renewal that has not come to its end."""
BEFORE = "certificates-before"
"""Those of the last one that has."""
AUTHORITIES = ("ca", "front-proxy-ca", "sa")
"""What kubeadm makes once for the life of a cluster."""


def leaves() -> List[str]:
    """Certificates and keys that kubeadm has made, but for those of the authorities."""
    return [
        path
        for path in files_of_kubeadm(".crt", ".key")
        if os.path.splitext(os.path.basename(path))[0] not in AUTHORITIES
    ]


def of_kubeadm() -> List[str]:
    """All that a renewal by kubeadm writes again."""
    return leaves() + [os.path.join(KUBERNETES, name) for name in KUBECONFIGS]


def of_kubelet() -> List[str]:
    """All by which a kubelet is known, and knows itself."""
    return [KUBELET_CONFIG, KUBELET_CLIENT, KUBELET_PKI + "/kubelet.crt", KUBELET_PKI + "/kubelet.key"]


def keep(paths: Sequence[str]) -> None:
    """Keep a copy of each file that is there, durable before anything is changed; root alone may read it."""
    place = os.path.join(HOME, UNDER_WAY)
    if os.path.isdir(place):
        return
    partial = place + ".partial"
    shutil.rmtree(partial, ignore_errors=True)
    make_directories(partial, 0o700)
    for path in paths:
        if os.path.exists(path):
            make_directories(os.path.dirname(partial + path), 0o700)
            if os.path.islink(path):  # of a kubelet, which keeps what its link shows
                os.symlink(os.readlink(path), partial + path)
                continue
            with open(path, "rb") as file:
                write_atomically(partial + path, file.read(), 0o600)
    os.rename(partial, place)
    sync_directory(HOME)


def put_back() -> None:
    """Put every file back as it was, and take away the copies."""
    place = os.path.join(HOME, UNDER_WAY)
    for directory, _, names in os.walk(place):
        for name in names:
            copy = os.path.join(directory, name)
            path = copy[len(place) :]
            if os.path.islink(copy):
                remove([path])
                os.symlink(os.readlink(copy), path)
                continue
            with open(copy, "rb") as file:
                write_atomically(path, file.read(), 0o644 if name.endswith(".crt") else 0o600)
    shutil.rmtree(place)


def end() -> None:
    """Leave the copies to who may want to look at them, in the place of those of the last renewal."""
    before = os.path.join(HOME, BEFORE)
    shutil.rmtree(before, ignore_errors=True)
    os.rename(os.path.join(HOME, UNDER_WAY), before)
    sync_directory(HOME)


def remove(paths: Sequence[str]) -> None:
    """Remove what is there of some files."""
    for path in paths:
        if os.path.lexists(path):
            os.unlink(path)


def as_failed(error: Exception) -> Failed:
    """Why a renewal failed, as it is told: what the system says of a file too."""
    return error if isinstance(error, Failed) else Failed(str(error))
