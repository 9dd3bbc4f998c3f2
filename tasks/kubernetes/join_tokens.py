"""The token that lets workers join: made once for all that join side by side, and never stored."""

from __future__ import annotations

import logging
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from configs.errors import KubeV6Error
from configs.schema.cluster import Cluster
from tasks import steps
from tasks.kubernetes import control_planes, kubeadm
from tasks.kubernetes.kubeadm import JoinCredentials

log = logging.getLogger("kubev6.kubernetes")


class JoinTokens:
    """The join credentials of one run."""

    def __init__(self) -> None:
        self._changing = threading.Lock()
        self._made: dict[str, JoinCredentials] = {}
        self._joining: Counter[str] = Counter()

    @contextmanager
    def credentials(self, cluster: Cluster) -> Iterator[JoinCredentials]:
        """The credentials for joining, which the last of those that join side by side makes useless.

        They are asked for over a connection of their own: that of the control plane's task is in use.

        Args:
            cluster: The topology.

        Raises:
            KubeV6Error: The control plane makes none.
        """
        with self._changing:
            if cluster.name not in self._made:
                with control_planes.connected(cluster) as ssh:
                    self._made[cluster.name] = kubeadm.join_credentials(ssh)
            self._joining[cluster.name] += 1
        try:
            yield self._made[cluster.name]
        finally:
            with self._changing:
                self._joining[cluster.name] -= 1
                if not self._joining[cluster.name]:
                    _drop(cluster, self._made.pop(cluster.name))


def _drop(cluster: Cluster, credentials: JoinCredentials) -> None:
    if steps.stopped():  # they expire by themselves
        return
    try:
        with control_planes.connected(cluster) as ssh:
            kubeadm.drop_credentials(ssh, credentials)
    except KubeV6Error as error:  # whoever has joined has joined
        log.warning("the join token stays valid until it expires: %s", error)
