"""Runs on a node: asks the questions of the proof, from the node itself and through kubectl from pods.

An answer is ``[status, output, seconds]``; the status is 0 when the asking itself went well. A question that fails is
asked again until the patience is over: a Service that was made a moment ago is not on every node yet. Each attempt has
twice the time of the one before: a packet that is lost is sent again only after a second (RFC 6298, 2.1).
"""

import http.client
import json
import socket
import ssl
import subprocess
import sys
import time
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Dict, List, Tuple

from tasks.node_agent.certificates import told
from tasks.node_agent.commands import run, text
from tasks.node_agent.files import text_of

CA = "/etc/kubernetes/pki/ca.crt"
TIMEOUT = 5.0
NOT_ASKED = 2
"""The status of a question with which nobody could be sent: nothing is known of what it is about."""
LARGEST = 65536
"""Bytes that are read of an answer."""
EXECS_AT_ONCE = 8
"""Each is a kubectl of some 50 MB on the control plane, so a thousand pods are not asked at once."""

Question = Dict[str, Any]
Answer = List[Any]


class FromAddress(urllib.request.HTTPHandler):
    """HTTP from one address of the machine, which may have several."""

    def __init__(self, address: str) -> None:
        super().__init__()
        self.address = address

    def http_open(self, req: urllib.request.Request) -> http.client.HTTPResponse:
        """As the base class does, but for the address."""
        return self.do_open(http.client.HTTPConnection, req, source_address=(self.address, 0))


def whole(came: bytes, size: int) -> str:
    """What came back, which has to be as much as was sent."""
    if len(came) != size:
        raise ValueError("{} bytes were sent, and {} came back".format(size, len(came)))
    return text(came).strip()


def fetch(question: Question, timeout: float) -> str:
    """What an address answers, at most 64 KiB; HTTPS has to have a certificate of the cluster's own authority.

    Fetched several times, it is each of the different pages that came.
    """
    url, size = question["argument"], question["size"]
    # A proxy set for the machine would answer in the cluster's place.
    handlers: List[urllib.request.BaseHandler] = [urllib.request.ProxyHandler({})]
    if url.startswith("https:"):
        handlers.append(urllib.request.HTTPSHandler(context=ssl.create_default_context(cafile=CA)))
    if question["source"]:
        handlers.append(FromAddress(question["source"]))
    opener = urllib.request.build_opener(*handlers)
    pages: List[str] = []
    for _ in range(question["times"]):
        with opener.open(url, bytes(size) or None, timeout=timeout) as answer:
            came = answer.read(LARGEST)
        page = whole(came, size) if size else text(came)
        pages += [page] * (page not in pages)
    return "".join(pages)


def resolve(question: Question, timeout: float) -> str:  # noqa: ARG001 - the resolver has a time of its own
    """A name's IPv6 addresses, one a line, from the node's resolver."""
    found = socket.getaddrinfo(question["argument"], None, socket.AF_INET6, socket.SOCK_STREAM)
    return "\n".join(sorted({str(entry[4][0]) for entry in found}))


def address_of(question: Question) -> Tuple[str, int]:
    """Of ``[address]:port``."""
    host, _, port = question["argument"].rpartition(":")
    return host.strip("[]"), int(port)


def datagram(question: Question, timeout: float) -> str:
    """What comes back for a datagram of so many bytes; each attempt has a port of its own."""
    with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as connection:
        connection.settimeout(timeout)
        connection.connect(address_of(question))
        connection.send(bytes(question["size"]))
        return whole(connection.recv(LARGEST), question["size"])


def refused(question: Question, timeout: float) -> str:
    """Well when connections are refused at once: nobody stands behind the address, and who asks is told."""
    try:
        socket.create_connection(address_of(question), timeout).close()
    except ConnectionRefusedError:
        return "refused"
    raise ValueError("somebody still answers")


KINDS = {"fetch": fetch, "resolve": resolve, "datagram": datagram, "refused": refused}


def ask(question: Question, deadline: float, first: float) -> Answer:
    """The answer to a question, the first good one, or the last before the deadline of the monotonic clock."""
    attempt = KINDS[question["kind"]]
    timeout = first
    while True:
        started = time.monotonic()
        try:
            return [0, attempt(question, timeout), time.monotonic() - started]
        except (OSError, ValueError, http.client.HTTPException) as error:
            if time.monotonic() > deadline:
                return [1, str(error), time.monotonic() - started]
        timeout = min(2 * timeout, TIMEOUT)
        time.sleep(0.1)


def ask_from_pod(
    pod: str, questions: List[Question], kubectl: List[str], patience: float, first: float
) -> Dict[str, Answer]:
    """All questions of one pod in one exec."""
    errand = {"patience": patience, "first": first, "timeout": TIMEOUT, "ca": text_of(CA), "questions": questions}
    process = subprocess.Popen(
        kubectl + ["exec", "-i", pod, "--", "/probe", "ask"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    said = "no answer"
    try:
        output, errors = process.communicate(json.dumps(errand).encode(), timeout=patience + 6 * TIMEOUT)
        said = text(errors).strip() or said
        return dict(json.loads(text(output)))
    except (subprocess.TimeoutExpired, ValueError):
        process.kill()
        return {question["id"]: [NOT_ASKED, "kubectl exec: " + said, 0.0] for question in questions}


def main(
    node: List[Question],
    pods: Dict[str, List[Question]],
    kubectl: List[str],
    patience: float,
    first: float,
    registry: List[str],
    before: List[str],
) -> None:
    """Ask the node's questions and meanwhile those of the pods; print the answers and its certificates as JSON.

    What is to be done before that changes the very objects which are asked for.
    """
    answers: Dict[str, Answer] = {}
    if before:
        run(kubectl + before)
    deadline = time.monotonic() + patience

    def from_pod(pod: str, questions: List[Question]) -> Dict[str, Answer]:
        # One whose turn comes late gets the time of a whole attempt all the same, where there is patience at all.
        left = max(min(TIMEOUT, patience), deadline - time.monotonic())
        return ask_from_pod(pod, questions, kubectl, left, first)

    with ThreadPoolExecutor(EXECS_AT_ONCE) as executor:
        begun = [executor.submit(from_pod, pod, each) for pod, each in sorted(pods.items())]
        for question in node:
            answers[question["id"]] = ask(question, deadline, first)
        for asked in begun:
            answers.update(asked.result())
    json.dump({"answers": answers, "certificates": told(registry)}, sys.stdout)


if "PAYLOAD" in globals():
    main(**PAYLOAD)  # type: ignore[name-defined]
