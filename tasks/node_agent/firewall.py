"""The packet filter: what Kubernetes and CNI plugins put there, and nothing else, is taken away.

No table is flushed and no other rule is looked at: one of those may be what lets SSH in.
"""

import re
import shutil
from typing import List

from tasks.node_agent.commands import run

PREFIXES = ("KUBE-", "CNI-")
JUMP = re.compile(r" (?:-j|-g) ({})".format("|".join(PREFIXES)))
QUOTED = re.compile(r'"(?:[^"\\]|\\.)*"')
"""A comment, which may hold anything."""
RESTORE_SECONDS = 60


def without_kubernetes(saved: str) -> str:
    """What ``iptables-restore --noflush`` has to be told to take away Kubernetes' and CNI's chains.

    A chain that is declared there is emptied (iptables-restore(8)), so that every one can go whatever refers to it.

    Args:
        saved: What ``iptables-save`` printed.

    Returns:
        The commands, table by table; empty when there is nothing to take away.
    """
    orders: List[str] = []
    chains: List[str] = []
    rules: List[str] = []
    for line in saved.splitlines():
        if line.startswith("*"):
            table, chains, rules = line, [], []
        elif line.startswith(":") and line[1:].startswith(PREFIXES):
            chains.append(line[1:].split()[0])
        elif line.startswith("-A ") and not line[3:].startswith(PREFIXES) and JUMP.search(QUOTED.sub("", line)):
            rules.append("-D " + line[3:])
        elif line == "COMMIT" and (chains or rules):
            orders.append(table)
            orders += [":{} - [0:0]".format(chain) for chain in chains]
            orders += rules
            orders += ["-X " + chain for chain in chains]
            orders.append("COMMIT")
    return "".join(order + "\n" for order in orders)


def remove_kubernetes_rules() -> List[str]:
    """Take Kubernetes' and CNI's chains and the jumps to them away, of both families.

    Returns:
        What was done.
    """
    done = []
    for tool in ("iptables", "ip6tables"):
        if not shutil.which(tool + "-save"):
            continue
        orders = without_kubernetes(run([tool + "-save"]))
        if orders:
            restore(tool, orders)
            done.append("chains of {} removed: {}".format(tool, orders.count("\n-X ")))
    return done


def remove_kubernetes_tables() -> List[str]:
    """Take away the tables that kube-proxy makes in its mode for nftables, of both families.

    Returns:
        What was done.
    """
    if not shutil.which("nft"):
        return []
    tables = re.findall(r"(?m)^table (ip6? kube-proxy)$", run(["nft", "list", "tables"]))
    for table in tables:
        run(["nft", "delete", "table"] + table.split())
    return ["table of nftables removed: {}".format(table) for table in tables]


def restore(tool: str, orders: str) -> None:
    """Give ``tool``-restore its orders. One that can waits 10 s for another's lock (iptables-restore(8))."""
    words = [tool + "-restore", "--noflush"]
    # Before 1.6.2 it would take the seconds for the name of a file. Help may go to standard error, with a status of 1.
    if "--wait=" in run(["sh", "-c", "{} --help 2>&1 || true".format(words[0])]):
        words += ["-w", "10"]
    run(words, timeout=RESTORE_SECONDS, given=orders)
