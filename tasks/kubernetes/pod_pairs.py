"""Which pods of a proof ask which other ones: all of them in a small cluster, in a large one a few each. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence

ALL_BELOW = 20
"""So many nodes are the first that do not ask all the others: from there on 380 pairs and more would be asked."""


def strides(count: int) -> tuple[int, int, int]:
    """How far on a circle of nodes those are that a node asks: 1, r and r squared, r being the cube root of the nodes.

    This is the multi-loop network of Wong and Coppersmith ("A Combinatorial Problem Related to Multimodule Memory
    Organizations", Journal of the ACM 21, 1974), whose longest way grows with the cube root only. By the stride of 1 it
    is one piece. It looks the same from every node, so as many links as a node has would have to go before it falls
    apart (Mader, 1971): here six, as no two nodes are paired twice. What separates any group of nodes from the others,
    a rack or a subnet, is therefore met by several questions, and from either side.

    Args:
        count: How many nodes there are; at least :data:`ALL_BELOW`.
    """
    root = 1
    while (root + 1) ** 3 <= count:
        root += 1
    return 1, root, root**2


def pairs(nodes: Sequence[str], *, full: bool = False) -> Iterator[tuple[str, str]]:
    """Who asks whom, each pair once: below :data:`ALL_BELOW` nodes everybody all the others, else three of them.

    The same nodes in the same order give the same pairs. Every node asks as many others as ask it.

    Args:
        nodes: Their names, in the order of the cluster file.
        full: Ask all pairs, however many.
    """
    count = len(nodes)
    distances = range(1, count) if full or count < ALL_BELOW else strides(count)
    for index, name in enumerate(nodes):
        for distance in distances:
            yield name, nodes[(index + distance) % count]


def note(asked: Collection[tuple[str, str]]) -> str:
    """How many of all pairs were asked, and how all are; empty when all were, or none.

    Args:
        asked: The pairs; each node asks in at least one.
    """
    count = len({source for source, _ in asked})
    every = count * (count - 1)
    if count < ALL_BELOW or len(asked) >= every:
        return ""
    return f"pod to pod: {len(asked)} of {every} pairs; `kubev6 verify --full` asks all"
