"""Runs on a node: asks the questions of the proof, from the node itself and through kubectl from pods.

An answer is ``[status, output, seconds]``; the status is 0 when the asking itself went well. A question that fails is
asked again until the patience is over: a Service that was made a moment ago is not on every node yet.
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
from typing import Any, Dict, List

from tasks.node_agent.certificates import told
from tasks.node_agent.commands import text
from tasks.node_agent.files import text_of

CA = "/etc/kubernetes/pki/ca.crt"
TIMEOUT = 5.0
FIRST_TIMEOUT = 0.25
"""A packet to a Service that has not arrived here yet is lost, and sent again only after a second (RFC 6298, 2.1). So
first attempts are short, and each one longer than the one before."""

EXECS_AT_ONCE = 8
"""Each is a kubectl of some 50 MB on the control plane, so a thousand pods are not asked at once."""

Question = Dict[str, str]
Answer = List[Any]


def fetch(url: str, timeout: float) -> str:
    """What an address answers, at most 64 KiB; HTTPS has to have a certificate of the cluster's own authority."""
    # A proxy set for the machine would answer in the cluster's place.
    handlers: List[urllib.request.BaseHandler] = [urllib.request.ProxyHandler({})]
    if url.startswith("https:"):
        handlers.append(urllib.request.HTTPSHandler(context=ssl.create_default_context(cafile=CA)))
    with urllib.request.build_opener(*handlers).open(url, timeout=timeout) as answer:
        return text(answer.read(65536))


def resolve(name: str, timeout: float) -> str:  # noqa: ARG001 - asked as fetch is; the resolver has a time of its own
    """A name's IPv6 addresses, one a line, from the node's resolver."""
    found = socket.getaddrinfo(name, None, socket.AF_INET6, socket.SOCK_STREAM)
    return "\n".join(sorted({str(entry[4][0]) for entry in found}))


def ask(question: Question, deadline: float) -> Answer:
    """The answer to a question, the first good one, or the last before the deadline of the monotonic clock."""
    attempt = {"fetch": fetch, "resolve": resolve}[question["kind"]]
    timeout = FIRST_TIMEOUT
    while True:
        started = time.monotonic()
        try:
            return [0, attempt(question["argument"], timeout), time.monotonic() - started]
        except (OSError, ValueError, http.client.HTTPException) as error:
            if time.monotonic() > deadline:
                return [1, str(error), time.monotonic() - started]
        timeout = min(2 * timeout, TIMEOUT)
        time.sleep(0.1)


def ask_from_pod(pod: str, questions: List[Question], kubectl: List[str], deadline: float) -> Dict[str, Answer]:
    """All questions of one pod in one exec; one whose turn comes late gets the time of a whole attempt all the same."""
    patience = max(TIMEOUT, deadline - time.monotonic())
    errand = {"patience": patience, "timeout": TIMEOUT, "ca": text_of(CA), "questions": questions}
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
        return {question["id"]: [1, "kubectl exec: " + said, 0.0] for question in questions}


def main(
    node: List[Question],
    pods: Dict[str, List[Question]],
    kubectl: List[str],
    patience: float,
    registry: List[str],
) -> None:
    """Ask the node's questions and meanwhile those of the pods; print the answers and its certificates as JSON."""
    answers: Dict[str, Answer] = {}
    deadline = time.monotonic() + patience
    with ThreadPoolExecutor(EXECS_AT_ONCE) as executor:
        begun = [executor.submit(ask_from_pod, pod, each, kubectl, deadline) for pod, each in sorted(pods.items())]
        for question in node:
            answers[question["id"]] = ask(question, deadline)
        for asked in begun:
            answers.update(asked.result())
    json.dump({"answers": answers, "certificates": told(registry)}, sys.stdout)


if "PAYLOAD" in globals():
    main(**PAYLOAD)  # type: ignore[name-defined]
