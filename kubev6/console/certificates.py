"""The certificates of a cluster: as a table, and as JSON."""

from __future__ import annotations

import json
from collections.abc import Sequence

from rich.console import Console
from rich.text import Text

from kubev6.console.tables import new_table
from tasks.kubernetes.certificates import Dated

COLOURS = {"good": "green", "ends soon": "yellow"}
WHAT_COMES = (
    "These are renewed, and the control plane is started again.\n"
    "For half a minute or so nothing can be changed in the cluster; what pods do goes on."
)
"""What a person is asked to agree to, below the list."""


def show(console: Console, certificates: Sequence[Dated]) -> None:
    """A table of some certificates."""
    table = new_table("node", "certificate", "ends on", "days left", "state", "signed by")
    table.columns[3].justify = "right"
    for each in certificates:
        seen = each.certificate
        known = (f"{seen.ends:%Y-%m-%d}", str(each.days)) if seen else ("", "")
        state = Text(each.state, style=COLOURS.get(each.state, "red"))
        table.add_row(each.node, each.name, *known, state, seen.issuer if seen else "")
    console.print(table)


def as_json(certificates: Sequence[Dated]) -> str:
    """The same, for machines."""
    return json.dumps([each.as_json() for each in certificates], indent=1)
