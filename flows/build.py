"""The order in which a release is made from source: `kubev6 build`, and the first part of a deploy."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from typing import Any

from prefect import flow
from prefect.client.schemas.objects import State
from prefect.futures import PrefectFuture, as_completed, wait

from configs.errors import KubeV6Error
from configs.manifest import Manifest
from configs.schema.loading import load_release
from configs.schema.release import Release
from flows.parameters import SourcePlace
from flows.run import names
from flows.run.context import this_run
from flows.run.lifecycle import failed, flow_run
from flows.run.results import error_of, result, results, settled, value
from flows.run.runner import THREADS
from flows.steps import release as steps
from tasks.events import ReleaseChosen, emit
from tasks.in_use import in_use
from tasks.release.build import ImageOrder, Tools, building, image_orders, known_tools, recipe, release_key
from tasks.release.fetch import mirror as mirrors
from tasks.release.fetch.fetch import plugins_part
from tasks.release.fetch.mirror import Mirror
from tasks.release.refresh import Refresh, again
from tasks.release.results import Compiled
from tasks.release.series.series import Picked


@flow(name="kubev6-build", flow_run_name=names.of_release("build", "named", "release"), task_runner=THREADS)
def build(
    release: str = "debian-1.20",
    sources: dict[str, SourcePlace] | None = None,
    mirror: str = "",
    refresh: Refresh = "",
    named: str = "",
) -> Manifest | State[Any]:
    """Build a release and keep it in the store; what has been built already is taken as it is.

    Args:
        release: A release file, or the name of a shipped one.
        sources: Other places for the remotes of its series, by name.
        mirror: Where other projects' images are read from; empty for what ``KUBEV6_MIRROR`` names, else for their
            publishers.
        refresh: Which stage is made again although the cache has what it came to, or all of them.
        named: The former name of ``release``, taken until version 0.3.
    """
    try:
        wanted = load_release(named or release)
        with flow_run("build", wanted.name), in_use(f"build of {wanted.name}"):
            manifest = built(wanted, sources or {}, mirrors.chosen(mirror), refresh)
            emit(ReleaseChosen(manifest=manifest, why="built from source"))
            return manifest
    except KubeV6Error as error:
        return failed(error)


def built(
    release: Release,
    sources: Mapping[str, str],
    mirror: Mirror | None,
    refresh: Refresh,
    *,
    before_compiling: Callable[[str], object] = lambda _: None,
) -> Manifest:
    """The order: source, series, and then either the release as the store holds it or compilation, images, release.

    Args:
        release: The release.
        sources: Other places for the remotes of its series, by name.
        mirror: Where other projects' images and CNI plugins are read from; None for their publishers.
        refresh: Which stage is made again although its result is here, or all of them.
        before_compiling: Called before what takes minutes begins, with the key of the release, which is empty where
            its tools have to be made first; what it raises keeps it from beginning.

    Raises:
        KubeV6Error: A part of it failed; running it again goes on from what is done.
    """
    recipe(release)
    force = again(refresh, "compile", "images")
    source = steps.source.submit(release, sources, refresh)
    tree = value(source)
    picking = steps.cherry_pick.submit(release, tree, refresh, wait_for=[source])
    picked = value(picking)
    known = known_tools(release, tree, picked) if tree and picked else None
    if picked and (kept := None if force else kept_of(release, picked, known, picking)):
        return kept
    if picked:
        before_compiling(release_key(release, picked, known.toolchain, known.compiler) if known else "")
    making_tools = steps.toolchain.submit(release, tree, picked, wait_for=[picking])
    tools = value(making_tools)
    with building(release) if tools else nullcontext():
        # Another process may have made it while this one waited; or the toolchain came out as it was before.
        if picked and (kept := None if force else kept_of(release, picked, tools, making_tools)):
            return kept
        compiling = steps.compile_programs.submit(release, tree, picked, tools, refresh, wait_for=[making_tools])
        orders = image_orders(release, tree, picked) if tree and picked else ()
        given = (picked, tools)

        def image(order: ImageOrder, compiled: Compiled | None, after: PrefectFuture[Any]) -> PrefectFuture[Any]:
            return steps.image.submit(release, order, *given, compiled, mirror, refresh, wait_for=[after])

        made = [image(order, None, making_tools) for order in orders if order.how != "compiled"]
        published = [plugins_part(release.cni)] if release.cni else []
        plugins = [steps.fetch.submit(part, mirror, False, wait_for=[making_tools]) for part in published]
        end_at_first_failure([compiling, *made, *plugins])
        compiled = value(compiling)
        made += [image(order, compiled, compiling) for order in orders if order.how == "compiled"]
        end_at_first_failure(made)
        cni = [entry for each in plugins if (found := value(each)) for entry in found.cni]
        parts = (tree, picked, tools, compiled, [value(each) for each in made], tuple(cni))
        needed = [compiling, *made, *plugins]
        writing = steps.write_release.submit(release, *parts, wait_for=needed)
        results([source, picking, making_tools, *needed, writing])
        return result(writing)


def kept_of(release: Release, picked: Picked, tools: Tools | None, after: PrefectFuture[Any]) -> Manifest | None:
    """The release as the store holds it, made from the same inputs; None when it does not, or they are not known."""
    return result(steps.kept.submit(release, picked, tools, wait_for=[after])) if tools else None


def end_at_first_failure(futures: Sequence[PrefectFuture[Any]]) -> None:
    """Wait for all of some task runs, but end those that are still under way when one has failed: nobody needs them.

    Args:
        futures: The task runs.
    """
    for future in as_completed(list(futures)):
        future.wait()
        if error_of(future) is None:
            continue
        while wait(list(futures), timeout=0.5).not_done:
            this_run().containers.stop()  # another one may be just about to start its container
    settled(futures)
