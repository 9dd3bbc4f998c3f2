"""Runs on a control plane: writes what a backup is made of to standard output, and to nothing else.

First a line of JSON: the certificate authorities with their keys, kubeadm's document, and the version of etcd. Then, as
one stream of zlib's, the snapshot that etcd sends of itself.
"""

import base64
import json
import os
import sys
import zlib
from typing import Dict

from tasks.node_agent.certificates import KUBERNETES, PKI
from tasks.node_agent.commands import prepare
from tasks.node_agent.etcd_client import ask, own_url, stream
from tasks.node_agent.files import text_of
from tasks.node_agent.protocol import Failed, progress

AUTHORITIES = ("ca.crt", "ca.key", "etcd/ca.crt", "etcd/ca.key", "front-proxy-ca.crt", "front-proxy-ca.key")
ACCOUNTS = ("sa.key", "sa.pub")
"""What service accounts' tokens are signed by."""
CONFIG = KUBERNETES + "/kubev6-kubeadm.yaml"
EVERYTHING = "AA=="
"""A zero byte in base64: as a range's both ends it stands for all keys."""
TOLD_EVERY = 4 << 20
"""After how many bytes more it is said how far it is."""


def authorities() -> Dict[str, str]:
    """Certificates and keys that cannot be made again, by their paths below kubeadm's directory.

    Raises:
        Failed: One is not there.
    """
    found = {name: text_of(os.path.join(PKI, name)) for name in AUTHORITIES + ACCOUNTS}
    for name, content in found.items():
        if not content:
            raise Failed("{}/{} is not there or empty, and no backup is whole without it".format(PKI, name))
    return found


def send_snapshot(url: str) -> None:
    """Write a snapshot as etcd sends it, compressed."""
    packer, sent, told = zlib.compressobj(1), 0, 0
    for part in stream(url, "maintenance/snapshot"):
        content = base64.b64decode(part.get("blob", ""))
        sent += len(content)
        sys.stdout.buffer.write(packer.compress(content))
        if sent - told >= TOLD_EVERY:
            told = sent
            progress("{} MiB".format(sent >> 20), sent, sent + int(part.get("remaining_bytes", 0)))
    sys.stdout.buffer.write(packer.flush())


def main() -> None:
    """Write all of it.

    Raises:
        Failed: etcd does not answer, or has no majority, or says that its data is damaged.
    """
    prepare()
    try:
        url = own_url()
        # As all members have it: a member that hears nothing of the others does not answer this.
        ask(url, "kv/range", key=EVERYTHING, range_end=EVERYTHING, count_only=True)
        alarms = [each.get("alarm") for each in ask(url, "maintenance/alarm", action="GET").get("alarms", ())]
        if "CORRUPT" in alarms:
            raise Failed("etcd says that the data of a member is damaged", "replace that control plane first")
        version = ask(url, "maintenance/status").get("version", "")
        told = {"pki": authorities(), "kubeadm": text_of(CONFIG), "etcd": version}
        sys.stdout.buffer.write(json.dumps(told).encode() + b"\n")
        send_snapshot(url)
    except (OSError, ValueError, KeyError) as error:
        raise Failed("its etcd gives no snapshot: {}".format(error)) from None
    sys.stdout.buffer.flush()


if "PAYLOAD" in globals():
    main()
