"""Runs on a control plane: says of each member of etcd whom it follows, and what it holds."""

import hashlib
import json
import sys
import time
from typing import Any, Dict, List

from tasks.node_agent.etcd_client import ask, own_url

EVERYTHING = "AA=="
"""A zero byte in base64: as a range's both ends it stands for all keys."""
PATIENCE_SECONDS = 15
"""How long a member may take to hear of what the others hold."""

Member = Dict[str, Any]


def of_member(seen: Dict[str, Any]) -> Member:
    """What a member says of itself."""
    member = {"name": seen.get("name", ""), "leads": False, "leader": "", "revision": 0, "seen": ""}  # type: Member
    urls = seen.get("clientURLs", ())
    member["url"] = urls[0] if urls else ""
    if not urls:
        member["seen"] = "it has been added and never started"
        return member
    try:
        status = ask(urls[0], "maintenance/status")
    except (OSError, ValueError) as error:
        member["seen"] = str(error)
        return member
    member["leader"] = status.get("leader", "")
    member["leads"] = bool(member["leader"]) and member["leader"] == seen.get("ID")
    member["revision"] = int(status["header"].get("revision", 0))
    return member


def add_keys(member: Member, revision: int, until: float) -> None:
    """Write down how many keys a member holds itself at a revision, and the digest of their names and revisions."""
    question = {"key": EVERYTHING, "range_end": EVERYTHING, "keys_only": True, "serializable": True}
    while True:
        try:
            keys = ask(member["url"], "kv/range", revision=str(revision), **question).get("kvs", [])
            break
        except (OSError, ValueError) as error:
            if time.monotonic() > until:
                member["seen"] = str(error)
                return
            time.sleep(0.5)
    lines = sorted("{} {}".format(each["key"], each.get("mod_revision", "")) for each in keys)
    member["keys"] = len(lines)
    member["digest"] = hashlib.sha256("\n".join(lines).encode()).hexdigest()


def told() -> List[Member]:
    """All members, asked one after another, of what each holds at the revision that all have reached."""
    members = [of_member(each) for each in ask(own_url(), "cluster/member/list")["members"]]
    answering = [member for member in members if not member["seen"]]
    until = time.monotonic() + PATIENCE_SECONDS
    for member in members:
        member.update(keys=0, digest="")
        if member in answering:
            add_keys(member, min(each["revision"] for each in answering), until)
    return members


def main() -> None:
    """Print the members as JSON, and why there are none if so."""
    try:
        json.dump({"members": told(), "seen": ""}, sys.stdout)
    except (OSError, ValueError, KeyError) as error:
        json.dump({"members": [], "seen": str(error)}, sys.stdout)


if "PAYLOAD" in globals():
    main(**PAYLOAD)  # type: ignore[name-defined]
