"""How the answers of servers that were there before are read and judged."""

from __future__ import annotations

import struct
import time
from ipaddress import IPv4Address, IPv6Address, IPv6Network

import pytest

from configs.plan.translation import embed
from configs.schema.cluster import Cluster
from configs.schema.loading import load_cluster
from tasks.node.existing_servers import Answer, dns64_problem, dnssec_warning, nat64_problem
from tasks.node_agent import existing_servers
from tasks.node_agent.existing_servers import addresses, after_name, tried
from tests.fakes import substitute

HOW_TO = load_cluster("kube-v6")
NAME = "outside.example"


def existing(prefix: str = "64:ff9b::/96") -> Cluster:
    update = {"by": "existing", "address": IPv6Address("fd00::53")}
    nat64 = {"by": "existing", "address": IPv6Address("fd00::6464"), "prefix": IPv6Network(prefix)}
    return HOW_TO.model_copy(
        update={"dns64": HOW_TO.dns64.model_copy(update=update), "nat64": HOW_TO.nat64.model_copy(update=nat64)}
    )


@pytest.mark.parametrize(
    ("prefix", "answer", "seen", "todo"),
    [
        (
            "64:ff9b::/96",
            ("", ["64:ff9b::a00:1"]),
            "10.0.0.1, which 64:ff9b::/96 must not carry",
            "prefix of your own",
        ),
        ("64:ff9b::/96", ("", ["64:ff9b::909:909"]), "", ""),
        ("64:ff9b::/96", ("", ["2001:db8::1", "64:ff9b::909:909"]), "", ""),
        ("fd00:64:ff9b::/96", ("", ["fd00:64:ff9b::ac13:3"]), "", ""),
        ("fd00:64:ff9b::/96", ("", ["64:ff9b::909:909"]), "not an address in fd00:64:ff9b::/96", "as nat64.prefix"),
        ("64:ff9b::/96", ("", []), f"gives {NAME} no IPv6 address", "synthesise for 64:ff9b::/96"),
        ("64:ff9b::/96", ("timed out", []), f"DNS64 fd00::53 gives no answer for {NAME}: timed out", "fd00::/64"),
        ("64:ff9b::/96", ("REFUSED", []), "no answer for outside.example: REFUSED", "lets fd00::/64 and the pods ask"),
    ],
)
def test_an_existing_dns64_is_judged_by_its_answer(prefix: str, answer: Answer, seen: str, todo: str) -> None:
    problem = dns64_problem(existing(prefix), NAME, answer)
    if not seen:
        assert problem is None
        return
    assert problem is not None
    assert seen in problem[0]
    assert todo in problem[1]


@pytest.mark.parametrize(
    ("answer", "warned"),
    [
        (("", []), True),
        (("", ["2001:db8::2"]), True),
        (("", ["2001:db8::2", "64:ff9b::909:909"]), False),
        (("FORMERR", []), False),
    ],
)
def test_a_dns64_that_does_not_synthesise_for_who_wants_signatures_is_warned_of(answer: Answer, warned: bool) -> None:
    warning = dnssec_warning(existing(), NAME, answer)
    assert ("break-dnssec" in warning) == warned


def test_an_existing_nat64_is_judged_by_a_connection() -> None:
    topology = existing()
    target = embed(topology.nat64.prefix, IPv4Address("9.9.9.9"))
    assert nat64_problem(topology, target, ("", ["fd00::100"])) is None
    problem = nat64_problem(topology, target, ("timed out", []))
    assert problem is not None
    assert problem[0] == ("NAT64 fd00::6464 passes no connection to [64:ff9b::909:909]:80, that is 9.9.9.9: timed out")
    assert "translates 64:ff9b::/96" in problem[1]


QUESTION = b"\x04ipv4\x04test\0" + struct.pack("!2H", 28, 1)


def message(*records: tuple[int, bytes], flags: int = 0x8180) -> bytes:
    answers = b"".join(b"\xc0\x0c" + struct.pack("!2HIH", kind, 1, 60, len(data)) + data for kind, data in records)
    return struct.pack("!6H", 7, flags, 1, len(records), 0, 0) + QUESTION + answers


def test_the_ipv6_addresses_of_an_answer_are_found_behind_other_records() -> None:
    alias = (5, b"\x05other\xc0\x11")
    found = addresses(message(alias, (28, IPv6Address("64:ff9b::1").packed), (1, b"\x09\x09\x09\x09")))
    assert found == ["64:ff9b::1"]
    assert addresses(message()) == []


@pytest.mark.parametrize(("flags", "said"), [(0x8183, "NXDOMAIN"), (0x8185, "REFUSED"), (0x8189, "response code 9")])
def test_an_answer_that_is_none_says_why(flags: int, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        addresses(message(flags=flags))


def test_a_name_ends_at_the_root_or_with_a_pointer() -> None:
    assert after_name(b"\x01a\x02bc\0rest", 0) == 6
    assert after_name(b"\x01a\xc0\x0crest", 0) == 4


@pytest.mark.parametrize("length", range(13, len(message((28, b"\0" * 16)))))
def test_an_answer_that_was_cut_off_is_an_error_and_no_address(length: int) -> None:
    whole = message((28, b"\0" * 16))
    try:
        found = addresses(whole[:length])
    except (ValueError, IndexError, struct.error):
        return
    assert found == []


def test_what_is_refused_at_once_is_tried_again_a_while_later(monkeypatch: pytest.MonkeyPatch) -> None:
    substitute(monkeypatch, existing_servers, "PAUSE", 0.05)
    answers: list[OSError | list[str]] = [ConnectionRefusedError(), OSError("no route"), ["64:ff9b::1"]]
    asked_at: list[float] = []

    def attempt() -> list[str]:
        asked_at.append(time.monotonic())
        answer = answers[len(asked_at) - 1]
        if isinstance(answer, OSError):
            raise answer
        return answer

    assert tried(attempt) == ["64:ff9b::1"]
    assert asked_at[1] - asked_at[0] >= 0.05 <= asked_at[2] - asked_at[1]


def test_what_fails_to_the_end_says_why_and_silence_is_wait_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    substitute(monkeypatch, existing_servers, "PAUSE", 3600)
    attempts: list[int] = []

    def attempt() -> list[str]:
        attempts.append(1)
        raise (
            TimeoutError("timed out") if len(attempts) < existing_servers.TRIES else ConnectionRefusedError("refused")
        )

    with pytest.raises(ConnectionRefusedError, match="refused"):
        tried(attempt)
    assert len(attempts) == existing_servers.TRIES
