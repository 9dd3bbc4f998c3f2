"""Whether machines agree on what time it is. Pure, from host facts.

A certificate is good from when it was made on (RFC 5280, 4.1.2.5), and those of the API server and of the registry are
used within seconds by machines that did not make them.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

from configs.errors import CombinedError, KubeV6Error, NodeError
from configs.plan.upgrade import Found
from configs.schema.cluster import Cluster
from tasks.node.membership import STEP

APART_SECONDS = 60
"""More than a machine drifts that sets its clock by others, and less than what kubeadm waits for a certificate."""


def refuse_apart(cluster: Cluster, found: Found) -> None:
    """Refuse machines whose clocks are more than :data:`APART_SECONDS` apart from that of the control plane.

    Raises:
        KubeV6Error: There are some; or the control plane's is apart from those of all others.
    """
    if errors := tuple[KubeV6Error, ...](_apart(cluster, found)):
        raise errors[0] if len(errors) == 1 else CombinedError(errors)


def _apart(cluster: Cluster, found: Found) -> Iterator[NodeError]:
    told = {name: machine.ahead for name, machine in found.items() if machine and machine.ahead is not None}
    control_plane = cluster.control_plane.name
    if (right := told.pop(control_plane, None)) is None:
        return
    apart = {name: ahead - right for name, ahead in told.items() if abs(ahead - right) > APART_SECONDS}
    if apart and len(apart) == len(told):
        yield _wrong(control_plane, -next(iter(apart.values())), "those of the others")
        return
    for name, seconds in apart.items():
        yield _wrong(name, seconds, f"that of {control_plane}")


def _wrong(name: str, seconds: int, other: str) -> NodeError:
    return NodeError(
        name,
        STEP,
        f"its clock is {timedelta(seconds=abs(seconds))} {'ahead of' if seconds > 0 else 'behind'} {other}, so "
        "certificates that are made now would not be good everywhere",
        todo="set it, and let it be kept right (`timedatectl set-ntp true`, or chrony); nothing was changed",
    )
