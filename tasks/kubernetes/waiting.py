"""How a node is told to wait for objects of the API, in the words that the kubectl of a version understands. Pure."""

from __future__ import annotations

from configs.plan.versions import kubectl_waits

READY = '{range .items[*]}[{.status.conditions[?(@.type=="Ready")].status}]{end}'
"""``[True]`` for each object that is ready; for others something else in the brackets, or nothing."""
SECONDS_LEFT = "$(( $(date +%s) < end ? end - $(date +%s) : 1 ))"
LEFT = f"--timeout={SECONDS_LEFT}s"
"""What is left until the time in ``$end``, which several waits share."""


def until_ready(kubectl: str, what: str, version: str) -> str:
    """Waits until some objects are ready, or the time in ``$end`` (seconds of the epoch) has come.

    Args:
        kubectl: kubectl with the options that every call has.
        what: The kind of the objects, and what selects some of them.
        version: The version of kubectl.
    """
    if kubectl_waits(version):
        every = "" if " -l " in what else " --all"
        return f"{kubectl} wait --for=condition=Ready {what}{every} {LEFT} >/dev/null"
    ready = f"{kubectl} get {what} -o jsonpath='{READY}' | grep -qxE '(\\[True\\])+'"
    return f"until {ready} || [ $(date +%s) -ge $end ]; do sleep 1; done"


def until_rolled_out(kubectl: str, version: str) -> str:
    """Waits until every Deployment and DaemonSet is what it should be, or the time in ``$end`` has come.

    Args:
        kubectl: kubectl with the options that every call has, a namespace among them.
        version: The version of kubectl.
    """
    listed = f"for each in $({kubectl} get deployments,daemonsets -o name); do"
    if kubectl_waits(version):
        return f"{listed} {kubectl} rollout status $each {LEFT} >/dev/null; done"
    return f"{listed} timeout {SECONDS_LEFT} {kubectl} rollout status $each >/dev/null; done"


def delete(kubectl: str, what: str, version: str) -> str:
    """Deletes objects, which need not be there, and does not wait until they are gone.

    Args:
        kubectl: kubectl with the options that every call has.
        what: The kind of the objects, and which.
        version: The version of kubectl.
    """
    return f"{kubectl} delete {what} --ignore-not-found{' --wait=false' * kubectl_waits(version)}"
