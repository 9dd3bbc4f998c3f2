"""The order in which a release is made from source: `kubev6 build`, and the first part of a deploy."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
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
from flows.run.lifecycle import called, failed, flow_run
from flows.run.results import error_of, result, results, settled
from flows.run.runner import THREADS
from flows.steps import release as steps
from tasks.events import ReleaseChosen, emit
from tasks.fetch import mirror as mirrors
from tasks.fetch.mirror import Mirror
from tasks.in_use import in_use
from tasks.release.build import building, image_orders, known_tools, recipe
from tasks.release.refresh import Refresh, again


@flow(name="kubev6-build", flow_run_name=names.of_release("build", "release"), task_runner=THREADS)
def build(
    release: str = "debian-1.20", sources: dict[str, SourcePlace] | None = None, mirror: str = "", refresh: Refresh = ""
) -> Manifest | State[Any]:
    """Build a release and keep it in the store; what has been built already is taken as it is.

    Args:
        release: A release file, or the name of a shipped one.
        sources: Other places for the remotes of its series, by name.
        mirror: Where other projects' images are read from; empty for what ``KUBEV6_MIRROR`` names, else for their
            publishers.
        refresh: Which stage is made again although the cache has what it came to, or all of them.
    """
    try:
        wanted = load_release(release)
        with flow_run("build", wanted.name), in_use(called("build")):
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
    before_compiling: Callable[[], object] = lambda: None,
) -> Manifest:
    """The order: source, series, and then either the release as the store holds it or compilation, images, release.

    Args:
        release: The release.
        sources: Other places for the remotes of its series, by name.
        mirror: Where other projects' images and CNI plugins are read from; None for their publishers.
        refresh: Which stage is made again although its result is here, or all of them.
        before_compiling: Called before what takes minutes begins; what it raises keeps it from beginning.

    Raises:
        KubeV6Error: A part of it failed; running it again goes on from what is done.
    """
    recipe(release)
    source = steps.source.submit(release, sources, refresh)
    tree = result(source)
    picking = steps.cherry_pick.submit(release, tree, refresh, wait_for=[source])
    picked = result(picking)
    anew = again(refresh, "compile", "images")
    if (tools := known_tools(release)) and not anew:
        kept = result(steps.kept.submit(release, picked, tools, wait_for=[picking]))
        if kept is not None:
            return kept
    before_compiling()
    making_tools = steps.toolchain.submit(release, wait_for=[picking])
    tools = result(making_tools)
    with building(release):
        # Another process may have made it while this one waited; or the toolchain came out as it was before.
        if not anew:
            kept = result(steps.kept.submit(release, picked, tools, wait_for=[making_tools]))
            if kept is not None:
                return kept
        compiling = steps.compile_programs.submit(release, tree, picked, tools, refresh, wait_for=[making_tools])

        images = []
        for order in image_orders(release):
            compiled = compiling if order.how == "compiled" else None
            images.append(
                steps.image.submit(release, order, picked, tools, compiled, mirror, refresh, wait_for=[making_tools])
            )
        plugins = [steps.cni_plugins.submit(release, mirror)] if release.cni else []
        _refuse_first_failure([compiling, *images, *plugins])
        writing = steps.write_release.submit(
            release,
            tree,
            picked,
            tools,
            result(compiling),
            results(images),
            result(plugins[0]) if plugins else (),
            wait_for=[compiling, *images, *plugins],
        )
        return result(writing)


def _refuse_first_failure(futures: Sequence[PrefectFuture[Any]]) -> None:
    """Wait for all, but end those that are still under way when one has failed: nobody needs them any more.

    Raises:
        KubeV6Error: The first one that failed.
    """
    for future in as_completed(list(futures)):
        future.wait()
        if (error := error_of(future)) is None:
            continue
        while wait(list(futures), timeout=0.5).not_done:
            this_run().containers.stop()  # another one may be just about to start its container
        settled(futures)
        raise error
