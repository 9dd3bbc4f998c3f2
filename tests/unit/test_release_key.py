"""The key of a release: the same for the same inputs, another one for anything that decides the bytes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from configs.errors import ConfigError
from configs.plan.upstream import ETCD_SERVER, ETCD_VERSION, kubelet_wants_cgo, vendored_etcd
from configs.schema.loading import load_release
from configs.schema.release import CniPlugins, Fetch, Release
from tasks.docker.toolchain import Toolchain
from tasks.release import build as release_build
from tasks.release import compile, compiler
from tasks.release.build import ImageOrder, companions, image_orders, refuse_old_etcd, release_key
from tasks.release.compile import Traits
from tasks.release.compiler import Compiler
from tasks.release.series.series import Picked
from tasks.release.series.source import Source
from tests.fakes import substitute

PICKED = Picked("debian-1.20", "a" * 40, "b" * 40, "c" * 40, ())
SOURCE = Source("kubernetes", "x", "here", Path("none"), "b" * 40, 0)
TOOLS = Toolchain("kubev6/toolchain:x", "go1.19.8 linux/amd64", ("etcd-server=3.4.23-4", "golang-go=2:1.19~1"))
BINARIES = {"kubeadm": {"url": "https://dl.example/kubeadm"}}
ETCD = "registry.example/etcd:3.6.8-0"
ETCD_OF_UPSTREAM = "registry.k8s.io/etcd:3.6.8-0"
NAMED = Compiler("sha256:1", "go1.8.3 linux/amd64", "sha256:1")


def key_of(wanted: Release, picked: Picked = PICKED, tools: Toolchain = TOOLS) -> str:
    """The key of a release that Debian's Go compiles."""
    return release_key(wanted, picked, tools, compiler.debian(tools))


@pytest.fixture
def wanted() -> Release:
    return load_release("debian-1.20")


def test_the_same_inputs_give_the_same_key(wanted: Release) -> None:
    key = key_of(wanted)

    assert len(key) == 64
    assert key_of(wanted.model_copy(), replace(PICKED), replace(TOOLS)) == key
    # Neither of these decides a byte.
    assert key_of(wanted.model_copy(update={"description": "other"})) == key
    assert key_of(wanted, PICKED, replace(TOOLS, image="kubev6/toolchain:elsewhere")) == key


@pytest.mark.parametrize(
    ("release_changes", "picked", "tools"),
    [
        ({"kubernetes": "1.20.3"}, PICKED, TOOLS),
        ({}, replace(PICKED, tree="d" * 40), TOOLS),
        ({}, replace(PICKED, base="d" * 40), TOOLS),
        ({}, replace(PICKED, series="other"), TOOLS),
        ({}, PICKED, replace(TOOLS, packages=("etcd-server=3.4.23-5", "golang-go=2:1.19~1"))),
        ({}, PICKED, replace(TOOLS, go="go1.19.8 linux/arm64")),
    ],
    ids=["version", "tree", "base", "series", "a package of the toolchain", "platform"],
)
def test_another_input_gives_another_key(
    wanted: Release, release_changes: dict[str, str], picked: Picked, tools: Toolchain
) -> None:
    changed = wanted.model_copy(update=release_changes)

    assert key_of(changed, picked, tools) != key_of(wanted)


def test_the_compiler_that_a_release_names_takes_part(wanted: Release) -> None:
    keys = {
        key_of(wanted),
        release_key(wanted, PICKED, TOOLS, NAMED),
        release_key(wanted, PICKED, TOOLS, replace(NAMED, image="sha256:2", identity="sha256:2")),
    }

    assert len(keys) == 3


def test_what_is_taken_from_other_projects_takes_part_and_what_is_made_here_does_not() -> None:
    how_to = load_release("v1.9.0-alpha.0.ipv6.0")
    assert how_to.fetch is not None
    assert how_to.cni is not None

    def key(fetch: Fetch | None = how_to.fetch, cni: CniPlugins | None = how_to.cni) -> str:
        return key_of(how_to.model_copy(update={"fetch": fetch, "cni": cni}))

    images = [image for image in how_to.fetch.images if "kube-proxy" not in image]
    assert key(fetch=how_to.fetch.model_copy(update={"images": (*images, "other/kube-proxy-amd64:v1")})) == key()
    others = (*images, "other/etcd-amd64:3.1.0")
    assert key(fetch=how_to.fetch.model_copy(update={"images": others})) != key()
    assert key(cni=how_to.cni.model_copy(update={"version": "0.7.0"})) != key()
    assert len({key(fetch=None), key(cni=None), key()}) == 3


def test_a_release_of_the_how_tos_age_takes_etcd_and_kube_dns_from_their_publishers() -> None:
    assert companions(load_release("debian-1.20")) == ()
    assert companions(load_release("v1.9.0-alpha.0.ipv6.0")) == (
        "diverdane/etcd-amd64:3.0.17",
        "diverdane/k8s-dns-kube-dns-amd64:1.14.4",
        "diverdane/k8s-dns-dnsmasq-nanny-amd64:1.14.4",
        "diverdane/k8s-dns-sidecar-amd64:1.14.4",
    )


def test_a_changed_recipe_or_command_gives_another_key(
    wanted: Release, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = key_of(wanted)

    with monkeypatch.context() as patched:
        substitute(patched, compile, "COMPILE", compile.COMPILE + "\n")
        assert key_of(wanted) != key
    (tmp_path / "images" / "pause").mkdir(parents=True)
    (tmp_path / "images" / "pause" / "Dockerfile").write_text("FROM scratch\n")
    with monkeypatch.context() as patched:
        substitute(patched, release_build, "RECIPES", tmp_path)
        assert key_of(wanted) != key


@pytest.mark.parametrize(
    ("version", "etcd", "refused"),
    [
        ("1.30.9", "3.4.23-4", False),
        ("1.31.0", "3.4.23-4", True),
        ("1.35.0", "3.5.16-2", False),
        ("1.36.0", "3.5.16-2", True),
    ],
)
def test_debians_etcd_is_refused_where_kubeadm_cannot_run_it_before_anything_is_compiled(
    version: str, etcd: str, refused: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    substitute(monkeypatch, release_build, "file_in", lambda *_: "")
    wanted = load_release("debian-1.20").model_copy(update={"kubernetes": version})
    own = replace(TOOLS, packages=(f"etcd-server={etcd}",))
    if refused:
        with pytest.raises(ConfigError, match=rf"etcd of Debian's package is {etcd}, and kubeadm {version} runs 3"):
            refuse_old_etcd(image_orders(wanted, SOURCE, PICKED), wanted, own)
    else:
        refuse_old_etcd(image_orders(wanted, SOURCE, PICKED), wanted, own)
    brought = wanted.model_copy(update={"fetch": Fetch.model_validate({"binaries": BINARIES, "images": [ETCD]})})
    refuse_old_etcd(image_orders(brought, SOURCE, PICKED), brought, own)


def test_etcd_is_that_of_the_tree_where_it_has_one_whatever_else_could_be_had(monkeypatch: pytest.MonkeyPatch) -> None:
    files = {ETCD_SERVER: "func (cfg *Config) AddFlags(fs *flag.FlagSet) {", ETCD_VERSION: '\tVersion  = "3.6.8"\n'}
    substitute(monkeypatch, release_build, "file_in", lambda _source, _tree, path: files[path])
    wanted = load_release("v1.36.0")
    assert ETCD_OF_UPSTREAM in companions(wanted)
    orders = [order for order in image_orders(wanted, SOURCE, PICKED) if order.name == "etcd"]
    assert orders == [ImageOrder("etcd", "compiled", tag="3.6.8")]
    refuse_old_etcd(image_orders(wanted, SOURCE, PICKED), wanted, TOOLS)  # which has a package that is too old


@pytest.mark.parametrize(
    ("server", "version", "etcd"),
    [
        ("func (cfg *Config) AddFlags(fs", '\tMinClusterVersion = "3.0.0"\n\tVersion           = "3.6.4"\n', "3.6.4"),
        ("", '\tVersion = "3.5.21"\n', ""),  # a client alone
        ("func NewConfig() *Config {", '\tVersion = "3.5.21"\n', ""),  # whose options its program declares
        ("func (cfg *Config) AddFlags(fs", '\tVersion = "3.6.4-rc.0"\n', ""),
    ],
)
def test_a_tree_has_etcd_whole_when_it_has_the_server_and_its_options(server: str, version: str, etcd: str) -> None:
    assert vendored_etcd(server, version) == etcd


def test_the_program_of_etcd_decides_what_is_compiled_of_a_tree_that_has_its_server(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reported, go = compile.Reported("v1.36.0", "a" * 40, 0), compiler.debian(TOOLS)
    (tmp_path / "main.go").write_text("package main\n")

    def key(**traits: bool) -> str:
        return compile.compile_key("tree", reported, TOOLS, go, Traits(**traits))

    with_it, without = key(etcd=True), key()
    substitute(monkeypatch, compile, "ETCD", tmp_path / "main.go")
    assert without == key()
    assert len({without, with_it, key(etcd=True), key(cgo=True)}) == 4


@pytest.mark.parametrize(
    ("cadvisor", "cgo"),
    [
        ("// +build cgo,linux\n\n/*\nCopyright\n*/\n", True),
        ("//go:build linux && cgo\n// +build linux,cgo\n", True),
        ("// +build linux\n\n// without cgo\n", False),
        ("", False),
    ],
)
def test_a_kubelet_needs_cgo_where_its_tree_says_so(cadvisor: str, cgo: bool) -> None:
    assert kubelet_wants_cgo(cadvisor) == cgo
