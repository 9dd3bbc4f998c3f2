"""Runs on a node: tells the certificates that the cluster lives by."""

import json

from tasks.node_agent.certificates import told

if "PAYLOAD" in globals():
    print(json.dumps(told(**PAYLOAD)))  # type: ignore[name-defined]
