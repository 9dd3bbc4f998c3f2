"""Compiling, inside a container of the toolchain image or of one that the release names.

The container sees the working directory of the series, at the place where Go's older layout wants it, and a build
cache that is kept between runs and shared by all series. It has no network.
"""

from __future__ import annotations

import hashlib
import re
import shutil
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path

from configs.errors import EndedError, KubeV6Error
from tasks import steps
from tasks.docker import toolchain
from tasks.docker.toolchain import StatusError, Toolchain
from tasks.exclusive import exclusive
from tasks.paths import RECIPES, cache_dir, data_dir
from tasks.recipes import directory_digest
from tasks.release import go_cache, results
from tasks.release.compiler import Compiler
from tasks.release.results import Compiled
from tasks.replace import write_whole
from tasks.steps import step

TARGETS = (
    "kubeadm",
    "kubelet",
    "kubectl",
    "kube-apiserver",
    "kube-controller-manager",
    "kube-scheduler",
    "kube-proxy",
)
"""What is compiled of Kubernetes, besides ``pause``."""

ETCD = RECIPES / "images" / "etcd-vendored" / "main.go"
"""The program of etcd, for trees that have the server of it."""
TREE = "/go/src/k8s.io/kubernetes"
CACHE = f"{TREE}/_output/local/go/cache"
"""Where the container has the build cache. Newer makefiles of Kubernetes insist on one below ``_output``."""
BEGIN = f"""
cd {TREE}
# Old trees compare Go's version as text, for which 1.19 is less than 1.8.3. They let development versions pass, so Go
# says that it is one.
if grep -qsF '"${{go_version[2]}}" <' hack/lib/golang.sh; then
    mkdir /tmp/bin
    cat > /tmp/bin/go <<GO
#!/bin/sh
[ "\\$*" = version ] && exec echo "go version devel $(go version | cut -d ' ' -f 3-)"
exec $(command -v go) "\\$@"
GO
    chmod +x /tmp/bin/go
    PATH=/tmp/bin:$PATH
fi
flags="-v${{FURTHER:+ $FURTHER}}"
"""
"""How each compilation of a tree begins."""
COMPILE = f"""{BEGIN}if [ -n "$4" ]; then
    # To the go tool it is a file of the tree.
    echo '{{"Replace": {{"{TREE}/cmd/etcd/main.go": "/etcd/main.go"}}}}' > /tmp/overlay.json
    flags="$flags -overlay=/tmp/overlay.json"
fi
make all GOFLAGS="$flags" WHAT="$1${{4:+ $4}}"
# make also copies them to _output/local/bin, but with rsync, which images with Go do not have.
for target in $1 $4; do
    cp "_output/local/go/bin/${{target##*/}}" /results/
done
gcc -Os -Wall -Werror -static -s -DVERSION="$2" -o /results/pause "$3"
"""
COUNT = f"""
cd {TREE}
# Beside the compilation, and so without the sources that makefiles have yet to generate. Go before 1.11 cannot tell.
{{ echo "packages: $(go list -e -deps $(printf './%s ' $1) 2>/dev/null | grep -c '^[^/]*[.]')"; }} &
"""
"""Says how many packages the targets are made of, each to be compiled where the build cache has nothing."""
COMPILE_PROGRAM = """
cd /program
go build -trimpath -ldflags '-s -w -buildid=' -o /results/"$1" .
"""
PROGRAM_ENVIRONMENT = {"GOPATH": "/usr/share/gocode", "GO111MODULE": "off", "GOCACHE": "/cache", "CGO_ENABLED": "0"}
"""A program of our own has its libraries from the toolchain image: Debian's packages have them in Go's older layout."""
ENVIRONMENT = {
    "GOPATH": "/go",
    "GO111MODULE": "off",
    "GOCACHE": CACHE,
    "CGO_ENABLED": "0",
    "KUBE_GIT_VERSION_FILE": "/version/stamp",
}
WITH_CGO = {"CGO_ENABLED": "1", "GOLDFLAGS": "-extldflags=-static", "FURTHER": "-tags=netgo"}
"""Kubernetes' makefiles do without cgo by themselves but for the kubelet. That runs with any C library when it has its
own in it; names are looked up by Go itself then, as that library would load parts of the machine's."""
DEADLINE = 2 * 3600
SPACE_COLD, SPACE_WARM = 5 * 10**9, 10**9
"""Bytes of free disk wanted for a first compilation, and for one with a filled build cache."""

_PACKAGE = re.compile(r"^[\w-]+\.[\w.-]+(/[\w.~-]+)+$")
"""Not those of Go's own library, whose paths begin with no host: some of them are there compiled."""
_PACKAGES = re.compile(r"^packages: (\d+)$")
KILLED = 137
"""The status of what was killed, mostly for want of memory."""
_MACHINES = re.compile(r"(?im)no space left on device|signal: killed|^killed$|cannot allocate memory|out of memory")
"""What a failed compilation says where that is the machine's fault."""


class CompileError(KubeV6Error):
    """A tree does not compile."""


def version_stamp(kubernetes: str, series: str, tree: str) -> str:
    """The version that the binaries report, for example ``v1.20.2+kubev6.debian-1.20.3f2a1b7``.

    What is ours is semver build metadata: it does not take part in comparing versions, kubeadm's expression for
    versions takes it, and with ``_`` for ``+`` it is an image tag.

    Args:
        kubernetes: The version that the tree is of, for example ``1.20.2``.
        series: Name of the series.
        tree: Tree id of what is compiled.
    """
    return f"v{kubernetes.removeprefix('v')}+kubev6.{series}.{tree[:7]}"


def working_tree_stamp(kubernetes: str) -> str:
    """The version that binaries of a working tree report, for example ``v1.20.2+kubev6.working-tree``.

    It is the same however the tree stands. So Go's own tool tells by what a program is made of which ones an edit
    changes, and links no others again; and only what has other bytes is replaced on a cluster.

    Args:
        kubernetes: The version that the tree is of, for example ``1.20.2``.
    """
    return f"v{kubernetes.removeprefix('v')}+kubev6.working-tree"


def pause_version(tree: Path) -> str:
    """The tag of pause that a tree's kubeadm and kubelet ask for, for example ``3.2``.

    Raises:
        CompileError: The tree does not say.
    """
    for pattern, expression in (
        ("cmd/kubeadm/app/constants/*.go", r'^\s*PauseVersion = "(\S+)"$'),
        ("cmd/kubelet/app/options/container_runtime.go", r'^\s*defaultPodSandboxImageVersion += "(\S+)"$'),
        ("build/pause/Makefile", r"^TAG *\??= *(\S+)$"),
    ):
        for path in sorted(tree.glob(pattern)):
            if found := re.search(expression, path.read_text(), re.MULTILINE):
                return found[1]
    raise CompileError(f"{tree}: says no version of pause", todo="this tree's layout is not known here")


def pause_source(tree: Path) -> str:
    """Where the source of pause is in a tree; it has moved since there is one for Windows too.

    Raises:
        CompileError: The tree has none.
    """
    return first(tree, ("build/pause/linux/pause.c", "build/pause/pause.c"))


def targets(tree: Path) -> tuple[str, ...]:
    """Directories of :data:`TARGETS` in a tree: the scheduler's was ``plugin/cmd/kube-scheduler`` until 1.10.

    Raises:
        CompileError: The tree lacks one.
    """
    return tuple(first(tree, (f"cmd/{name}", f"plugin/cmd/{name}")) for name in TARGETS)


@dataclass(frozen=True, slots=True)
class Traits:
    """What a tree has that others have not.

    Attributes:
        etcd: The server of etcd, so that its program is compiled too.
        cgo: A kubelet that needs cgo.
    """

    etcd: bool = False
    cgo: bool = False


@dataclass(frozen=True, slots=True)
class Reported:
    """What binaries tell of themselves.

    Attributes:
        version: The version stamp.
        commit: The commit that they were compiled from; empty for a working tree, which is none.
        timestamp: Build date, seconds since 1970; not the clock's, so that the bytes do not depend on when they were
            made.
    """

    version: str
    commit: str
    timestamp: int


def version_file(reported: Reported) -> str:
    """What ``KUBE_GIT_VERSION_FILE`` holds: from it Kubernetes' makefiles know what git would have told them."""
    major, minor = re.findall(r"\d+", reported.version)[:2]
    return (
        f"KUBE_GIT_COMMIT='{reported.commit}'\nKUBE_GIT_TREE_STATE='clean'\nKUBE_GIT_VERSION='{reported.version}'\n"
        f"KUBE_GIT_MAJOR='{major}'\nKUBE_GIT_MINOR='{minor}'\n"
    )


def compile_key(tree: str, reported: Reported, tools: Toolchain, compiler: Compiler, traits: Traits = Traits()) -> str:
    """sha256 of everything that decides the bytes that :func:`compile_tree` makes.

    Args:
        tree: Id of the tree that is compiled.
        reported: What they tell of themselves.
        tools: Our own toolchain, which a compiler stands for that no release has named.
        compiler: What to compile with.
        traits: What the tree has that others have not.
    """
    go = [compiler.identity or tools.identity, compiler.go]
    told = [compiler.environment] if compiler.environment else []
    more = [hashlib.sha256(ETCD.read_bytes()).hexdigest()] if traits.etcd else []
    if traits.cgo:
        told.append(WITH_CGO)
    return results.key_of(tree, asdict(reported), go, TARGETS, COMPILE, ENVIRONMENT, *told, *more)


@dataclass(frozen=True, slots=True)
class Order:
    """What is compiled of a tree.

    Attributes:
        name: Under which the executables are kept, until others are compiled under it.
        title: What the step is called.
        script: What runs in the container.
        arguments: Its arguments; the targets are the first.
        programs: What it makes.
        pause: See :class:`tasks.release.results.Compiled`.
        cgo: Whether it needs cgo.
    """

    name: str
    title: str
    script: str
    arguments: tuple[str, ...]
    programs: tuple[str, ...]
    pause: str = ""
    cgo: bool = False


def compile_tree(
    tree: Path,
    *,
    series: str,
    key: str,
    reported: Reported,
    compiler: Compiler,
    traits: Traits = Traits(),
    force: bool = False,
) -> Compiled:
    """Compile :data:`TARGETS` and pause.

    Args:
        tree: The working directory of a series.
        series: Its name.
        key: :func:`compile_key`, under which the executables are kept until the series is compiled again.
        reported: What they tell of themselves.
        compiler: What to compile with.
        traits: What the tree has that others have not.
        force: Compile everything, also what was compiled before.

    Raises:
        KubeV6Error: As :func:`compile_order`, and where the tree lacks what is compiled.
    """
    pause = pause_version(tree)
    etcd = "cmd/etcd" if traits.etcd else ""
    order = Order(
        name=series,
        title="compile",
        script=COMPILE,
        arguments=(" ".join(targets(tree)), f"v{pause}", pause_source(tree), etcd),
        programs=(*TARGETS, "pause", *(["etcd"] if etcd else [])),
        pause=pause,
        cgo=traits.cgo,
    )
    return compile_order(order, tree, series=series, key=key, reported=reported, compiler=compiler, force=force)


def compile_order(
    order: Order,
    tree: Path,
    *,
    series: str,
    key: str,
    reported: Reported,
    compiler: Compiler,
    force: bool = False,
) -> Compiled:
    """Compile something of a tree.

    Args:
        order: What.
        tree: The working directory of a series.
        series: Its name.
        key: sha256 of everything that decides the bytes.
        reported: What they tell of themselves.
        compiler: What to compile with.
        force: Compile everything, also what was compiled before.

    Raises:
        CompileError: It does not compile. The whole output is in the data directory's ``logs/compile-<name>.log``.
        KubeV6Error: There is too little disk or memory, or the engine failed.
    """
    cold = force or not any(go_cache.go_cache(compiler.cache).iterdir())
    _need_space(SPACE_COLD if cold else SPACE_WARM)
    stamp = cache_dir() / "stamps" / series
    write_whole(stamp / "stamp", version_file(reported))
    with step(series, order.title) as shown, ExitStack() as held:
        packages = total = 0

        def show(line: str) -> None:
            nonlocal packages, total
            log.write(line + "\n")
            if _PACKAGE.match(line):
                packages += 1
                total = total and max(total, packages)  # generators are compiled besides
                shown.progress(f"{packages} of {total} packages" if total else f"{packages} packages", packages, total)
            elif said := _PACKAGES.match(line):
                total = int(said[1])
            elif line.startswith("+++"):
                shown.progress(line.split("] ", 1)[-1])

        if force:
            kept = {go_cache.go_cache(compiler.cache): CACHE, **compiler.library}
            mounts = {held.enter_context(go_cache.beside(path)): inside for path, inside in kept.items()}
        else:
            cache = held.enter_context(go_cache.filling(shown.progress, compiler.cache))
            mounts = {cache: CACHE, **compiler.library}
        for directory in (tree / "_output" / "local" / "go" / "cache", *mounts):
            directory.mkdir(parents=True, exist_ok=True)
        made = held.enter_context(results.unfinished(order.name))
        log_file = data_dir() / "logs" / f"compile-{order.name}.log"
        log_file.parent.mkdir(parents=True, exist_ok=True)
        with log_file.open("w", buffering=1) as log:
            try:
                toolchain.run(
                    compiler.image,
                    ["bash", "-euc", f"{COUNT if cold else ''}{order.script}", "compile", *order.arguments],
                    name="compile",
                    mounts={tree: TREE, made: "/results", **mounts},
                    read_only={stamp: "/version", ETCD.parent: "/etcd"},
                    environment={
                        **ENVIRONMENT,
                        **compiler.environment,
                        **(WITH_CGO if order.cgo else {}),
                        "SOURCE_DATE_EPOCH": str(reported.timestamp),
                    },
                    as_caller=True,
                    sole=f"kubev6-compile-{hashlib.sha256(str(tree).encode()).hexdigest()[:12]}",
                    deadline=DEADLINE,
                    on_line=show,
                )
            except EndedError:
                raise
            except KubeV6Error as error:
                raise (CompileError if is_the_trees(error) else KubeV6Error)(
                    f"compiling {reported.version} failed: {_cause(error.detail.splitlines()) or error.message}",
                    todo=f"the whole output is in {log_file}",
                    detail=error.detail,
                ) from None
        done = results.keep(order.name, key, made, order.programs, pause=order.pause)
        shown.ended_as(f"{reported.version}, {f'{packages} packages' if packages else 'nothing to compile'}")
        return done


def compile_program(directory: Path, name: str, tools: Toolchain, *, force: bool = False) -> Path:
    """Compile a program of our own: one directory of Go, and what the toolchain image has of libraries.

    What was compiled of the same files with the same toolchain is taken as it is.

    Args:
        directory: The directory.
        name: Name of the executable.
        tools: What to compile with.
        force: Compile it although it was compiled before.

    Raises:
        KubeV6Error: It does not compile.
    """
    sources = directory_digest(directory)
    key = results.key_of(sources, tools.identity, tools.go, COMPILE_PROGRAM, PROGRAM_ENVIRONMENT)
    with exclusive(cache_dir() / "results" / f".{name}.lock", what=f"compilation of {name}"):
        kept = None if force else results.find(name, key)
        if kept is not None:
            return kept.programs[name]
        with go_cache.filling(lambda _: steps.go_on()) as cache, results.unfinished(name) as made:
            toolchain.run(
                tools.image,
                ["sh", "-euc", COMPILE_PROGRAM, "compile", name],
                name=f"compile {name}",
                mounts={cache: "/cache", made: "/results"},
                read_only={directory: "/program"},
                environment=PROGRAM_ENVIRONMENT,
                as_caller=True,
                deadline=600,
            )
            return results.keep(name, key, made, (name,)).programs[name]


def first(tree: Path, places: Sequence[str]) -> str:
    """The first of some places that a tree has."""
    for place in places:
        if (tree / place).exists():
            return place
    raise CompileError(f"{tree}: has no {' and no '.join(places)}", todo="this tree's layout is not known here")


def _need_space(wanted: int) -> None:
    free = shutil.disk_usage(cache_dir()).free
    if free < wanted:
        raise KubeV6Error(
            f"{cache_dir()} has {free / 1e9:.1f} GB free and compiling needs {wanted / 1e9:.0f} GB",
            todo="make room, or set KUBEV6_CACHE to a directory on a larger disk",
        )


def is_the_trees(error: KubeV6Error) -> bool:
    """Whether a compilation failed because of what is compiled, and not of the machine or its engine. Pure."""
    return isinstance(error, StatusError) and error.status != KILLED and not _MACHINES.search(error.detail)


def _cause(lines: Sequence[str]) -> str:
    """The line of a failed compilation that says why: the compiler's first complaint, or the full disk."""
    for sign in (r"no space left on device", r"\.go:\d+:\d+: ", r"^E\d{4} ", r"\berror: ", r"^!!!"):
        for line in lines:
            if re.search(sign, line):
                return line.strip()
    return ""
