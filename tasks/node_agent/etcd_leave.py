"""Runs on a control plane: takes the member of another one out of etcd."""

import json
import sys
import time
from typing import List

from tasks.node_agent.etcd_client import ask, own_url

PATIENCE_SECONDS = 30
"""etcd refuses for a moment after another change of its members, and while it elects a leader."""


def leave(name: str, address: str) -> List[str]:
    """Take members out, if there are any of that name.

    Args:
        name: That of the node, by which kubeadm calls its member.
        address: That of the node if known: by it a member is known which was added and never started, so has no name.

    Returns:
        The ids of those that were there.
    """
    own = own_url()
    peer = "https://[{}]:2380".format(address)
    done = []
    for member in ask(own, "cluster/member/list")["members"]:
        nameless = not member.get("name") and peer in member.get("peerURLs", ())
        if member.get("name") == name or nameless:
            ask(own, "cluster/member/remove", ID=member["ID"])
            done.append(member["ID"])
    return done


def main(name: str, address: str) -> None:
    """Print what was taken out as JSON, and why that failed if so."""
    until = time.monotonic() + PATIENCE_SECONDS
    while True:
        try:
            json.dump({"left": leave(name, address), "seen": ""}, sys.stdout)
            return
        except (OSError, ValueError, KeyError) as error:
            if time.monotonic() > until:
                json.dump({"left": [], "seen": str(error)}, sys.stdout)
                return
            time.sleep(1)


if "PAYLOAD" in globals():
    main(**PAYLOAD)  # type: ignore[name-defined]
