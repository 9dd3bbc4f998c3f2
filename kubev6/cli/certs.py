"""List the certificates that a cluster lives by, or renew them.

Lists every certificate of kubeadm's, of the kubelets and of the registry: whose it is, when it ends and who
has signed it; exits with 1 when one has ended. kubeadm's are good for a year, and without them nothing works.

`renew` lets kubeadm renew all of the control plane's, starts the control plane again, copies the new
kubeconfig here, and proves the cluster. Asks first. A kubelet renews its own, and gets another one where it has
not. It works also when they have ended already. Until the API server is back, in half a minute or so, pods
run on and nothing can be changed; when it does not come back, the machine's certificates are put back.
An authority is renewed by nobody; another certificate for the registry is made by `kubev6 deploy`.

Examples:
  kubev6 certs
  kubev6 certs --json
  kubev6 certs renew
"""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from kubev6.cli.command import add_cluster, add_if_busy, add_json, add_showing
from kubev6.console import standard_error
from kubev6.console.standard_output import tell

if TYPE_CHECKING:
    from configs.manifest import Manifest
    from configs.schema.cluster import Cluster


def add(parser: argparse.ArgumentParser) -> None:
    """Add its arguments."""
    parser.set_defaults(misfit=_misfit)
    parser.add_argument("action", nargs="?", choices=("renew",), help="what to do; without it they are listed")
    add_cluster(parser)
    parser.add_argument("--yes", action="store_true", help="with renew: do not ask")
    add_if_busy(parser, "wait")
    add_json(parser, "print the list as JSON")
    add_showing(parser)


def _misfit(args: argparse.Namespace) -> str:
    if args.json and args.action:
        return "--json goes with the list; kubev6 verify --json gives the proof for machines"
    if args.if_busy == "refuse" and not args.action:
        return "--if-busy goes with certs renew; the list disturbs nobody"
    return "--yes goes with certs renew, which asks" if args.yes and not args.action else ""


def run(args: argparse.Namespace) -> int:
    """List the certificates of a cluster, or renew them."""
    from functools import partial

    from configs.errors import NodeError, combined
    from configs.schema.loading import load_cluster
    from kubev6.cli.running import agreed, provide_secrets, running
    from kubev6.console import certificates as output
    from kubev6.console.display import plain_console
    from tasks.deployed import deployed

    cluster = load_cluster(args.cluster)
    with running("certs", args, on=cluster) as here:
        from tasks.kubernetes import renewal
        from tasks.ssh.pool import connection

        provide_secrets(here)
        found, errors = renewal.find(cluster, partial(connection, cluster))
        controlling = {node.name for node in cluster.control_planes}
        if any(error.node in controlling for error in errors if isinstance(error, NodeError)):
            raise combined(errors)
        manifest = deployed(cluster) if args.action else None
        listed = renewal.chosen(cluster, found) if manifest else [each for those in found.values() for each in those]
    for error in errors:
        standard_error.say(str(error))
    if manifest is None:
        if args.json:
            print(output.as_json(listed))
        else:
            output.show(plain_console(), listed)
        return 1 if errors or any(each.state not in ("good", "ends soon") for each in listed) else 0
    output.show(plain_console(), listed)
    tell(output.WHAT_COMES)
    if not args.yes and not agreed("certs renew"):
        print("Nothing was done.")
        return 1
    return _renew(args, cluster, manifest)


def _renew(args: argparse.Namespace, cluster: Cluster, manifest: Manifest) -> int:
    """Renew what has to be by then, which is no less than what was agreed to, and prove the cluster."""
    from functools import partial

    from configs.words import counted
    from kubev6.cli.running import provide_secrets, running
    from kubev6.console import tables
    from kubev6.console.display import plain_console

    with running("certs-renew", args, about=cluster) as here:
        from flows.run.lock import locked
        from tasks.kubernetes import renewal
        from tasks.ssh.pool import connection

        provide_secrets(here)
        connect = partial(connection, cluster)
        with locked(cluster.name, "kubev6 certs renew", args.if_busy):
            found, _ = renewal.find(cluster, connect)
            renewal.renew(cluster, manifest, found, connect)
            checks = renewal.prove(cluster, manifest, connect)
        renewed = [change for change in here.context.changes if change.action == "renew"]
    tables.show_proof(plain_console(), checks)
    tell(f"{counted(len(renewed), 'certificate')} renewed.")
    for warning in tables.warnings(checks):
        standard_error.say(warning, level="warning")
    if all(check.ok for check in checks):
        return 0
    standard_error.say(f"the certificates were renewed, but {tables.failed_checks(checks)}")
    return 1
