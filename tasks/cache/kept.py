"""What is kept on this machine, and removing what nothing needs."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from functools import partial

from configs.errors import KubeV6Error
from tasks.cache import prune as removing
from tasks.cache.look import look, look_at_builds
from tasks.cache.plan import Fate, amount, line, plan, surplus
from tasks.cache.prune import Pruned
from tasks.deployed import deployed_on
from tasks.in_use import unused
from tasks.release.store import Store
from tasks.steps import step

NEWEST = 5
"""So many builds of a working tree are kept, besides those that clusters run and those that they may go back to."""
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


def bound(release: str) -> None:
    """Keep the builds of a working tree from becoming ever more: one comes of each change that is saved.

    They stay until the next time when a run uses any of what is kept. No run fails for what cannot be removed.

    Args:
        release: The name of the release which they are of.
    """
    store = Store()
    try:
        with unused(f"older builds of {release}", on_wait=_leave):
            fates = surplus(look_at_builds(store, store.builds(), deployed_on()), release, NEWEST)
            if not fates:
                return
            pruned = removing.prune(fates, lambda fate: log.debug("%s", line(fate)))
            store.update_index()
    except _InUseError as error:
        log.debug("older builds of %s stay: %s", release, error.message)
    except KubeV6Error as error:
        log.warning("older builds of %s stay: %s", release, error)
    else:
        for refused in pruned.failed:
            log.warning("%s", refused)


class _InUseError(KubeV6Error):
    """Somebody uses what is kept."""


def _leave(who: str) -> None:
    raise _InUseError(f"in use by {who}")
