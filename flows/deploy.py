"""The order in which a cluster comes up: `python flows/deploy.py --prebuilt` is `kubev6 deploy --prebuilt`."""

from __future__ import annotations

if __name__ == "__main__":  # before Prefect is imported: the command line sets it up
    import sys

    from flows.cli import main

    sys.exit(main(["deploy", *sys.argv[1:]]))

from dataclasses import dataclass
from typing import Any

from prefect import flow
from prefect.client.schemas.objects import State
from prefect.states import Failed

from configs.errors import KubeV6Error
from configs.manifest import Manifest
from configs.schema import load_cluster, load_release
from flows import stages
from flows.futures import begin, results
from tasks.checks import Check
from tasks.exclusive import exclusive
from tasks.paths import cluster_dir


@dataclass(frozen=True, slots=True)
class Deployed:
    """What a deploy came to.

    Attributes:
        manifest: The release that the cluster runs.
        why: Why this release.
        changes: What was changed, one line each.
        checks: The proof.
    """

    manifest: Manifest
    why: str
    changes: tuple[str, ...]
    checks: tuple[Check, ...]


@flow(name="kubev6", flow_run_name="deploy-{where}")
def deploy(where: str = "lab", prebuilt: bool = False, named: str = "") -> Deployed | State[Any]:
    """Bring a cluster to what its file says, and prove it.

    Args:
        where: A cluster file, or the name of a shipped one.
        prebuilt: Take a release that need not be built.
        named: Which; empty for the rule of :mod:`flows.choose_release`.
    """
    cluster = load_cluster(where)
    load_release(cluster.release)
    try:
        with exclusive(cluster_dir(cluster.name) / "lock", on_wait=lambda: stages.say_waiting(cluster)):
            machines = begin(stages.machines, cluster)
            release = begin(stages.release, cluster, prebuilt, named)
            made, chosen = results([machines, release])
            job = stages.Job(cluster, chosen.release, chosen.manifest)

            ready = {node.name: begin(stages.prepare, job, node.name) for node in cluster.nodes}
            filled = begin(stages.fill_registry, job, after=[ready[cluster.support.name]])
            installed = {
                node.name: begin(stages.install, job, node.name, after=[ready[node.name], filled])
                for node in cluster.kubernetes_nodes
            }
            control_plane = begin(stages.initialise, job, after=[installed[cluster.control_plane.name]])
            dns = begin(stages.cluster_dns, job, after=[control_plane])
            joined = [
                begin(stages.join, job, node.name, after=[installed[node.name], control_plane])
                for node in cluster.worker_nodes
            ]
            done = results([*ready.values(), filled, *installed.values(), control_plane, dns, *joined])
            stages.drop_credentials(cluster)
            (checks,) = results([begin(stages.prove, job)])
    except KubeV6Error as error:
        return Failed(message=str(error), data=error)
    except BaseException:
        stages.stop()
        raise
    finally:
        stages.finish(cluster)
    deployed = Deployed(chosen.manifest, chosen.why, tuple(line for lines in (made, *done) for line in lines), checks)
    bad = [f"{check.name} from {check.source} to {check.target}" for check in checks if not check.ok]
    return Failed(message="the proof failed: " + "; ".join(bad), data=deployed) if bad else deployed
