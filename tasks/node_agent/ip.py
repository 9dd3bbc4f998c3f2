"""What ``ip`` prints, as values. Its text: the JSON of newer ones is not had from that of CentOS 7 or Ubuntu 16.04."""

from typing import List, Tuple

from tasks.node_agent.protocol import Json

KEYS = {"via": "gateway", "dev": "dev", "proto": "protocol", "metric": "metric"}
TYPES = ("unicast", "local", "broadcast", "anycast", "multicast", "unreachable", "blackhole", "prohibit", "throw")


def links_of(text: str) -> List[Tuple[str, bool]]:
    """Name of every interface and whether it is switched on, from ``ip -o link``."""
    found = []
    for line in text.splitlines():
        words = line.split()
        if len(words) > 2:
            flags = words[2].strip("<>").split(",")
            found.append((words[1].rstrip(":").split("@")[0], "UP" in flags))
    return found


def addresses_of(text: str) -> List[List[str]]:
    """``[interface, address/length, state]`` of every address, from ``ip -o addr``."""
    found = []
    for line in text.splitlines():
        words = line.split("\\")[0].split()
        if len(words) < 4 or words[2] not in ("inet", "inet6"):
            continue
        address = words[3]
        if "/" not in address:  # of a tunnel, whose length stands behind the other end
            address += "/" + words[5].split("/")[-1]
        state = "failed" if "dadfailed" in words else "tentative" if "tentative" in words else ""
        found.append([words[1], address, state])
    return found


def words_of_addresses(text: str) -> List[str]:
    """Every address as ``ip addr add`` takes it to make it again (ip-address(8)), from ``ip -o addr``.

    Without those that the kernel makes by itself, and those that are not in use: another machine has them too.
    """
    found = []
    for line in text.splitlines():
        words = line.replace("\\", " ").split()
        if len(words) < 4 or words[2] not in ("inet", "inet6") or "scope" not in words:
            continue
        at = words.index("scope")
        scope, flags = words[at + 1], words[at + 2 :]
        if (words[2] == "inet6" and scope in ("link", "host")) or "dadfailed" in flags or "temporary" in flags:
            continue
        made = words[3:at] + ["scope", scope, "dev", words[1]]
        made += [word for word in flags if word in ("nodad", "noprefixroute", "mngtmpaddr")]
        label = [word for word in flags if word.startswith(words[1] + ":")]
        made += ["label"] + label if label else []
        if "dynamic" in flags:
            for life in ("valid_lft", "preferred_lft"):
                made += [life, words[words.index(life) + 1].replace("sec", "")]
        found.append(" ".join(made))
    return found


STATES = ("linkdown", "dead", "pervasive", "offload", "trap", "offload_failed", "rt_offload", "rt_trap", "notify")
"""Words of ``ip route show`` that say how a route is, and that ``ip route add`` does not take."""
NUMBERS = ("expires", "error", "nhid", "users", "used", "age")
"""The same, with a value behind them."""


def words_of_routes(text: str) -> List[str]:
    """Every route as ``ip route`` takes it to make it again (ip-route(8)), whole, from ``ip -o route``."""
    found = []
    for line in text.splitlines():
        words = line.replace("\\", " ").split()
        before = [""] + words
        kept = [
            word
            for word, previous in zip(words, before)  # noqa: B905 - strict is newer than 3.5
            if word not in STATES
            and word not in NUMBERS
            and previous not in NUMBERS
            and (previous, word) != ("rto_min", "lock")  # said always, and not taken
        ]
        if kept:
            found.append(" ".join(kept))
    return found


def routes_of(text: str) -> List[Json]:
    """Every route, from ``ip -o route``; of one with several next hops these are left out."""
    found = []
    for line in text.splitlines():
        words = line.split("\\")[0].split()
        route: Json = {"type": words.pop(0)} if words and words[0] in TYPES else {}
        if not words:
            continue
        route["dst"] = words.pop(0)
        words = [word for word in words if word not in ("inet", "inet6")]
        for word, value in zip(words, words[1:]):  # noqa: B905, RUF007 - newer than 3.5
            if word in KEYS and KEYS[word] not in route:
                route[KEYS[word]] = int(value) if word == "metric" else value
        found.append(route)
    return found
