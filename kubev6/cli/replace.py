"""Let another machine take the place of one that died, under its name: a worker, or one of several control planes.

Put the new machine where the old one was: the same name, address and role in the cluster's file, and nothing
of a former cluster on it. What etcd and the cluster still know by that name goes, the machine joins with the
release that the cluster runs, and the cluster is proved. Of a lab the container is made anew. Asks first.

A new machine shows another host key, and nobody can tell it from somebody who answers in its place but a
person: its fingerprint is shown and asked for, and then takes the place of the old one in your known_hosts.
--host-key says beforehand which it is; --yes alone takes none.

A node that is alive is refused, and so is what would leave etcd without a majority.

Examples:
  kubev6 replace kube-worker-2
  kubev6 replace --cluster rack.yaml rack-1-control-plane-2
  kubev6 replace --cluster rack.yaml rack-1-worker-2 --yes --host-key SHA256:uNiVztksCsDhcc0u9e8BgrJXVGDuF1LXN1vYkGvLgnA
"""

from __future__ import annotations

import argparse
import re
from typing import TYPE_CHECKING

from kubev6.cli import names
from kubev6.cli.command import (
    add_cluster,
    add_if_busy,
    add_showing,
    add_task_runner,
    completed_by,
    refuse_missing_runner,
)
from kubev6.console.standard_output import tell

if TYPE_CHECKING:
    from configs.schema.cluster import Cluster
    from tasks.ssh.host_key import OtherHostKeyError

FINGERPRINT = re.compile(r"SHA256:[A-Za-z0-9+/]{43}")
"""As ``ssh-keygen -l`` prints it."""


def add(parser: argparse.ArgumentParser) -> None:
    """Add its arguments."""
    node = parser.add_argument("node", metavar="NODE", help="the name that both machines have")
    completed_by(node, names.nodes)
    add_cluster(parser)
    parser.add_argument(
        "--host-key",
        type=_fingerprint,
        metavar="FINGERPRINT",
        help="the new machine's host key, as `ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub` says it there: it "
        "is taken if it is not known yet, and any other is refused",
    )
    parser.add_argument("--yes", action="store_true", help="do not ask; a host key is not taken by it")
    add_if_busy(parser, "wait")
    add_task_runner(parser)
    add_showing(parser)


def _fingerprint(text: str) -> str:
    if FINGERPRINT.fullmatch(text):
        return text
    raise argparse.ArgumentTypeError(f"{text!r} is no fingerprint: SHA256: and 43 letters and digits")


def run(args: argparse.Namespace) -> int:
    """Let another machine take the place of one that died."""
    from configs.errors import ConfigError
    from configs.schema.loading import load_cluster
    from flows import parameters
    from kubev6.cli.deploy import deployed
    from kubev6.cli.running import agreed, provide_secrets, running

    refuse_missing_runner(args.task_runner)
    cluster = load_cluster(args.cluster)
    if cluster.lab and args.host_key:
        raise ConfigError(f"--host-key: machines of a lab tell theirs through Docker, and {cluster.name} is one")
    with running("replace", args, on=cluster) as here:
        from tasks.kubernetes import replacement

        provide_secrets(here)
        replacement.refuse(cluster, args.node)
        other = None if cluster.lab else _other_host_key(cluster, args.node)
    if other and not _is_taken(args, other):
        print("Nothing was done.")
        return 1
    tell(_what_comes(cluster, args.node))
    if not args.yes and not agreed("replace"):
        print("Nothing was done.")
        return 1
    return deployed("replace", args, cluster, parameters.named(args.cluster), args.node, args.if_busy)


def _other_host_key(cluster: Cluster, name: str) -> OtherHostKeyError | None:
    """Why the new machine is not let in yet, if it is for its host key."""
    from tasks.kubernetes import replacement
    from tasks.ssh.host_key import OtherHostKeyError

    try:
        replacement.refuse_former_machine(cluster, name)
    except OtherHostKeyError as error:
        return error
    return None


def _is_taken(args: argparse.Namespace, other: OtherHostKeyError) -> bool:
    """Whether the host key is the machine's, as a person says; then it is written down.

    Raises:
        KubeV6Error: It is another one than was said beforehand, or nobody is there to say so.
    """
    import sys

    from configs.errors import NodeError
    from tasks.ssh import host_key

    if args.host_key and args.host_key != other.fingerprint:
        raise NodeError(
            args.node,
            "connect",
            f"{other.endpoint.authority} shows the host key {other.fingerprint}, and --host-key says {args.host_key}",
            todo="see which one it is on the machine's own console; somebody else may answer in its place",
        )
    if not args.host_key:
        if args.yes or not sys.stdin.isatty():
            raise NodeError(
                args.node,
                "connect",
                f"{other.seen}, and nobody is asked whether that is the new machine's",
                todo=f"compare it with the machine's own; if it is, --host-key {other.fingerprint} says so",
            )
        tell(
            f"{args.node}: {other.endpoint.authority} shows a host key that is not known:\n"
            f"  known before  {other.known or 'none'}\n"
            f"  shown now     {other.fingerprint} ({other.kind})\n"
            "A new machine has another one. So has somebody who answers in its place: compare it on its console with\n"
            f"  ssh-keygen -lf /etc/ssh/ssh_host_{other.kind}_key.pub"
        )
        if input("Is it that machine's? [y/N] ").strip().lower() not in ("y", "yes"):
            return False
    tell(f"The host key of {args.node} is in {host_key.take(other)}.")
    return True


def _what_comes(cluster: Cluster, name: str) -> str:
    """What a person is asked to agree to."""
    node = cluster.node(name)
    how = "its container is made anew" if cluster.lab else "the machine that is there now joins in its place"
    return (
        f"{name} ({node.address}, {', '.join(node.roles)}) of {cluster.name} does not answer any more.\n"
        f"What the cluster knows by that name goes, and {how}. What pods kept there is lost."
    )
