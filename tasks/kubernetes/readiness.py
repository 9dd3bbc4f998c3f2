"""Whether an object of the API is Ready, and why it is not, in a few words. Pure."""

from __future__ import annotations

from typing import Any

LONGEST_REASON = 80
"""Characters of a reason: all of them are one line."""


def is_ready(item: Any) -> bool:
    """Whether a node or a pod is Ready."""
    conditions = item["status"].get("conditions", ())
    return any(each["type"] == "Ready" and each["status"] == "True" for each in conditions)


def name_of(item: Any) -> str:
    """An object's name."""
    return str(item["metadata"]["name"])


def condition(item: Any, kind: str) -> Any:
    """A condition of an object; empty where it has none of that kind."""
    return next((each for each in item["status"].get("conditions", ()) if each["type"] == kind), {})


def why_node(node: Any) -> str:
    """In the kubelet's words, of which the last ones say most: "container runtime network not ready: … cni config"."""
    ready = condition(node, "Ready")
    said = " ".join(ready.get("message", "").split())
    return said if 0 < len(said) <= LONGEST_REASON else ready.get("reason", "") or "its kubelet has told nothing yet"


def why_pod(pod: Any) -> str:
    """Why a pod is not Ready, in the word that `kubectl get pods` has for it."""
    status = pod["status"]
    for container in (*status.get("initContainerStatuses", ()), *status.get("containerStatuses", ())):
        state = container.get("state", {})
        for told in (state.get("waiting"), state.get("terminated")):
            if told and told.get("reason", "Completed") != "Completed":
                return str(told["reason"])
    unscheduled = condition(pod, "PodScheduled")
    if unscheduled.get("status") == "False":
        return str(unscheduled.get("message") or unscheduled.get("reason", "not scheduled"))[:LONGEST_REASON]
    phase = status.get("phase", "Pending")
    return "not Ready yet" if phase == "Running" else str(status.get("reason") or phase)


def is_rolled_out(workload: Any) -> bool:
    """As `kubectl rollout status` sees it: every pod is of the newest template, and available."""
    wanted, counts = counts_of(workload)
    seen = workload["status"].get("observedGeneration", 0) >= workload["metadata"].get("generation", 0)
    return seen and all(count == wanted for count in counts)


def counts_of(workload: Any) -> tuple[int, list[int]]:
    """How many pods it is to have, and how many it has that are each thing that they should be."""
    status = workload["status"]
    if workload["kind"] == "DaemonSet":
        wanted = status.get("desiredNumberScheduled", 0)
        counts = [status.get("updatedNumberScheduled", 0), status.get("numberAvailable", 0)]
    else:
        wanted = workload["spec"].get("replicas", 1)
        counts = [status.get(name, 0) for name in ("replicas", "updatedReplicas", "availableReplicas")]
    return wanted, counts
