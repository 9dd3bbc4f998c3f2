"""ifupdown's files (interfaces(5))."""

from __future__ import annotations

import re
from collections.abc import Iterator
from fnmatch import fnmatchcase
from posixpath import dirname, join, normpath

from configs.plan.interfaces import Claim
from tasks.node.network_files.links import Link, blocks

PORTS = re.compile(r"(bond[-_])?slaves|bridge[-_]ports")
"""What names the ports of a bond or a bridge (ifenslave, bridge-utils-interfaces(5))."""
MASTER = re.compile(r"bond[-_]master")


def claims(text: str, links: tuple[Link, ...]) -> Iterator[Claim]:
    """The stanzas that are about an interface, and what makes ifup take another one for it."""
    stanza = ""
    for path, words in _lines(text):
        stanza = words[1] if words[0] == "iface" else stanza
        for link in links:
            if PORTS.fullmatch(words[0]) and link.name != stanza and _is_named(words[1:], link):
                yield Claim(path, link.name, by=f"`{' '.join(words)}` of {stanza}")
            elif MASTER.fullmatch(words[0]) and stanza in link.names:
                yield Claim(path, link.name, by=f"`{' '.join(words)}`")
            elif words[0] == "iface" and words[1].partition(":")[0] in link.names:  # further addresses have a colon
                family = words[2] if len(words) > 2 and words[2] in ("inet", "inet6") else ""
                yield Claim(path, link.name, family, only_makes=words[-1] == "manual")
            elif words[0] == "mapping":
                if any(fnmatchcase(link.name, pattern) for pattern in words[1:]):
                    yield Claim(path, link.name, by=" ".join(words))
            elif words[0] in ("auto", "rename") or words[0].startswith("allow-"):
                for word in words[1:]:
                    pattern, _, logical = word.partition("=")
                    if logical and logical != link.name and _may_match(pattern, link):
                        yield Claim(path, link.name, by=f"{words[0]} {word}")


def sources(text: str) -> Iterator[str]:
    """What is read besides ``/etc/network/interfaces``: patterns, and directories with a slash at their end."""
    for path, words in _lines(text):
        if words[0] in ("source", "source-directory"):
            end = "/" if words[0] == "source-directory" else ""
            yield from (normpath(join(dirname(path), word)) + end for word in words[1:])


def not_listening(text: str, links: tuple[Link, ...]) -> Iterator[Claim]:
    """The stanzas that have the kernel listen to router advertisements no more once the machine forwards.

    What they set is set after the settings of the kernel's own files. DHCP sets 1 where nothing else is said, and of
    the others none sets anything but 2 by itself (ifupdown's inet6.defn).
    """
    found: list[tuple[str, list[str], str]] = []
    for path, words in _lines(text):
        if words[0] == "iface":
            found.append((path, words, "1" if words[2:4] == ["inet6", "dhcp"] else "2"))
        elif words[0] == "accept_ra" and found:
            found[-1] = (*found[-1][:2], words[1])
    for path, words, listens in found:
        for link in links:
            if listens != "2" and words[1] in link.names:
                yield Claim(path, link.name, "inet6", by=" ".join(words))


def _lines(text: str) -> Iterator[tuple[str, list[str]]]:
    for path, lines in blocks(text):
        yield from ((path, words) for line in lines if len(words := line.split()) > 1 and words[0][0] != "#")


def _is_named(words: list[str], link: Link) -> bool:
    """Whether an interface is among ports, which may be patterns or, of a bridge, all cards."""
    if words[0] == "all":
        return not link.kind
    return any(re.fullmatch(word, name) for word in _expressions(words) for name in link.names)


def _expressions(words: list[str]) -> Iterator[str]:
    """Names behind ``regex`` are regular expressions, until ``noregex``."""
    regex = False
    for word in words:
        if word in ("regex", "noregex"):
            regex = word == "regex"
        else:
            yield word if regex and _is_expression(word) else re.escape(word)


def _is_expression(word: str) -> bool:
    try:
        re.compile(word)
    except re.error:
        return False
    return True


def _may_match(pattern: str, link: Link) -> bool:
    """Whether ``[VARIABLE]/VALUE[/OPTIONS]`` or a plain name may be an interface."""
    if "/" not in pattern:
        return pattern in link.names
    variable, value, *_ = pattern.split("/")
    if variable in ("", "mac") and not (variable and not link.mac):
        mac = ":".join(link.mac[at : at + 2] for at in range(0, 12, 2))
        return fnmatchcase(mac if variable else link.name, value.lower() if variable else value)
    return True
