"""Runs on a node: asks servers that kubev6 did not set up, DNS64 and NAT64.

An answer is ``[error, values]``; the error is empty when the asking itself went well.
"""

import json
import os
import socket
import struct
import sys
import time
from typing import Any, Callable, Dict, List, Tuple

TRIES = 3
TIMEOUT = 3
PAUSE = 1.0
"""Seconds until what was refused at once is tried again: a next hop that is still being looked for counts as
unreachable until it answers, and a server that is just starting refuses."""
AAAA, OPT = 28, 41
UDP_SIZE = 4096
DO = 0x8000
RESPONSE_CODES = {1: "FORMERR", 2: "SERVFAIL", 3: "NXDOMAIN", 4: "NOTIMP", 5: "REFUSED"}

Question = Dict[str, Any]


def tried(attempt: Callable[[], List[str]]) -> List[str]:
    """What the first attempt that does not fail brings."""
    for _ in range(TRIES - 1):
        try:
            return attempt()
        except socket.timeout:
            continue
        except OSError:
            time.sleep(PAUSE)
    return attempt()


def aaaa(question: Question) -> List[str]:
    """The IPv6 addresses that a server gives for a name, asked of that server alone (RFC 1035).

    With ``dnssec`` the signatures are asked for too, by the bit DO of an OPT record (RFC 6891, 6.1.2; RFC 3225).
    """
    ident = os.urandom(2)
    labels = b"".join(
        struct.pack("B", len(label)) + label for label in question["name"].encode("idna").split(b".") if label
    )
    with_signatures = bool(question.get("dnssec"))
    # One question, recursion desired.
    query = ident + struct.pack("!5H", 0x0100, 1, 0, 0, with_signatures) + labels + b"\0" + struct.pack("!2H", AAAA, 1)
    if with_signatures:
        query += b"\0" + struct.pack("!2HIH", OPT, UDP_SIZE, DO, 0)

    def attempt() -> List[str]:
        with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as server:
            server.settimeout(TIMEOUT)
            # Connected, so that only that server's answer is taken, and its machine's refusal is heard.
            server.connect((question["server"], 53))
            server.send(query)
            answer = server.recv(UDP_SIZE)
        if answer[:2] != ident:
            raise OSError("an answer to another question")
        return addresses(answer)

    return tried(attempt)


def addresses(answer: bytes) -> List[str]:
    """The IPv6 addresses of a DNS message.

    Raises:
        ValueError: It says that there is no answer, or cannot be understood.
    """
    _ident, flags, questions, answers = struct.unpack("!4H", answer[:8])
    code = flags & 0xF
    if code:
        raise ValueError(RESPONSE_CODES.get(code, "response code {}".format(code)))
    place = 12
    for _ in range(questions):
        place = after_name(answer, place) + 4
    found = []
    for _ in range(answers):
        place = after_name(answer, place)
        kind, _klass, _ttl, length = struct.unpack("!2HIH", answer[place : place + 10])
        place += 10
        if kind == AAAA and length == 16:
            found.append(socket.inet_ntop(socket.AF_INET6, answer[place : place + length]))
        place += length
    return found


def after_name(message: bytes, place: int) -> int:
    """Where a name in a DNS message ends: at the root's empty label, or with a pointer to the rest of it."""
    while message[place]:
        if message[place] >= 0xC0:
            return place + 2
        place += 1 + message[place]
    return place + 1


def a(question: Question) -> List[str]:
    """The IPv4 addresses of a name, as this machine resolves it."""
    found = socket.getaddrinfo(question["name"], None, socket.AF_INET, socket.SOCK_STREAM)
    return sorted({str(entry[4][0]) for entry in found})


def connect(question: Question) -> List[str]:
    """Where a TCP connection to an address and port comes from."""

    def attempt() -> List[str]:
        with socket.create_connection((question["address"], question["port"]), timeout=TIMEOUT) as connection:
            return [str(connection.getsockname()[0])]

    return tried(attempt)


def ask(question: Question) -> Tuple[str, List[str]]:
    """The answer to one question, which is asked by the function that its ``kind`` names."""
    try:
        return "", {"aaaa": aaaa, "a": a, "connect": connect}[question["kind"]](question)
    except (OSError, ValueError, IndexError, struct.error) as error:
        return getattr(error, "strerror", None) or str(error) or "an answer that cannot be understood", []


def main(questions: List[Question]) -> None:
    """Print the answers as JSON, in the order of the questions."""
    json.dump([ask(question) for question in questions], sys.stdout)


if "PAYLOAD" in globals():
    main(**PAYLOAD)  # type: ignore[name-defined]
