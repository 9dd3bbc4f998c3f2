"""Runs on a node: tells the certificates that the cluster lives by."""

import json

from tasks.node_agent.certificates import certificates

if "PAYLOAD" in globals():
    print(json.dumps(certificates(**PAYLOAD)))  # type: ignore[name-defined]
