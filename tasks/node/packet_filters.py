"""The packet filters of a machine, from what ``ip6tables-save`` and ``nft list ruleset`` print."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Mapping

from configs.plan.packet_filter import Condition, PacketFilter, Rule, Verdict

HOOKS = {"INPUT": "input", "FORWARD": "forward", "OUTPUT": "output"}
PROTOCOLS = {"ipv6-icmp": "icmpv6", "icmpv6": "icmpv6", "58": "icmpv6", "6": "tcp", "17": "udp"}
OPTIONS = {
    "-i": "come",
    "-o": "goes",
    "-s": "source",
    "-p": "protocol",
    "--dport": "port",
    "--dports": "port",
    "--state": "new",
    "--ctstate": "new",
}
"""What options of iptables(8) and iptables-extensions(8) ask for."""
IGNORED = ("-m", "--comment", "--reject-with", "--log-prefix", "--log-level", "--icmpv6-type")
UFW = {"ufw6-user-input": "INPUT", "ufw6-user-forward": "FORWARD", "ufw6-user-output": "OUTPUT"}
VERDICTS = {"ACCEPT": "accept", "DROP": "drop", "REJECT": "drop", "RETURN": "return"}


def packet_filters(said: Mapping[str, str], *, firewalld: bool) -> tuple[PacketFilter, ...]:
    """The filters that may drop what a node needs; those of firewalld, which gets a zone of ours, are left out.

    Args:
        said: The answers of ``ufw``, ``ip6tables``, ``iptables-rules`` and ``nft``.
        firewalld: Whether it runs.
    """
    found = []
    if not firewalld:
        found += [
            of_iptables("ip6tables", said.get("ip6tables", "")),
            of_iptables("iptables", said.get("iptables-rules", "")),
        ]
    if "ENABLED=yes" in said.get("ufw", "") and "ufw6-" not in said.get("ip6tables", ""):
        found.append(of_ufw(said["ufw"]))
    theirs = {each.name for each in found if each.bases}
    return tuple(each for each in (*found, *of_nft(said.get("nft", ""), theirs)) if each.bases)


def of_iptables(name: str, text: str) -> PacketFilter:
    """What ``iptables-save -t filter`` prints; twice where there are tables of both kinds."""
    policies = dict(re.findall(r"(?m)^:(INPUT|FORWARD|OUTPUT) (ACCEPT|DROP)", text))
    if re.search(r"(?m)^:(INPUT|FORWARD|OUTPUT) DROP", text):  # of two tables one may let everything through
        policies |= dict(re.findall(r"(?m)^:(INPUT|FORWARD|OUTPUT) (DROP)", text))
    chains: dict[str, list[Rule]] = {}
    for line in text.splitlines():
        if line.startswith("-A "):
            words = shlex.split(line)
            chains.setdefault(words[1], []).append(_rule(words[2:]))
    bases = tuple((HOOKS[chain], chain, _policy(policy)) for chain, policy in policies.items())
    title = f"ufw ({name})" if "-A ufw" in text else name
    return PacketFilter(title, bases, _frozen(chains), 4 if name == "iptables" else 6)


def of_ufw(text: str) -> PacketFilter:
    """ufw by its files, where it is enabled and has not started: its rules, and what its defaults let through."""
    policies = {"INPUT": "DROP", "FORWARD": "DROP", "OUTPUT": "ACCEPT"}
    policies |= dict(re.findall(r'(?m)^DEFAULT_(INPUT|FORWARD|OUTPUT)_POLICY="?(\w+)', text))
    chains: dict[str, list[Rule]] = {"INPUT": [_rule(["-p", "ipv6-icmp", "-j", "ACCEPT"])]}
    for line in text.splitlines():
        words = shlex.split(line) if line.startswith("-A ") else []
        if words and words[1] in UFW:
            chains.setdefault(UFW[words[1]], []).append(_rule(words[2:]))
    return PacketFilter("ufw", tuple((HOOKS[c], c, _policy(p)) for c, p in policies.items()), _frozen(chains))


def _policy(word: str) -> Verdict:
    return "accept" if word == "ACCEPT" else "drop"


def _frozen(chains: Mapping[str, list[Rule]]) -> tuple[tuple[str, tuple[Rule, ...]], ...]:
    return tuple((name, tuple(rules)) for name, rules in chains.items())


def _rule(words: list[str]) -> Rule:
    """A rule of iptables, from its options."""
    conditions, verdict, chain, negated = [], "", "", False
    rest = iter(words)
    for word in rest:
        if word == "!":
            negated = True
            continue
        if word in ("-j", "-g"):
            target = next(rest, "")
            verdict, chain = VERDICTS.get(target, "jump"), target
        elif word in OPTIONS:
            values = tuple(_value(OPTIONS[word], each) for each in next(rest, "").lower().split(","))
            conditions.append(Condition(OPTIONS[word], values, negated))
        elif word in IGNORED:
            next(rest, "")
        elif word.startswith("-"):
            conditions.append(Condition(word))
        negated = False
    return Rule(tuple(conditions), verdict, chain)


def _value(about: str, value: str) -> str:
    if about in ("come", "goes"):
        return re.sub(r"\+$", "*", value)
    return PROTOCOLS.get(value, value) if about == "protocol" else value


def of_nft(text: str, others: set[str]) -> Iterator[PacketFilter]:
    """What ``nft list ruleset`` prints, without the tables that iptables has told of, and firewalld's."""
    for family, table, body in re.findall(r"(?ms)^table (ip|ip6|inet) (\S+) \{\n(.*?)^\}", text):
        told = {"ip6": "ip6tables", "ip": "iptables"}.get(family, "")
        if table == "firewalld" or (table == "filter" and any(told and told in each for each in others)):
            continue
        bases: list[tuple[str, str, Verdict]] = []
        chains: dict[str, list[Rule]] = {}
        for name, lines in re.findall(r"(?ms)^\tchain (\S+) \{\n(.*?)^\t\}", body):
            base = re.search(r"type filter hook (input|forward|output) priority [^;]+;(?: policy (\w+);)?", lines)
            if base:
                bases.append((base[1], name, _policy((base[2] or "accept").upper())))
            chains[name] = [
                _nft_rule(each.strip()) for each in lines.splitlines() if not each.strip().startswith("type ")
            ]
        for version in {"ip": (4,), "ip6": (6,)}.get(family, (6, 4)):
            yield PacketFilter(f"nft table {family} {table}", tuple(bases), _frozen(chains), version)


NFT = {
    "iif": "come",
    "iifname": "come",
    "oif": "goes",
    "oifname": "goes",
    "saddr": "source",
    "l4proto": "protocol",
    "nexthdr": "protocol",
    "dport": "port",
}
NFT_IGNORED = re.compile(
    r'counter( packets \d+ bytes \d+)?|log( (prefix|level|flags|group) ("[^"]*"|\S+))*|comment "[^"]*"'
)
NFT_MATCH = re.compile(
    r"(?:(meta|ip6|ip|tcp|udp|th|ct|icmpv6|icmp)\s+)?(iif|iifname|oif|oifname|saddr|l4proto|nexthdr|dport|state|nfproto|type)"
    r'\s+(!=\s+)?(vmap\s+)?(\{[^}]*\}|"[^"]*"|\S+)\s*'
)


def _nft_rule(line: str) -> Rule:
    """A rule of nft(8); what is not understood of it is a condition that may hold."""
    rest, conditions = NFT_IGNORED.sub("", line).strip(), []
    while found := NFT_MATCH.match(rest):
        rest = rest[found.end() :]
        before, word, negated, vmap, value = found.groups()
        values = tuple(each.strip().strip('"').split(" : ")[0] for each in value.strip("{}").split(","))
        if word == "state":
            if vmap:
                return Rule((Condition("vmap"),), "")
            conditions.append(Condition("new", values, bool(negated)))
        elif word == "nfproto":
            conditions.append(Condition("source", ("::/0" if value == "ipv6" else "0.0.0.0/0",), bool(negated)))
        elif word == "type":
            conditions.append(Condition("protocol", (before or "icmp",)))
        else:
            if word == "dport" and before in ("tcp", "udp"):
                conditions.append(Condition("protocol", (before,)))
            about = NFT[word]
            conditions.append(Condition(about, tuple(_value(about, each) for each in values), bool(negated)))
    verdict = re.search(r"\b(accept|drop|reject|return|jump|goto)\b(?: (\S+))?", rest)
    if rest and (not verdict or verdict.start()):
        conditions.append(Condition(rest))
    if not verdict:
        return Rule(tuple(conditions), "")
    word = {"reject": "drop", "goto": "jump"}.get(verdict[1], verdict[1])
    return Rule(tuple(conditions), word, verdict[2] or "")
