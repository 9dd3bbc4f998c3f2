"""``python -m docs.generator``: write the pages that are made from the code and from what was seen."""

from __future__ import annotations

from docs.generator import DIRECTORY, benchmarks, faults, pages, racks

DIRECTORY.mkdir(exist_ok=True)
for name, text in pages().items():
    (DIRECTORY / name).write_text(text, encoding="utf-8")
faults.PAGE.write_text(faults.page(), encoding="utf-8")
benchmarks.PAGE.write_text(benchmarks.page(), encoding="utf-8")
benchmarks.PLOT.write_text(benchmarks.plot(), encoding="utf-8")
racks.PAGE.write_text(racks.page(), encoding="utf-8")
