"""Making a release from source, verb by verb: the tree, the patches, the compilation, the images, the release.

In which order, and what goes side by side, is said by the flow that uses them. A release that the store holds already,
made from the same inputs, is taken as it is: its key is the sha256 of everything that decides its bytes.
"""

from __future__ import annotations

import hashlib
import json
import logging
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal

import git

from configs.errors import ConfigError
from configs.manifest import NODE_BINARIES, BinaryEntry, ImageEntry, Manifest, SourceEntry, name_of
from configs.plan.go import GoPackage, go_problem, minor, package_for
from configs.plan.upstream import (
    ETCD_SERVER,
    ETCD_VERSION,
    GO_VERSION,
    KUBELET_CADVISOR,
    kubelet_wants_cgo,
    vendored_etcd,
)
from configs.plan.versions import etcd_is_too_old, image_name, image_tag, oldest_etcd, parse_version
from configs.schema.release import Build, GoToolchain, Release
from tasks.docker import toolchain
from tasks.docker.toolchain import Toolchain
from tasks.exclusive import exclusive, holder
from tasks.paths import RECIPES, cache_dir
from tasks.recipes import directory_digest
from tasks.release import compile, compiler, images, results
from tasks.release.compile import Reported, Traits
from tasks.release.compiler import Compiler
from tasks.release.fetch.fetch_image import fetch_image
from tasks.release.fetch.mirror import Mirror
from tasks.release.refresh import Refresh, again
from tasks.release.results import Compiled
from tasks.release.series import debian_source, series, series_file, series_source
from tasks.release.series.check_out import check_out, check_out_beside, keep_generated, take_over
from tasks.release.series.series import Picked
from tasks.release.series.series_file import DebianSeries, Series, WorkingTree
from tasks.release.series.source import Source
from tasks.release.store import Store
from tasks.steps import step

log = logging.getLogger("kubev6.build")
CONTROL_PLANE = ("kube-apiserver", "kube-controller-manager", "kube-scheduler", "kube-proxy")
CLUSTER_DNS = ("coredns", "k8s-dns-kube-dns")
"""What the name of an image that answers as cluster DNS begins with."""


@dataclass(frozen=True, slots=True)
class Tools:
    """What a release is made with.

    Attributes:
        toolchain: Our own toolchain image, whose programs and libraries the images carry.
        compiler: What compiles.
    """

    toolchain: Toolchain
    compiler: Compiler


@dataclass(frozen=True, slots=True)
class ImageOrder:
    """An image that a release wants.

    Attributes:
        name: Of the image.
        how: ``fetched`` from another project by its reference, a ``program`` of our own, ``etcd`` from Debian's
            package, ``cluster-dns``: CoreDNS or its stand-in, or ``compiled`` from the release's own tree.
        reference: Repository and tag of one that is fetched.
        tag: Of one that is compiled and has a version of its own.
    """

    name: str
    how: Literal["fetched", "program", "etcd", "cluster-dns", "compiled"]
    reference: str = ""
    tag: str = ""


def recipe(release: Release) -> tuple[Build, Series]:
    """What a release is built from: its ``build`` section and the series that it names.

    Raises:
        ConfigError: It names none, or what it names contradicts itself.
    """
    if release.build is None:
        raise ConfigError(f"release {release.name} says nothing to build it from", todo="fetch it instead")
    patches = series_file.load(release.build.series)
    if release.build.source is not None and not isinstance(patches, DebianSeries):
        raise ConfigError(
            f"{patches.path}: has a base of its own, but the release has a source too",
            todo="take build.source out of the release",
        )
    return release.build, patches


def obtain_source(release: Release, sources: Mapping[str, str], refresh: Refresh) -> Source:
    """The tree that the patches are picked onto, with the patches; from the cache where it has them.

    Args:
        release: The release.
        sources: Other places for the remotes of its series, by name: a URL, a repository's directory or a bundle.
        refresh: Which stage is made again although its result is here.

    Raises:
        KubeV6Error: The source cannot be had.
    """
    wanted, patches = recipe(release)
    force = again(refresh, "source")
    if isinstance(patches, WorkingTree):
        found = series_source.obtain(patches, sources=sources, force=force)
        _refuse_other_minor(release, found)
        return found
    if wanted.source is None or (sources and isinstance(patches, DebianSeries)):  # which has no remotes, as it will say
        return series_source.obtain(patches, sources=sources, force=force)
    return debian_source.obtain(wanted.source.debian.package, wanted.source.debian.version, force=force)


def _refuse_other_minor(release: Release, tree: Source) -> None:
    """Refuse a working tree that by its newest list of changes is of another minor version than the release.

    Upstream begins the list of a minor version with its first alpha version, some weeks after the tree has begun it.

    Raises:
        ConfigError: It is.
    """
    with tree.open() as repository:
        listed = repository.git.ls_tree("--name-only", tree.base, "./", "CHANGELOG/")
    minors = [int(minor) for minor in re.findall(r"(?m)^(?:CHANGELOG/)?CHANGELOG-1\.(\d+)\.md$", listed)]
    if minors and parse_version(release.kubernetes).minor not in (max(minors), max(minors) + 1):
        raise ConfigError(
            f"{tree.origin} is Kubernetes 1.{max(minors)} by its CHANGELOG, and release {release.name} is "
            f"{release.kubernetes}",
            todo="name with --release the one that it is nearest to; `kubev6 releases` lists them",
        )


def pick_series(release: Release, source: Source, refresh: Refresh) -> Picked:
    """The release's series of patches on its base; from the cache where it has been picked.

    Args:
        release: The release.
        source: What :func:`obtain_source` returned.
        refresh: Which stage is made again although its result is here.

    Raises:
        ConflictError: A patch conflicts.
    """
    _, patches = recipe(release)
    picked = series.pick(patches, source, force=again(refresh, "series"))
    series.announce(picked)
    return picked


def known_tools(release: Release, source: Source, picked: Picked) -> Tools | None:
    """What the release is made with, where that was made here before from the recipe as it stands; asks nobody.

    Arguments are those of :func:`ready_tools`.
    """
    known = toolchain.recorded()
    if known is None:
        return None
    wanted, demand = go_wanted(release, source, picked)
    # Which image a tag stands for is known to the engine alone.
    found = compiler.known_with_go(known, wanted) if isinstance(wanted, GoPackage) else _named(release, wanted, demand)
    return Tools(known, found) if found else None


def ready_tools(release: Release, source: Source, picked: Picked) -> Tools:
    """What the release is made with, made or pulled where the engine does not hold it.

    Args:
        release: The release.
        source: The tree.
        picked: The series on it.

    Raises:
        KubeV6Error: It cannot be had, or cannot compile this tree, or the etcd that it has is too old.
    """
    wanted, demand = go_wanted(release, source, picked)
    own = toolchain.ready()
    refuse_old_etcd(image_orders(release, source, picked), release, own)
    return Tools(
        own, compiler.with_go(own, wanted) if isinstance(wanted, GoPackage) else _named(release, wanted, demand)
    )


def go_wanted(release: Release, source: Source, picked: Picked) -> tuple[GoPackage | str, str]:
    """What compiles a tree, by what its release says, else by its own demand.

    Args:
        release: The release.
        source: The tree.
        picked: The series on it.

    Returns:
        A package of Debian's, or the reference of an image; and the minor version of Go that the tree wants, which is
        empty where it does not say.

    Raises:
        ConfigError: Debian has no Go that compiles it, or the one that the release names does not.
    """
    build, _ = recipe(release)
    said = build.toolchain or GoToolchain()
    demand = minor(file_in(source, picked.tree, GO_VERSION))
    if said.image:
        return said.image, demand
    try:
        return package_for(demand, said.go or ""), demand
    except ValueError as error:
        raise ConfigError(
            f"release {release.name}: {error}", todo="name another one in build.toolchain of the release's file"
        ) from None


def _named(release: Release, image: str, demand: str) -> Compiler:
    found = compiler.named(image)
    if problem := go_problem(minor(found.go), demand):
        raise ConfigError(
            f"release {release.name}: the toolchain image {image}: {problem}",
            todo="name another one in build.toolchain of the release's file, or take that out of it",
        )
    return found


def file_in(source: Source, tree: str, path: str) -> str:
    """The text of a file of a tree; empty where it has none of that name.

    Args:
        source: Whose repository holds it.
        tree: Id of the tree.
        path: The file.
    """
    try:
        with source.open() as repository:
            return str(repository.git.show(f"{tree}:{path}"))
    except git.GitCommandError:
        return ""


def etcd_of_tree(source: Source, picked: Picked) -> str:
    """The version of the etcd that a tree has whole; empty where it has not.

    Args:
        source: The tree.
        picked: The series on it.
    """
    return vendored_etcd(*(file_in(source, picked.tree, path) for path in (ETCD_SERVER, ETCD_VERSION)))


def refuse_old_etcd(orders: Iterable[ImageOrder], release: Release, own: Toolchain) -> None:
    """Refuse a release whose kubeadm cannot run the etcd that it would get from Debian's package.

    Args:
        orders: Its images.
        release: The release.
        own: Our own toolchain, which has that package.

    Raises:
        ConfigError: It cannot.
    """
    if not any(order.how == "etcd" for order in orders):
        return
    tag = images.debian_tag(own.version_of("etcd-server"))
    if etcd_is_too_old(tag, release.kubernetes):
        raise ConfigError(
            f"release {release.name}: etcd of Debian's package is {tag}, and kubeadm {release.kubernetes} runs "
            f"{oldest_etcd(release.kubernetes)} and newer",
            todo="name an image of it under `fetch.images` in the release's file",
        )


def find_kept(release: Release, picked: Picked, tools: Tools, store: Store) -> Manifest | None:
    """The release as the store holds it, made from just these inputs and whole; None when it does not.

    Args:
        release: The release.
        picked: Its series on its base.
        tools: What it is made with.
        store: The release store.
    """
    found = store.find(release.name, release_key(release, picked, tools.toolchain, tools.compiler))
    if found is None or store.check(found):
        return None
    with step("build", "release") as shown:
        store.write(found)
        shown.ended_as(f"{found.version} is in the store", cached=True)
    return found


def version_of(release: Release, picked: Picked) -> str:
    """The version that what is compiled of a series says it is."""
    if series_file.is_working_tree(picked.series):
        return compile.working_tree_stamp(release.kubernetes)
    return compile.version_stamp(release.kubernetes, picked.series, picked.tree)


def commit_of(picked: Picked) -> str:
    """The commit of which what is compiled says that it is; none of a working tree, with which it would change."""
    return "" if series_file.is_working_tree(picked.series) else picked.commit


def compile_programs(release: Release, source: Source, picked: Picked, tools: Tools, refresh: Refresh) -> Compiled:
    """Everything that is compiled of a series; from the cache where it was compiled of the same before.

    Args:
        release: The release.
        source: The tree.
        picked: The series on it.
        tools: What compiles.
        refresh: Which stage is made again although its result is here.

    Raises:
        KubeV6Error: It does not compile, or there is too little disk.
    """
    force = again(refresh, "compile")
    reported = Reported(version_of(release, picked), commit_of(picked), source.timestamp)
    cgo = kubelet_wants_cgo(file_in(source, picked.tree, KUBELET_CADVISOR))
    traits = Traits(etcd=bool(etcd_of_tree(source, picked)), cgo=cgo)
    key = compile.compile_key(picked.tree, reported, tools.toolchain, tools.compiler, traits)
    kept = None if force else results.find(picked.series, key)
    if kept is not None:
        return kept
    place = check_out_beside(picked, source) if force else check_out(picked, source)
    done = compile.compile_tree(
        place, series=picked.series, key=key, reported=reported, compiler=tools.compiler, traits=traits, force=force
    )
    if force:
        take_over(picked)
    keep_generated(picked, source)
    return done


def image_orders(release: Release, source: Source, picked: Picked) -> tuple[ImageOrder, ...]:
    """The images of a release that is built, those first that need not wait for the compilation.

    Etcd is that of the release's own tree where it has one: that is what it was tested with.

    Args:
        release: The release.
        source: The tree.
        picked: The series on it.
    """
    etcd, others = image_name("etcd", release.kubernetes), {name_of(each): each for each in companions(release)}
    compiled = [ImageOrder(name, "compiled") for name in ("pause", *CONTROL_PLANE)]
    if version := etcd_of_tree(source, picked):
        others.pop(etcd, None)
        compiled.append(ImageOrder("etcd", "compiled", tag=version))
    orders = [ImageOrder(name, "fetched", reference) for name, reference in others.items()]
    orders.append(ImageOrder("probe", "program"))
    if not version and etcd not in others:
        orders.append(ImageOrder("etcd", "etcd"))
    if not any(name.startswith(CLUSTER_DNS) for name in others):
        orders.append(ImageOrder("coredns", "cluster-dns"))
    return (*orders, *compiled)


def make_image(
    release: Release,
    order: ImageOrder,
    picked: Picked,
    tools: Tools,
    compiled: Compiled | None,
    store: Store,
    mirror: Mirror | None,
    refresh: Refresh,
) -> ImageEntry:
    """One image of a release, in the store; from there where it was made of the same before.

    Args:
        release: The release.
        order: Which image.
        picked: The release's series on its base.
        tools: What it is made with.
        compiled: What was compiled; None for an image that has nothing of it.
        store: Where it is kept.
        mirror: Where other projects' images are read from; None for their publishers.
        refresh: Which stage is made again although its result is here.

    Raises:
        KubeV6Error: It cannot be made, or fetched.
    """
    own, force, image = tools.toolchain, again(refresh, "images"), order.name
    match order.how:
        case "fetched":
            return fetch_image(order.reference, store, mirror, force=force)
        case "program":
            return images.build_program(order.name, own, store, force=force)
        case "cluster-dns":
            return images.cluster_dns(release.images.coredns, own, store, mirror, force=force)
        case "etcd":
            tag, files = images.debian_tag(own.version_of("etcd-server")), None
        case "compiled":
            assert compiled is not None
            of_release = compiled.pause if order.name == "pause" else image_tag(version_of(release, picked))
            tag, files = order.tag or of_release, {order.name: compiled.programs[order.name]}
            image = "etcd-vendored" if order.name == "etcd" else order.name
    entry = images.build(image, tag, own, store, files=files, force=force)
    return entry.model_copy(update={"name": image_name(order.name, release.kubernetes)})


def write_release(
    release: Release,
    source: Source,
    picked: Picked,
    tools: Tools,
    compiled: Compiled,
    made: Iterable[ImageEntry],
    cni: tuple[BinaryEntry, ...],
    store: Store,
) -> Manifest:
    """The release, whole: its executables and its manifest into the store, the current one of its name from now on.

    Args:
        release: The release.
        source: The tree.
        picked: The series on it.
        tools: What it was made with.
        compiled: What was compiled.
        made: Its images.
        cni: Its CNI plugins.
        store: Where it is kept.

    Raises:
        KubeV6Error: The store cannot be written.
    """
    with step("build", "release") as shown:
        binaries = []
        for name in NODE_BINARIES:
            sha256, size = store.add_file(compiled.programs[name])
            binaries.append(BinaryEntry(name=name, sha256=sha256, size=size))
        manifest = Manifest(
            name=release.name,
            version=version_of(release, picked),
            key=release_key(release, picked, tools.toolchain, tools.compiler),
            created=datetime.now(UTC).isoformat(timespec="seconds"),
            source=SourceEntry(
                kind="built",
                origin=source.origin,
                base=picked.base,
                series=picked.series,
                commit=picked.commit,
                tree=picked.tree,
                patches=picked.patches,
            ),
            toolchain=tools.compiler.go,
            binaries=tuple(binaries),
            images=tuple(sorted(made, key=lambda entry: entry.name)),
            cni=cni,
            cni_version=release.cni.version if release.cni else "",
        )
        store.write(manifest)
        total = sum(entry.size for entry in manifest.binaries) + sum(entry.size for entry in manifest.images)
        shown.ended_as(f"{manifest.version}, {total / 1e6:.0f} MB")
    return manifest


@contextmanager
def building(release: Release) -> Iterator[None]:
    """Have the working directory of a release's series to oneself; another build of it waits, and finds what was made.

    Args:
        release: The release.
    """
    _, patches = recipe(release)
    lock = cache_dir() / "worktree" / f".{patches.name}.lock"

    def busy() -> None:
        log.warning("series %s is being built: %s; waiting for it to end", patches.name, holder(lock))

    with exclusive(lock, on_wait=busy, what=f"build of {release.name}"):
        yield


def companions(release: Release) -> tuple[str, ...]:
    """References of the images that a release which is built takes from other projects.

    These are the ones it is published with, without those made here from Kubernetes' own tree.
    """
    made = {image_name(name, release.kubernetes) for name in (*CONTROL_PLANE, "pause")}
    published = release.fetch.images if release.fetch else ()
    return tuple(reference for reference in published if name_of(reference) not in made)


def release_key(release: Release, picked: Picked, tools: Toolchain, go: Compiler) -> str:
    """sha256 of everything that decides the bytes of a release, in canonical JSON."""
    inputs: dict[str, Any] = {
        "kubernetes": release.kubernetes,
        "images": release.images.model_dump(mode="json"),
        "series": picked.series,
        "base": picked.base,
        "tree": picked.tree,
        "toolchain": tools.identity,
        "platform": tools.platform,
        "recipes": {name: directory_digest(RECIPES / name) for name in ("toolchain", "images")},
        "targets": compile.TARGETS,
        "commands": [compile.COMPILE, compile.COMPILE_PROGRAM, compile.ENVIRONMENT, compile.WITH_CGO],
    }
    # What a release does not have takes no part, so that its key stays when others come to have it.
    if go.identity:
        inputs["compiler"] = [go.identity, go.go, *([go.environment] if go.environment else [])]
    if others := companions(release):
        inputs["companions"] = others
    if release.cni:
        inputs["cni"] = release.cni.model_dump(mode="json")
    return hashlib.sha256(json.dumps(inputs, sort_keys=True, separators=(",", ":")).encode()).hexdigest()
