"""What is kept on this machine, and removing what nothing needs."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from functools import partial

from tasks.cache import prune as removing
from tasks.cache.look import look
from tasks.cache.plan import Fate, amount, line, plan
from tasks.cache.prune import Pruned
from tasks.deployed import deployed_on
from tasks.in_use import unused
from tasks.release.store import Store
from tasks.steps import step

log = logging.getLogger("kubev6.cache")


def fates(older_than: int, *, everything: bool = False) -> tuple[Fate, ...]:
    """Everything that is kept, and what a prune would do with it.

    Args:
        older_than: After how many days without use a thing goes that would only be made again when it is needed.
        everything: Whether all goes that can be made again.

    Raises:
        KubeV6Error: It cannot be known what clusters need.
    """
    return plan(look(deployed_on()), now=time.time(), older_than=older_than, everything=everything)


def prune(agreed: Sequence[Fate], older_than: int, *, everything: bool) -> Pruned:
    """Remove what is to go, as soon as no run uses any of it.

    Args:
        agreed: What a person has agreed to. What turns out to be needed meanwhile stays.
        older_than: As for :func:`fates`.
        everything: As for :func:`fates`.
    """
    with step("cache", "prune") as shown:
        with unused("kubev6 cache prune", on_wait=partial(log.warning, "in use by %s; waiting for it to end")):
            shown.progress("looking")
            now = [fate for fate in fates(older_than, everything=everything) if fate.goes]
            chosen = [fate for fate in now if any(fate.kept.is_same(each.kept) for each in agreed)]
            try:
                pruned = removing.prune(chosen, lambda fate: shown.progress(line(fate)))
            finally:
                if any(fate.kept.kind == "release" for fate in chosen):
                    Store().update_index()
        shown.ended_as(f"{len(pruned.gone)} removed, {amount(pruned.gone)}")
    return pruned
