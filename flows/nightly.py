"""The order in which a release is made again when its sources have changed, and judged.

Deployments `kubev6/nightly-rebuild` and `kubev6/nightly-e2e`.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import nullcontext
from datetime import UTC, datetime
from typing import Any

from prefect import flow
from prefect.client.schemas.objects import State
from prefect.states import Completed

from configs.errors import ConfigError, KubeV6Error
from configs.manifest import Manifest
from configs.plan.derived import registry_url
from configs.schema.cluster import Cluster
from configs.schema.loading import load_cluster, load_release
from configs.schema.release import Build, DebianSource, Release, Source
from flows.build import built
from flows.deploy import deploy as deploy_flow
from flows.e2e import e2e as e2e_flow
from flows.parameters import (
    ClusterName,
    IfBusy,
    Kept,
    MirrorPlace,
    NoName,
    ProfileName,
    RegistryAddress,
    ReleaseName,
    SourcePlace,
)
from flows.run import names as run_names
from flows.run.lifecycle import called, failed, flow_run
from flows.run.lock import locked
from flows.run.notify import notify
from flows.run.results import result
from flows.run.task import run_task
from tasks.deployed import deployed_on
from tasks.events import ImagesPushed, ReleaseChosen, emit
from tasks.in_use import in_use
from tasks.release import registry as registry_of
from tasks.release import registry_tags
from tasks.release.failed_builds import Attempt
from tasks.release.fetch import mirror as mirrors
from tasks.release.refresh import Refresh
from tasks.release.registry_login import RegistryLogin
from tasks.release.series import debian_news, moving_refs, series_file
from tasks.release.series.series_file import GitSeries, WorkingTree
from tasks.release.store import Store
from tasks.ssh.pool import connection


@flow(name="kubev6", flow_run_name=run_names.of_release("nightly", "release"), on_failure=[notify], on_crashed=[notify])
def nightly(
    release: ReleaseName,
    sources: dict[str, SourcePlace] | None = None,
    cluster: ClusterName | NoName = "",
    push: bool = False,
    registry: RegistryAddress = "",
    keep: Kept = 7,
    deploy: bool = False,
    e2e: ProfileName | NoName = "",
    mirror: MirrorPlace = "",
    if_busy: IfBusy = "wait",
    refresh: Refresh = "",
) -> State[Any]:
    """Look for what is new in a release's sources, and build, deploy, test and push it if there is anything.

    What is to be deployed is pushed when it has been, and its tests came to what is expected: a dated tag is of a
    release that came up and was proved.

    Args:
        release: The name of a shipped release, or the whole path of a release file on the worker's machine.
        sources: Other places for the remotes of its series, by name.
        cluster: The cluster that push and deploy are about: its name, or the whole path of its file.
        push: Push the images, under the day's date, into the cluster's own registry; deploy implies it.
        registry: Push them into this registry too.
        keep: How many dated tags of each image stay in a registry.
        deploy: Deploy it on the cluster.
        e2e: Then run upstream's tests of this profile there: its name, or the whole path of its file.
        mirror: Where other projects' images are read from; empty for what ``KUBEV6_MIRROR`` names.
        if_busy: Wait for another run on this cluster to end, or refuse to begin.
        refresh: Which stage of the build is made again although the cache has what it came to, or all of them.
    """
    try:
        wanted, topology = load_release(release), load_cluster(cluster) if cluster else None
        build = buildable(wanted)
        if e2e and not deploy:
            raise ConfigError("e2e is about what is deployed, and deploy is off", todo="turn it on: deploy")
        if topology is None and (push or deploy):
            raise ConfigError("push and deploy are about a cluster, and none is named", todo="name it: cluster")
        with flow_run("nightly", topology or wanted.name) as run:
            named = run.recording.path.stem if run.recording else ""
            attempt = Attempt(wanted, topology if deploy else None, named, again=bool(refresh))
            before = [manifest.key for manifest in Store().list() if manifest.name == wanted.name]
            with in_use(called("nightly")):
                current = wanted.model_copy(update={"build": result(followed.submit(build, sources or {}))})
                pinned = release if current == wanted else str(moving_refs.write_release(current))
                with attempt.remembered():
                    chosen = mirrors.chosen(mirror)
                    manifest = built(current, sources or {}, chosen, refresh, before_compiling=attempt.refuse_same)
                    attempt.refuse_same(manifest.key)  # which may have been built, and not have come up
                emit(ReleaseChosen(manifest=manifest, why="built from source"))
            done = ["nothing has changed" if manifest.key in before else f"built {manifest.version}"]
            touched = topology if push or deploy else None
            # Nobody brings another build onto the cluster before this one is tested and pushed.
            with locked(touched.name, called("nightly"), if_busy) if touched else nullcontext():
                if deploy:  # which brings up the cluster's own registry, where it is not up
                    with attempt.remembered():
                        done.append(deployed(cluster, pinned, mirror, if_busy))
                attempt.succeeded()
                if e2e:
                    done.append(tested(cluster, e2e, mirror, if_busy, sources or {}))
                if registry:
                    done.append(result(push_to.submit(manifest, registry.rstrip("/"), keep)))
                if touched:
                    done.append(result(push_to_own.submit(touched, manifest, keep)))
    except KubeV6Error as error:
        return failed(error)
    return Completed(message="; ".join(done), data=manifest)


def buildable(release: Release) -> Build:
    """What a release is built from.

    Raises:
        ConfigError: It is published and not built.
    """
    if release.build is None:
        raise ConfigError(f"release {release.name} says nothing to build it from", todo="name one that is built")
    return release.build


@run_task("look for news")
def followed(build: Build, sources: Mapping[str, str]) -> Build:
    """The same, of the newest sources: where the refs of the series are now, or what the Debian archive offers."""
    series = series_file.load(build.series)
    if isinstance(series, GitSeries):
        return build.model_copy(update={"series": str(moving_refs.write(moving_refs.follow(series, sources)))})
    if isinstance(series, WorkingTree):
        return build  # which is read anew every time
    package = build.source.debian.package if build.source else series.base
    if build.source and build.source.debian.version:
        return build  # pinned: nothing of it moves
    version = debian_news.newest(package)
    return build.model_copy(update={"source": Source(debian=DebianSource(package=package, version=version))})


@run_task("push to {registry}")
def push_to(manifest: Manifest, registry: str, keep: int) -> str:
    """The images under today's date into a registry, and old dates away. Says what was done.

    Args:
        manifest: The release.
        registry: The registry's address.
        keep: How many dated tags of each image stay.
    """
    return _pushed(manifest, registry, registry, keep, RegistryLogin(registry))


@run_task("push to the registry of {cluster.name}")
def push_to_own(cluster: Cluster, manifest: Manifest, keep: int) -> str:
    """The same into the registry of a cluster, which is reached through SSH and wants no login."""
    with connection(cluster, cluster.support.name) as ssh, registry_of.writable(ssh, cluster) as address:
        return _pushed(manifest, registry_url(cluster), address, keep, None)


def _pushed(manifest: Manifest, registry: str, address: str, keep: int, login: RegistryLogin | None) -> str:
    if registry_tags.is_newest(manifest, address, login):
        return f"{registry} has it"
    date = f"{datetime.now(UTC):%Y%m%d}"
    with in_use(f"push of {manifest.name}"):
        registry_tags.push_dated(manifest, Store(), address, date, login)
    needed = {image.digest for each in (*deployed_on().values(), manifest) for image in each.images}
    pruned = registry_tags.prune({image.name for image in manifest.images}, address, keep, needed, login)
    gone = f"older ones stay: {pruned.refused}" if pruned.refused else f"{pruned.deleted} old ones deleted"
    emit(ImagesPushed(registry=registry, images=tuple(manifest.images), tag=date))
    return f"pushed to {registry} as {date}, {gone}"


def deployed(cluster: str, release: str, mirror: str, if_busy: IfBusy) -> str:
    """The release on the cluster. Says so.

    Raises:
        KubeV6Error: The deploy failed.
    """
    state = deploy_flow(cluster, prebuilt=True, release=release, mirror=mirror, if_busy=if_busy, return_state=True)
    if not state.is_completed():
        error = state.result(raise_on_failure=False)
        raise KubeV6Error(f"deploy on {cluster}: {state.message}") from (
            error if isinstance(error, KubeV6Error) else None
        )
    return f"deployed on {cluster}"


def tested(cluster: str, profile: str, mirror: str, if_busy: IfBusy, sources: Mapping[str, str]) -> str:
    """Upstream's tests against what was deployed. Says what they came to.

    Raises:
        KubeV6Error: They could not be run, or one came to what is not expected; the first of those is named first.
    """
    given = {"mirror": mirror, "if_busy": if_busy, "sources": dict(sources)}
    state = e2e_flow(cluster, profile=profile, **given, return_state=True)
    if not state.is_completed():
        raise KubeV6Error(f"e2e on {cluster}: {state.message}")
    return f"e2e on {cluster}: {state.message}"
