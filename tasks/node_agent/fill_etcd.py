"""Runs on a control plane that has an etcd and no API server yet: puts the keys of a backup into that etcd."""

import base64
import json
import os
import time
import zlib
from typing import Any, Dict, List

from tasks.node_agent.commands import prepare
from tasks.node_agent.etcd_client import ask, own_url
from tasks.node_agent.lock import alone
from tasks.node_agent.protocol import Failed, progress
from tasks.node_agent.restore_state import state, write

API_SERVER = "/etc/kubernetes/manifests/kube-apiserver.yaml"
EVERYTHING = "AA=="
"""A zero byte in base64: as a range's both ends it stands for all keys."""
START_SECONDS = 240
"""How long etcd may take to start for the first time, its image included."""
MOST_KEYS, MOST_BYTES = 100, 1 << 20
"""Of one transaction: etcd takes 128 operations and 1.5 MiB (``--max-txn-ops``, ``--max-request-bytes``)."""

Key = List[Any]
"""Name and value in base64, and the number of the lease or 0."""


def await_etcd() -> str:
    """Where the etcd of this machine listens, when it answers.

    Raises:
        Failed: It does not in time.
    """
    deadline = time.monotonic() + START_SECONDS
    while True:
        try:
            url = own_url()
            ask(url, "kv/range", key=EVERYTHING, limit=1)
            return url
        except (OSError, ValueError) as error:
            if time.monotonic() > deadline:
                seen = "its etcd has not answered for {} s: {}".format(START_SECONDS, error)
                raise Failed(seen, "see what the kubelet says (journalctl -u kubelet)") from None
            time.sleep(1)


def fill(url: str, keys: List[Key], leases: Dict[str, int]) -> None:
    """Put keys into an etcd, in their order, and nothing else: what there is of an attempt before goes.

    Args:
        url: Where it listens.
        keys: The keys.
        leases: By the number of each lease, for how many seconds it is granted.

    Raises:
        Failed: They are not all there afterwards.
    """
    ask(url, "kv/deleterange", key=EVERYTHING, range_end=EVERYTHING)
    granted = {number: ask(url, "lease/grant", TTL=str(seconds))["ID"] for number, seconds in leases.items()}
    batch: List[Dict[str, Any]] = []
    size = done = 0
    for name, value, lease in keys:
        if batch and (len(batch) >= MOST_KEYS or size + len(value) > MOST_BYTES):
            ask(url, "kv/txn", success=batch)
            done += len(batch)
            progress("{} of {} keys".format(done, len(keys)), done, len(keys))
            batch, size = [], 0
        put = {"key": name, "value": value}
        if lease:
            put["lease"] = granted[str(lease)]
        batch.append({"request_put": put})
        size += len(name) + len(value)
    if batch:
        ask(url, "kv/txn", success=batch)
    there = ask(url, "kv/range", key=EVERYTHING, range_end=EVERYTHING, count_only=True).get("count", 0)
    if int(there) != len(keys):
        raise Failed("etcd holds {} keys, and the backup has {}".format(there, len(keys)), "run the restore again")


def main(backup: str, content: str, leases: Dict[str, int]) -> None:
    """Print the state of the restore.

    Raises:
        Failed: It could not be done.
    """
    prepare()
    with alone():
        if state()["backup"] != backup or os.path.exists(API_SERVER):
            raise Failed("there is an API server already, or no restore of this backup under way", "reset the machine")
        keys = json.loads(zlib.decompress(base64.b64decode(content)).decode())
        try:
            fill(await_etcd(), keys, leases)
        except (OSError, ValueError, KeyError) as error:
            raise Failed("etcd does not take the keys: {}".format(error), "run the restore again") from None
        write(backup, "filled")
    print(json.dumps(state()))


if "PAYLOAD" in globals():
    main(**PAYLOAD)  # type: ignore[name-defined]
