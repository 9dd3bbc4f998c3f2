"""Runs on a worker whose control plane came back from a backup: starts its kubelet and its pods again.

What they have heard of an API server of before is newer than all that this one says, so they would hear nothing of it.
"""

import json

from tasks.node_agent.commands import prepare, run
from tasks.node_agent.lock import alone
from tasks.node_agent.pods import end_pods

SECONDS = 90


def main() -> None:
    """Print what was done."""
    prepare()
    with alone():
        run(["systemctl", "stop", "kubelet"], timeout=SECONDS)
        try:
            done = end_pods()
        finally:
            run(["systemctl", "start", "kubelet"], timeout=SECONDS)
    print(json.dumps({"done": done}))


if "PAYLOAD" in globals():
    main()
