"""What a deploy of fake machines shows, line by line."""

from __future__ import annotations

import re

IN_ORDER = (
    r"kube-support support \d",
    r"kube-worker-2 kubernetes \d",
    r"kube-control-plane kubeadm init \d",
    r"kube-worker-1 kubeadm join \d",
    r"kube-control-plane proof \d",
)
"""Ends of steps. What the first two wait for is not the same; each of the others waits for those before it."""


def position(lines: list[str], pattern: str) -> int:
    """Number of the first line that matches."""
    return next(number for number, line in enumerate(lines) if re.match(pattern, line))


def ends_in_order(lines: list[str]) -> list[int]:
    """Where the steps of :data:`IN_ORDER` end, which are in that order, and nothing else on the screen is no step."""
    ended = [position(lines, pattern) for pattern in IN_ORDER]
    assert ended[2:] == sorted(ended[2:])
    assert all(re.match(r"\S+ [A-Za-z ]+ (\.\.\.|\d)", line) for line in lines), "noise on the screen"
    return ended
