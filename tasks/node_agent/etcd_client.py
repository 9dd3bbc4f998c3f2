"""Asks the etcd of a control plane over its JSON gateway: no etcdctl is on a node, nor in every image of etcd."""

import json
import re
import ssl
import urllib.request
from typing import Any, Dict, Iterator
from urllib.error import HTTPError

from tasks.node_agent.commands import text
from tasks.node_agent.files import text_of

MANIFEST = "/etc/kubernetes/manifests/etcd.yaml"
PKI = "/etc/kubernetes/pki/etcd/"
SECONDS = 10
VERSIONS = ("v3", "v3beta")
"""How the gateway calls itself: etcd 3.4 and newer, and 3.3."""

Json = Dict[str, Any]


def own_url() -> str:
    """Where the etcd of this machine listens.

    Raises:
        ValueError: There is none.
    """
    match = re.search(r"--advertise-client-urls=(https://[^,\s]+)", text_of(MANIFEST))
    if match is None:
        raise ValueError("there is no etcd on this machine")
    return match.group(1)


def ask(url: str, path: str, **question: Any) -> Json:
    """What a member answers.

    Args:
        url: Where it listens.
        path: The method, behind the version.
        question: Its arguments.

    Raises:
        OSError: It does not answer.
        ValueError: It refuses, or its answer is no JSON.
    """
    with opened(url, path, question) as answer:
        found = json.loads(text(answer.read()))
    return found if isinstance(found, dict) else {}


def stream(url: str, path: str) -> Iterator[Json]:
    """What a member answers part by part, each a line.

    Args:
        url: Where it listens.
        path: The method, behind the version.

    Raises:
        OSError: It does not answer.
        ValueError: It refuses, or a part is no JSON.
    """
    with opened(url, path, {}) as answer:
        for line in answer:
            part = json.loads(text(line))
            if "error" in part:
                raise ValueError(str(part["error"].get("message", part["error"])))
            yield part["result"]


def opened(url: str, path: str, question: Json) -> Any:
    """The answer of a member, to be read.

    Raises:
        OSError: It does not answer.
        ValueError: It refuses.
    """
    context = ssl.create_default_context(cafile=PKI + "ca.crt")
    context.load_cert_chain(PKI + "healthcheck-client.crt", PKI + "healthcheck-client.key")
    handlers = [urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=context)]
    opener = urllib.request.build_opener(*handlers)
    body = json.dumps(question).encode()
    for version in VERSIONS:
        try:
            return opener.open("/".join((url, version, path)), data=body, timeout=SECONDS)
        except HTTPError as error:
            if error.code == 404 and version != VERSIONS[-1]:
                continue
            raise ValueError(refusal(text(error.read()), error.code)) from None
    raise ValueError("it has no such method")


def refusal(said: str, status: int) -> str:
    """Why a member refuses, in its own words."""
    try:
        return str(json.loads(said)["error"])
    except (ValueError, KeyError, TypeError):
        return "HTTP status {}".format(status)
