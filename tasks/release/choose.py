"""Which release a deploy takes, and why."""

from __future__ import annotations

from collections.abc import Callable, Container, Sequence
from dataclasses import dataclass

from configs.backup import Backup
from configs.errors import ConfigError, KubeV6Error
from configs.manifest import Manifest
from configs.plan.derived import refuse_misfit
from configs.plan.versions import kubeadm_patches
from configs.schema.cluster import Cluster
from configs.schema.loading import load_release, shipped
from configs.schema.release import Build, Release
from tasks import deployed
from tasks.release.fetch.fetch import is_current, lacking
from tasks.release.fetch.mirror import Mirror
from tasks.release.refresh import Refresh, refuse_stage_of_a_build
from tasks.release.series import series_file
from tasks.release.store import Store

OF_YOUR_CHOICE = "`kubev6 deploy --prebuilt RELEASE` brings the cluster to a release of your choice"
HELD, HELD_BY_FILE = "in the store", "in the store by a release file of yours"
FETCHED, BUILT = "can be fetched", "can be built"
HOW = {
    HELD: "--prebuilt NAME",
    HELD_BY_FILE: "--prebuilt FILE",
    FETCHED: "--prebuilt NAME, where its publisher is reachable",
    BUILT: "`kubev6 build NAME`, then --prebuilt NAME",
}
"""By the way in which a release can be had, what a person types."""
HOW_TO = "v1.9.0-alpha.0.ipv6.0"
"""The release that the how-to deploys."""


@dataclass(frozen=True, slots=True)
class Decision:
    """Which release it is to be. Nothing of it need be here yet.

    Attributes:
        release: How it wants to be configured.
        prebuilt: Whether it is taken as it stands; else it is built from source, where it can be.
        why: Why this one, for a person.
        build: The key of the very build of it that is taken; empty for the newest.
    """

    release: Release
    prebuilt: bool
    why: str
    build: str = ""


@dataclass(frozen=True, slots=True)
class Chosen:
    """A release that is in the store.

    Attributes:
        release: How it wants to be configured.
        manifest: What it holds.
        why: Why it was taken and where it came from, for a person.
    """

    release: Release
    manifest: Manifest
    why: str


def decide(cluster: Cluster, prebuilt: bool, named: str, store: Store) -> Decision:
    """Which release a cluster gets: told by release files and the list of what is in the store, so at once.

    The one named; else this cluster's; but where that need not be built, is not in the store and is not published,
    the how-to's.

    Args:
        cluster: The topology.
        prebuilt: Take a release that need not be built.
        named: Name of a release, or a release file; empty to leave the choice to the rule above.
        store: The release store.

    Raises:
        ConfigError: The topology asks of it what it cannot give.
    """
    release = load_release(named or cluster.release)
    why = "named" if named else "this cluster's release"
    if prebuilt and not named and release.fetch is None and _in_store(release, store) is None:
        why = f"the how-to's release, since the store has no {release.name}"
        release = load_release(HOW_TO)
    try:
        refuse_misfit(cluster, release)
    except ConfigError as error:
        raise ConfigError(f"{release.name} ({why}): {error.message}", todo=error.todo) from None
    return Decision(release, prebuilt, why)


def working_tree(cluster: Cluster, directory: str, named: str, commit: str = "") -> Decision:
    """A release that is built from a working tree as it stands, or as a commit has it.

    What does not come from there, such as the images of other projects, is that of another release.

    Args:
        cluster: The topology.
        directory: The path of the tree.
        named: Name or file of the release that it is nearest to; empty for the cluster's own.
        commit: The full id of the commit; empty for the tree as it stands.

    Raises:
        ConfigError: The topology asks of it what it cannot give.
    """
    nearest = load_release(named or cluster.release)
    if not kubeadm_patches(nearest.kubernetes):
        raise ConfigError(
            f"release {nearest.name} is Kubernetes {nearest.kubernetes}, whose kubeadm takes no digests of images, and "
            "only those tell one state of a working tree from another",
            todo="name a release of 1.19 or newer; or build its commits as a series",
        )
    series = series_file.written(directory, commit)
    build = Build(series=series, toolchain=nearest.build.toolchain if nearest.build else None)
    release = nearest.model_copy(update={"name": f"{nearest.name}-dev", "build": build})
    refuse_misfit(cluster, release)
    why = f"commit {commit[:10]} of {directory}" if commit else f"the working tree {directory}"
    return Decision(release, False, why)


def former(cluster: Cluster) -> Decision:
    """The build that a cluster ran before the last upgrade, or before one that was cut off.

    Args:
        cluster: The topology.

    Raises:
        KubeV6Error: There is none.
    """
    cut_off, known = deployed.upgrading(cluster), deployed.previous(cluster)
    if cut_off and not (known and known.manifest == cut_off[-1].manifest):  # else going back was cut off, and goes on
        known = deployed.last(cluster)
    if known is None:
        raise KubeV6Error(
            f"cluster {cluster.name} has no build to go back to: it was not upgraded from here since it came up, or it "
            "went back already",
            todo=OF_YOUR_CHOICE,
        )
    release = known.release or load_release(known.manifest.name)
    return Decision(release, True, "what ran before", known.manifest.key)


def running(cluster: Cluster) -> Decision:
    """The build that a cluster runs.

    Args:
        cluster: The topology.

    Raises:
        KubeV6Error: It has not been deployed from here, or was being upgraded.
    """
    manifest = deployed.deployed(cluster)
    if deployed.upgrading(cluster):
        raise KubeV6Error(
            f"cluster {cluster.name} is in the middle of an upgrade that did not come to its end",
            todo="bring that to its end first: deploy the same release again, or `kubev6 rollback`",
        )
    known = deployed.last(cluster)
    release = (known.release if known else None) or load_release(manifest.name)
    return Decision(release, True, "what the cluster runs", manifest.key)


def of_backup(backup: Backup) -> Decision:
    """The build that a cluster ran when it was backed up.

    Args:
        backup: What the backup says of itself.

    Raises:
        KubeV6Error: The store does not have it, whole.
    """
    decision = Decision(backup.release, True, f"what the cluster ran on {backup.made}", backup.manifest.key)
    if Store().find(backup.release.name, backup.manifest.key) is None:
        build = "builds" if backup.release.build else "fetches"
        raise KubeV6Error(
            f"the backup is of {backup.manifest.version}, and the store does not have that build "
            f"({backup.manifest.key[:12]}) of release {backup.release.name}",
            todo=f"`kubev6 {build[:-1]} {backup.release.name}` {build} it, where its file and sources are as they were "
            "then; or name the data directory that has it by KUBEV6_DATA; nothing was changed",
        )
    _in_store_as_it_is(decision, Store())
    return decision


def is_to_be_built(decision: Decision) -> bool:
    """Whether a release is made from source, and not taken as it stands or fetched."""
    return not decision.prebuilt and decision.release.build is not None


def held(decision: Decision, store: Store, refresh: Refresh = "") -> Chosen | None:
    """A release that is not to be built as it stands in the store.

    Args:
        decision: Which.
        store: The release store.
        refresh: That it is fetched again although it is here.

    Returns:
        It; None when it is to be fetched.

    Raises:
        KubeV6Error: It is damaged and published nowhere; or it has no such stage that could be made again.
    """
    release = decision.release
    if decision.prebuilt and not refresh:
        return _in_store_as_it_is(decision, store)
    if decision.prebuilt and release.fetch is None:
        raise ConfigError(
            f"release {release.name} cannot be fetched again: its file names no place to fetch it from",
            todo="leave out --refresh to take it as it is in the store, or --prebuilt to build it again",
        )
    refuse_stage_of_a_build(refresh, release.name)
    return None


def fetched(decision: Decision, store: Store, mirror: Mirror | None, fetch: Callable[[], Manifest]) -> Chosen:
    """A release that is fetched now.

    Args:
        decision: Which.
        store: The release store.
        mirror: Where it is fetched from; None for its publishers.
        fetch: Fetches it.

    Raises:
        KubeV6Error: It cannot be had; the message lists the choices there are.
    """
    release = decision.release
    why = decision.why if decision.prebuilt else f"{decision.why}, which is published and not built"
    before = _in_store(release, store)
    changed = before is not None and not is_current(before, release)
    if release.fetch is None:
        seen = "is in the store as its file was before" if changed else "is not in the store"
        raise KubeV6Error(f"release {release.name} {seen}, and it is not published", todo=_todo(release, store))
    try:
        manifest = fetch()
    except KubeV6Error as error:
        errors = getattr(error, "errors", (error,))
        if not all(isinstance(each, KubeV6Error) for each in errors):
            raise
        lacks = ", ".join(lacking(release, store)) if changed else ""
        since = f"; its file has changed since it was fetched, and the store lacks {lacks}" if lacks else ""
        seen = "; ".join(each.message for each in errors)
        raise KubeV6Error(
            f"{release.name} ({why}) could not be fetched: {seen}{since}",
            todo="; ".join(dict.fromkeys([each.todo for each in errors if each.todo] + [_todo(release, store)])),
            detail="\n".join(each.detail for each in errors if each.detail),
        ) from error
    place = f"from the mirror {mirror.root}" if mirror else "by download"
    since = " as its file has changed" if changed else ""
    return Chosen(release, manifest, f"{why}, {place}{since}")


def for_plan(cluster: Cluster, prebuilt: bool, named: str, store: Store) -> tuple[Release, Manifest | None]:
    """What a plan is about, without making or fetching anything: the release, and what it holds if that is here.

    Arguments and errors are those of :func:`decide`.
    """
    release = decide(cluster, prebuilt, named, store).release
    manifest = _in_store(release, store)
    return release, manifest if manifest and is_current(manifest, release) else None


@dataclass(frozen=True, slots=True)
class Choice:
    """A release that is known here.

    Attributes:
        name: Its name.
        seen: What is to be known of what the store has of it; empty when there is nothing to know.
        ways: How it can be had, of :data:`HOW`; or what it is, where it is not had like the others.
    """

    name: str
    seen: str
    ways: tuple[str, ...]

    def __str__(self) -> str:
        """A line of a list."""
        return f"{self.name}: " + ", ".join(part for part in (self.seen, ", or ".join(self.ways)) if part)


def choices(store: Store) -> tuple[Choice, ...]:
    """Every release known here and how it can be had."""
    known = {name: load_release(name) for name in shipped("releases")}
    there = {manifest.name: manifest for manifest in store.list()}
    wrong = {name: _wrong(manifest, known.get(name), store) for name, manifest in there.items()}
    whole = sorted(name for name, seen in wrong.items() if not seen)
    of_files = [
        Choice(name, wrong.get(name, ""), (FETCHED,) * bool(release.fetch) + (BUILT,) * bool(release.build))
        for name, release in known.items()
        if name not in whole
    ]
    return (*(Choice(name, "", (_taken_by(there[name], known),)) for name in whole), *of_files)


def how(listed: Sequence[Choice]) -> tuple[str, ...]:
    """What a person types for what the lines of a list say, a line each."""
    ways = {way for choice in listed for way in choice.ways}
    return tuple(f"{way}: {words}" for way, words in HOW.items() if way in ways)


def grouped(listed: Sequence[Choice]) -> str:
    """Some choices on one line: together those that are had in the same way, and once what a person types for it."""
    groups = dict[tuple[str, tuple[str, ...]], list[str]]()
    for choice in listed:
        groups.setdefault((choice.seen, choice.ways), []).append(choice.name)
    parts, left = list[str](), dict(HOW)
    for (seen, ways), names in groups.items():
        typed = [f"{way} ({left.pop(way)})" if way in left else way for way in ways]
        parts.append(str(Choice(", ".join(names), seen, tuple(typed))))
    return "; ".join(parts)


def _taken_by(manifest: Manifest, known: Container[str]) -> str:
    """How what the store has is brought onto a cluster."""
    if series_file.is_working_tree(manifest.source.series):
        return f"in the store, of the working tree {manifest.source.origin}, which `kubev6 dev` brings onto a cluster"
    return HELD if manifest.name in known else HELD_BY_FILE


def _wrong(manifest: Manifest, release: Release | None, store: Store) -> str:
    """Why what the store has of a release is not taken as it is; empty when it is."""
    if store.check(manifest):
        return "damaged in the store"
    return "in the store as its file was before" if release and not is_current(manifest, release) else ""


def _in_store(release: Release, store: Store) -> Manifest | None:
    """What the store has of a release, be it what its file says now or not.

    Raises:
        KubeV6Error: Its manifest is damaged, and it cannot be fetched again.
    """
    try:
        return store.current(release.name)
    except KubeV6Error:
        if release.fetch is None:
            raise
        return None


def _in_store_as_it_is(decision: Decision, store: Store) -> Chosen | None:
    """What the store has of it; None when that is nothing, or is to be fetched (again)."""
    release = decision.release
    if decision.build:
        manifest = store.find(release.name, decision.build)
        if manifest is None:
            raise KubeV6Error(
                f"the build {decision.build[:12]} of release {release.name} is not in the store any more",
                todo=OF_YOUR_CHOICE,
            )
    else:
        manifest = _in_store(release, store)
        if manifest is None or not is_current(manifest, release):
            return None
    if damaged := store.check(manifest):
        if release.fetch is not None and not decision.build:
            return None
        todo = _todo(release, store, again=" again")
        if decision.build:
            todo = f"{OF_YOUR_CHOICE}; the choices: {grouped(choices(store))}"
        raise KubeV6Error(
            f"release {release.name} is damaged in the store: {damaged[0].of}: {damaged[0].digest}: {damaged[0].seen}",
            todo=todo,
        )
    return Chosen(release, manifest, f"{decision.why}, from the store")


def _todo(release: Release, store: Store, again: str = "") -> str:
    """What to do about a release that is not to be had as it stands, and which others there are.

    Args:
        release: Which.
        store: The release store.
        again: That it is built once more, as a word behind that.
    """
    others = grouped([choice for choice in choices(store) if choice.name != release.name])
    if release.build is None:
        return f"the choices: {others}"
    named = release.name if release.name in shipped("releases") else "FILE"
    return f"`kubev6 build {named}` builds it{again}; the other choices: {others}"
