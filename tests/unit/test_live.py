"""The live display of a terminal: it fits every terminal, and shows what there is room for."""

from __future__ import annotations

import io

import pytest
from rich.cells import cell_len
from rich.console import Console

from kubev6.console.live import Running, live_table, taken

LONG = "Get:17 http://deb.example.net/debian bookworm/main amd64 ebtables 日本語 2.0.11-5 " * 3


def shown(running: list[Running], width: int, height: int, *, encoding: str = "utf-8") -> list[str]:
    content = io.BytesIO()
    console = Console(
        file=io.TextIOWrapper(content, encoding), width=width, height=height, force_terminal=True, no_color=True
    )
    ascii_only = not encoding.startswith("utf")
    console.print(live_table(running, width=width, height=height, now=100.0, ascii_only=ascii_only))
    console.file.flush()
    return content.getvalue().decode(encoding).splitlines()


def at_work(count: int, *, total: float = 0, text: str = LONG) -> list[Running]:
    return [
        Running(f"kube-worker-{number}", "kubernetes", 41.0, 41.0, text, done=total / 2, total=total)
        for number in range(1, count + 1)
    ]


@pytest.mark.parametrize("total", [0, 200])
@pytest.mark.parametrize("nodes", [3, 20, 60])
@pytest.mark.parametrize("width", [*range(40, 201, 10), 77, 79, 81, 99])
def test_no_line_is_wider_than_the_terminal_and_no_screen_higher(width: int, nodes: int, total: float) -> None:
    for height in (4, 24, 50):
        lines = shown(at_work(nodes, total=total), width, height)
        assert max(map(cell_len, lines)) < width
        assert len(lines) <= max(2, height - 3)
        assert lines[0].startswith("kube-worker-1 ")
        assert " 59.0 s" in lines[0]


def test_what_there_is_no_row_for_is_counted() -> None:
    running = at_work(60)
    for step in running[:30]:
        step.title = "network"
    lines = shown(running, 100, 24)
    assert len(lines) == 21
    assert lines[-1].rstrip() == "and 40 more: 30 kubernetes, 10 network"


def test_a_node_is_one_line_with_the_step_that_it_began_last() -> None:
    running = [
        Running("kube-worker-1", "kubeadm join", 90.0, 90.0),
        Running("kube-worker-2", "network", 90.0, 90.0),
        Running("kube-worker-1", "install python3", 95.0, 95.0, "apt-get"),
    ]
    lines = [" ".join(line.split()) for line in shown(running, 100, 24)]
    assert lines == ["kube-worker-1 install python3 5.0 s apt-get", "kube-worker-2 network 10.0 s"]


def test_a_bar_is_shown_where_it_is_known_how_much_there_is() -> None:
    known, unknown = at_work(2, total=200, text="100 of 200 MB")
    unknown.total = 0
    first, second = shown([known, unknown], 120, 24)
    assert "━" in first
    assert "━" not in second
    assert first.index("100 of 200 MB") == second.index("100 of 200 MB")
    full, half = at_work(2, total=200)
    full.done = 200
    first, second = shown([full, half], 120, 24)
    assert first.count("━") > 1.5 * second.count("━") > 0


@pytest.mark.parametrize("width", [80, 90, 120])
def test_the_numbers_beside_a_bar_are_readable(width: int) -> None:
    (line,) = shown(at_work(1, total=200, text="100 of 200 MB"), width, 24)
    assert "━" in line
    assert line.rstrip().endswith(" 100 of 200 MB")


def test_a_terminal_that_knows_only_ascii_gets_nothing_else() -> None:
    (line,) = shown(at_work(1, total=200, text="100 of 200 MB and a long text"), 80, 24, encoding="ascii")
    assert " --" in line
    assert " 100 of 200 MB" in line


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.04, "0.0 s"), (59.94, "59.9 s"), (59.96, "0:59 m"), (60, "1:00 m"), (3725.9, "62:05 m")]
)
def test_times_are_short(seconds: float, text: str) -> None:
    assert taken(seconds) == text
