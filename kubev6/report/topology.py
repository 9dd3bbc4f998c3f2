"""Where everything of a cluster's drawing stands: the how-to's drawing, for any number of nodes.

The IPv4 Internet, the translator between it and the fabric, the fabric as a line with all nodes hanging from it, in as
many rows as they need. Pure geometry: units are those of the drawing, which is scaled as a whole.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

from configs.words import fitted
from flows.run.record import NodeOfRun, Topology
from flows.run.summary import ROLE_WORDS, Mark, Tone

MARGIN = 12.0
WIDE, NARROW = 1080.0, 390.0
"""Widths for a screen or paper, and for a telephone."""
MANY = 12
"""More nodes than this are drawn small."""

Kind = Literal["internet", "gateway", "support", "control-plane", "worker", "services"]
SYMBOLS = {"support": "▲", "control-plane": "◆", "worker": "●"}


@dataclass(frozen=True, slots=True)
class Line:
    """One line of text inside a box; ``kind`` chooses its looks."""

    text: str
    x: float
    y: float
    size: float
    kind: str


@dataclass(frozen=True, slots=True)
class Box:
    """A thing of the drawing.

    Attributes:
        kind: What it is.
        name: The node's name, or what it is called.
        words: Everything about it in one line, nothing cut.
        tone: Whether what was done there is good.
    """

    kind: Kind
    name: str
    words: str
    x: float
    y: float
    width: float
    height: float
    lines: tuple[Line, ...]
    tone: Tone = "good"

    @property
    def middle(self) -> float:
        """Half way from left to right."""
        return self.x + self.width / 2

    @property
    def bottom(self) -> float:
        """Its lower edge."""
        return self.y + self.height


@dataclass(frozen=True, slots=True)
class Wire:
    """A straight line between two points."""

    kind: Literal["fabric", "wire", "ipv4", "virtual"]
    x1: float
    y1: float
    x2: float
    y2: float


@dataclass(frozen=True, slots=True)
class Drawing:
    """The whole drawing. ``labels`` stand beside wires."""

    width: float
    height: float
    boxes: tuple[Box, ...]
    wires: tuple[Wire, ...]
    labels: tuple[Line, ...]


@dataclass(frozen=True, slots=True)
class _Size:
    """How big boxes of nodes are; ``gap`` is between them, ``drop`` from the fabric down to them."""

    width: float
    line: float
    text: float
    gap: float
    drop: float


def draw(topology: Topology, marks: Mapping[str, Mark], width: float = WIDE) -> Drawing:
    """Lay out a cluster.

    Args:
        topology: The cluster.
        marks: What the run did to each node, by name.
        width: How wide the drawing may be: :data:`WIDE` or :data:`NARROW`.
    """
    narrow = width < 600
    gateway_node = None if topology.nat64.by == "existing" else _support(topology)
    below = [node for node in topology.nodes if node is not gateway_node]
    size = _size(len(below), width)

    internet = _box("internet", "IPv4 Internet", (), MARGIN, MARGIN, 150 if not narrow else width - 2 * MARGIN, 12)
    if narrow:
        at, room = (MARGIN, internet.bottom + 26), width - 2 * MARGIN
    else:
        at, room = (internet.x + internet.width + 78, MARGIN), 360.0
    gateway = _gateway(topology, gateway_node, marks, *at, room)
    services_room = width - 2 * MARGIN if narrow else 330.0
    services = _services(topology, width - MARGIN - services_room, MARGIN, services_room)
    if not narrow:
        tall = max(gateway.height, services.height)
        internet, gateway, services = (_as_tall(each, tall) for each in (internet, gateway, services))

    boxes = [internet, gateway]
    wires, labels = [_between(internet, gateway, narrow=narrow)], [_over_ipv4(internet, gateway, narrow=narrow)]
    rail = gateway.bottom + (42 if not narrow else 38)
    # One network, however many rows: the lines of several are joined, clear of the boxes.
    per_row = round((width - 2 * MARGIN + size.gap) / (size.width + size.gap))
    left, right = MARGIN if len(below) <= per_row else MARGIN / 3, width - MARGIN
    wires.append(Wire("wire", gateway.middle, gateway.bottom, gateway.middle, rail))
    title = f"{topology.fabric.subnet} on {topology.fabric.interface}"
    beside = gateway.middle + 10 if not narrow else MARGIN
    room = (services.middle - 10 if not narrow else gateway.middle - 8) - beside
    labels.append(Line(fitted(f"fabric {title}" if not narrow else title, room, 12), beside, rail - 9, 12, "label"))

    rails: list[float] = []
    for first in range(0, len(below), per_row):
        row = below[first : first + per_row]
        rails.append(rail)
        wires.append(Wire("fabric", left, rail, right, rail))
        for place, node in enumerate(row):
            x = MARGIN + place * (size.width + size.gap)
            box = _node(topology, node, marks.get(node.name), x, rail + size.drop, size)
            boxes.append(box)
            wires.append(Wire("wire", box.middle, rail, box.middle, box.y))
        rail = max(box.bottom for box in boxes[-len(row) :]) + size.drop
    if not rails:
        rails.append(rail)
        wires.append(Wire("fabric", left, rail, right, rail))
    wires += [Wire("fabric", left, above, left, under) for above, under in pairwise(rails)]

    if narrow:
        services = _services(topology, MARGIN, rail + 8, services_room)
        wires.append(Wire("virtual", right, rails[-1], right, services.y))
    else:
        wires.append(Wire("virtual", services.middle, services.bottom, services.middle, rails[0]))
    boxes.append(services)
    height = max(box.bottom for box in boxes) + MARGIN
    return Drawing(width, height, tuple(boxes), tuple(wires), tuple(labels))


def _size(nodes: int, width: float) -> _Size:
    room = width - 2 * MARGIN
    if width < 600:
        return _Size(width=(room - 10) / 2, line=16, text=11, gap=10, drop=16)
    if nodes > MANY:
        return _Size(width=(room - 5 * 12) / 6, line=15.5, text=11, gap=12, drop=15)
    in_a_row = min(max(nodes, 3), 4)
    return _Size(width=(room - (in_a_row - 1) * 16) / in_a_row, line=19, text=12.5, gap=16, drop=22)


def _support(topology: Topology) -> NodeOfRun | None:
    return next((node for node in topology.nodes if "support" in node.roles), None)


def _node(topology: Topology, node: NodeOfRun, mark: Mark | None, x: float, y: float, size: _Size) -> Box:
    role = _role(node)
    symbol = SYMBOLS[role]
    lines = [f"{symbol} {node.name}", ROLE_WORDS[role], node.address]
    if node.pod_subnet:
        lines.append(f"pods {node.pod_subnet}")
    if role == "support":
        lines += _duties(topology)
    return _box(role, node.name, lines, x, y, size.width, size.text, line=size.line, mark=mark)


def _role(node: NodeOfRun) -> Literal["support", "control-plane", "worker"]:
    for role in ("support", "control-plane"):
        if role in node.roles:
            return role
    return "worker"


def _gateway(
    topology: Topology, node: NodeOfRun | None, marks: Mapping[str, Mark], x: float, y: float, width: float
) -> Box:
    if node is None:
        lines = ["NAT64", "was there before", topology.nat64.address or "", f"NAT64 {topology.nat64.prefix}"]
        return _box("gateway", "NAT64", lines, x, y, width, 12.5, line=19)
    lines = [f"{SYMBOLS['support']} {node.name}", ROLE_WORDS["support"], node.address, *_duties(topology)]
    return _box("support", node.name, lines, x, y, width, 12.5, line=19, mark=marks.get(node.name))


def _duties(topology: Topology) -> list[str]:
    """What the support node does for the others, one line each."""
    duties = [] if topology.nat64.by == "existing" else [f"NAT64 {topology.nat64.prefix} ({topology.nat64.by})"]
    if topology.dns64.by != "existing":
        return [*duties, f"DNS64 ({topology.dns64.by}), registry"]
    return [*duties, "registry"]


def _services(topology: Topology, x: float, y: float, width: float) -> Box:
    subnet = topology.services.subnet
    first = f"kubernetes at {subnet.network_address + 1}"
    lines = ["Services", "on every node, by kube-proxy", str(subnet), first, f"names in {topology.services.domain}"]
    return _box("services", "Services", lines, x, y, width, 12.5, line=19)


def _box(
    kind: Kind,
    name: str,
    texts: Sequence[str],
    x: float,
    y: float,
    width: float,
    size: float,
    *,
    line: float = 18,
    mark: Mark | None = None,
) -> Box:
    """A box with its lines: a title, what it is, then facts."""
    pad = 14.0
    shown = list(zip(texts, ("title", "what", *["fact"] * len(texts)), strict=False)) or [(name, "title middle")]
    if mark:
        shown.append((f"{mark.symbol} {mark.text}", mark.tone))
    at = x + (pad if texts else width / 2)
    lines = tuple(
        Line(fitted(text, width - pad - 8, size), at, y + line * (number + 1) + 3, size, looks)
        for number, (text, looks) in enumerate(shown)
    )
    words = ", ".join(text for text, _ in shown if text)
    return Box(kind, name, words, x, y, width, line * len(shown) + 14, lines, mark.tone if mark else "good")


def _as_tall(box: Box, height: float) -> Box:
    """The same box with more room below its text; the Internet's one line in the middle of it."""
    lines = box.lines
    if box.kind == "internet":
        lines = tuple(Line(each.text, each.x, box.y + height / 2 + 4, each.size, each.kind) for each in lines)
    return Box(box.kind, box.name, box.words, box.x, box.y, box.width, height, lines, box.tone)


def _between(internet: Box, gateway: Box, *, narrow: bool) -> Wire:
    if narrow:
        return Wire("ipv4", internet.middle, internet.bottom, internet.middle, gateway.y)
    middle = internet.y + internet.height / 2
    return Wire("ipv4", internet.x + internet.width, middle, gateway.x, middle)


def _over_ipv4(internet: Box, gateway: Box, *, narrow: bool) -> Line:
    if narrow:
        return Line("IPv4", internet.middle + 8, (internet.bottom + gateway.y) / 2 + 4, 11, "label")
    return Line("IPv4", internet.x + internet.width + 22, internet.y + internet.height / 2 - 8, 12, "label")
