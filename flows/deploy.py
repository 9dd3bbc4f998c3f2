"""The order in which a cluster comes up: `python flows/deploy.py --prebuilt` is `kubev6 deploy --prebuilt`."""

from __future__ import annotations

if __name__ == "__main__":  # before Prefect is imported: the command line sets it up
    import sys

    from flows.cli import main

    sys.exit(main(["deploy", *sys.argv[1:]]))

from typing import Any

from prefect import flow
from prefect.client.schemas.objects import State
from prefect.states import Failed

from configs.errors import KubeV6Error
from configs.schema import load_cluster, load_release
from flows import stages
from flows.connections import connection
from flows.futures import A_THREAD_EACH, begin, begin_each, results
from flows.gates import current_gates, gates_of
from flows.stages import Changes, Deployed, Job, visible
from tasks.exclusive import exclusive
from tasks.paths import cluster_dir


@flow(name="kubev6", flow_run_name="deploy-{where}", task_runner=A_THREAD_EACH)
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
        lock = exclusive(cluster_dir(cluster.name) / "lock", on_wait=lambda: stages.say_waiting(cluster))
        with lock, gates_of(cluster) as gates:
            machines = begin(stages.machines, cluster)
            release = begin(stages.release, cluster, prebuilt, named)
            made, chosen = results([machines, release])
            job = Job(cluster, chosen.release, chosen.manifest)
            names = [each.name for each in (cluster.support, cluster.control_plane, *cluster.worker_nodes)]
            done = results(begin_each(node, job, names, on_end=gates.node_ended))
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


@visible("{name}")
def node(job: Job, name: str) -> Changes:
    """One machine's way into the cluster; the nodes go side by side, and wait at a gate for what one does for all."""
    roles, gates = job.cluster.node(name).roles, current_gates()
    with connection(job.cluster, name) as ssh:
        changes = stages.provide_python(ssh)
        state = stages.node_state(ssh, job, name)
        changes += stages.bring(ssh, job, state, "network", "support", "runtime")
        if "support" in roles:
            changes += stages.fill_registry(ssh, job)
            gates.registry.open()
            return changes

        gates.registry.wait(name)
        changes += stages.bring(ssh, job, state, "kubernetes")
        if "control-plane" in roles:
            changes += stages.initialise(ssh, job)
            gates.control_plane.open()
            return changes + stages.cluster_dns(ssh, job)

        gates.control_plane.wait(name)
        return changes + stages.join(ssh, job, name)
