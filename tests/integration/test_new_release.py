"""``kubev6 releases new`` on small made-up trees: a directory, a repository with tags, and a web server."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from http.server import HTTPServer
from pathlib import Path

import pytest

from configs.schema.loading import CONFIGS, load_release
from kubev6.cli import main
from tasks.release.series import series_file
from tests.http_server import Answering, serving

VERSION = "1.34.5"
CONSTANTS = """package constants

const (
\t// a comment that names DefaultEtcdVersion = "0.0.0"
\tDefaultEtcdVersion = "3.6.5-0"
\tCoreDNSVersion = "v1.12.1"
\tPauseVersion = "3.10.1"
)
"""
FILES = {
    "cmd/kubeadm/app/constants/constants.go": CONSTANTS,
    "staging/src/k8s.io/component-base/version/base.go": '\tDefaultKubeBinaryVersion = "1.34"\n',
    ".go-version": "1.24.6\n",
}


def make_tree(directory: Path, **changes: str | None) -> Path:
    """A tree; a file that is changed to None is left out."""
    for path, text in {**FILES, **changes}.items():
        if text is not None:
            (directory / path).parent.mkdir(parents=True, exist_ok=True)
            (directory / path).write_text(text)
    return directory


@pytest.fixture(autouse=True)
def places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KUBEV6_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("KUBEV6_CACHE", str(tmp_path / "cache"))
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    return make_tree(tmp_path / "tree")


def refused(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    """The one line that a command is refused by; nothing was written."""
    before = sorted(Path().rglob("*"))
    assert main(["releases", "new", *words]) != 0
    said = capsys.readouterr().err.strip()
    assert sorted(Path().rglob("*")) == before
    assert "Traceback" not in said
    return said


def test_a_directory_gives_a_release_that_can_be_fetched(tree: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["releases", "new", f"v{VERSION}", "--from", str(tree)]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "v1.34.5.yaml: etcd 3.6.5-0, CoreDNS v1.12.1, pause 3.10.1, Go 1.24.6",
        "next: kubev6 fetch v1.34.5.yaml",
    ]
    release = load_release("v1.34.5.yaml")
    assert release.build is None
    assert release.fetch is not None
    shipped = load_release("v1.34.2")
    assert shipped.fetch is not None
    assert release.fetch.images == tuple(each.replace("v1.34.2", "v1.34.5") for each in shipped.fetch.images)
    assert release.cni == shipped.cni
    assert {file.url for file in release.fetch.binaries.values()} == {
        f"https://dl.k8s.io/release/v1.34.5/bin/linux/amd64/{name}" for name in ("kubeadm", "kubectl", "kubelet")
    }


def test_a_repository_is_read_at_the_tag_and_gives_what_it_is_built_from_too(
    tree: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def git(*words: str) -> str:
        settings = ["-c", "user.name=A", "-c", "user.email=a@example.org", "-c", "tag.gpgSign=false"]
        command = ["git", "-C", str(tree), *settings, *words]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()

    git("init", "--quiet")
    git("add", "--all")
    git("commit", "--quiet", "--message", "release")
    git("tag", "--annotate", "--message", "release", "v1.34.5")
    tagged = git("rev-parse", "HEAD")
    make_tree(tree, **{"cmd/kubeadm/app/constants/constants.go": CONSTANTS.replace("3.6.5-0", "3.9.9-0")})
    git("commit", "--quiet", "--all", "--message", "on the way to the next")

    assert main(["releases", "new", VERSION, "--from", str(tree), "--to", "mine"]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == (
        "next: kubev6 fetch mine/v1.34.5.yaml, where its publisher is reachable, or "
        f"kubev6 build mine/v1.34.5.yaml --source upstream={tree.resolve()}"
    )
    release = load_release("mine/v1.34.5.yaml")
    assert release.fetch is not None
    assert "registry.k8s.io/etcd:3.6.5-0" in release.fetch.images
    assert release.build is not None
    series = series_file.load(release.build.series)
    assert isinstance(series, series_file.GitSeries)
    assert (series.base.commit, series.patches) == (tagged, ())
    capsys.readouterr()
    assert main(["series", "apply", "mine/series/v1.34.5.yaml", "--source", f"upstream={tree}", "--json"]) == 0
    picked = json.loads(capsys.readouterr().out)
    assert (picked["base"], picked["commit"], picked["patches"]) == (tagged, tagged, [])


class Upstream(Answering):
    """Answers with the files of a tree below ``/v1.34.5``."""

    def do_GET(self) -> None:
        """Called by http.server."""
        text = FILES.get(self.path.removeprefix("/v1.34.5/"))
        if self.path.startswith("/broken"):
            self.answer(403)
        elif self.path.startswith("/large"):
            self.answer(200, b"x" * (2 << 20))
        elif text is None or not self.path.startswith("/v1.34.5/"):
            self.answer(404)
        else:
            self.answer(200, text.encode())


@pytest.fixture
def upstream() -> Iterator[str]:
    with serving(HTTPServer(("127.0.0.1", 0), Upstream)) as server:
        yield f"http://127.0.0.1:{server.server_port}"


def test_what_is_published_gives_the_same_as_the_tree(
    tree: Path, upstream: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["releases", "new", VERSION, "--from", f"{upstream}/v1.34.5", "--to", "a"]) == 0
    assert main(["releases", "new", VERSION, "--from", str(tree), "--to", "b"]) == 0
    assert Path("a/v1.34.5.yaml").read_text() == Path("b/v1.34.5.yaml").read_text()
    said = refused(capsys, VERSION, "--from", f"{upstream}/v1.34.6", "--to", "c")
    assert f"{upstream}/v1.34.6 is no tree of Kubernetes: there is no {upstream}/v1.34.6/cmd/kubeadm" in said
    said = refused(capsys, VERSION, "--from", f"{upstream}/broken", "--to", "c")
    assert "answered 403 Forbidden" in said
    assert "name a checkout" in said
    assert "has more than 1 MiB" in refused(capsys, VERSION, "--from", f"{upstream}/large", "--to", "c")


def test_an_old_tree_that_says_less_does_too(tmp_path: Path) -> None:
    old = CONSTANTS.replace("3.6.5-0", "3.4.13-0").replace("v1.12.1", "1.7.0").replace("3.10.1", "3.2")
    without = {"staging/src/k8s.io/component-base/version/base.go": None, ".go-version": None}
    tree = make_tree(tmp_path / "old", **without, **{"cmd/kubeadm/app/constants/constants.go": old})
    assert main(["releases", "new", "1.20.2", "--from", str(tree)]) == 0
    release = load_release("v1.20.2.yaml")
    assert release.fetch is not None
    assert release.fetch.images[-3:] == (
        "registry.k8s.io/etcd:3.4.13-0",
        "registry.k8s.io/coredns:1.7.0",
        "registry.k8s.io/pause:3.2",
    )


def test_a_version_newer_than_the_rules_is_written_and_said_to_be(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    newer = {"staging/src/k8s.io/component-base/version/base.go": '\tDefaultKubeBinaryVersion = "1.40"\n'}
    tree = make_tree(tmp_path / "newer", **newer)
    assert main(["releases", "new", "1.40.0", "--from", str(tree)]) == 0
    said = "Kubernetes 1.40.0 is newer than what is known here, and is configured as 1.37 would be"
    assert said in capsys.readouterr().err
    cluster = (CONFIGS / "clusters" / "lab.yaml").read_text().replace("release: debian-1.20", "release: v1.40.0.yaml")
    Path("mine.yaml").write_text(cluster)
    assert main(["render", "mine.yaml", "--node", "kube-worker-1"]) == 0
    assert said in capsys.readouterr().err
    assert main(["render", "lab", "--node", "kube-worker-1"]) == 0
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["1.34"], "'1.34' is no version; such as 1.20.2"),
        (["latest"], "'latest' is no version"),
        (["1.12.10"], "'1.12.10' is before 1.13, the first that such a file can be made for"),
        (["1.34.5+mine"], "'1.34.5+mine' is a build of one's own"),
        ([VERSION, "--from", "nowhere"], "--from nowhere: there is no such directory; name a tree of Kubernetes"),
        ([VERSION, "--from", "ftp://a.example/b"], "--from ftp://a.example/b: is no address of http or https"),
        ([VERSION, "--from", "."], ". is no tree of Kubernetes: there is no ./cmd/kubeadm/app/constants/constants.go"),
        (
            ["1.36.0", "--from", "../tree"],
            "../tree is a tree of Kubernetes 1.34, and 1.36.0 is wanted; check out its tag",
        ),
    ],
)
def test_what_cannot_be_is_refused_by_one_line(
    words: list[str], said: str, tree: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert tree.name == "tree"
    found = refused(capsys, *words)
    assert said in found
    assert len(found.splitlines()) == 1


def test_a_tree_that_does_not_say_something_is_refused_with_what(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for number, (old, told) in enumerate(
        [("PauseVersion", "says no PauseVersion"), ("DefaultEtcdVersion = ", "says no DefaultEtcdVersion")]
    ):
        text = CONSTANTS.replace(f"\t{old}", "\tother")
        tree = make_tree(tmp_path / str(number), **{"cmd/kubeadm/app/constants/constants.go": text})
        assert told in refused(capsys, VERSION, "--from", str(tree))


def test_a_file_that_is_there_stays_as_it_is(tree: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("v1.34.5.yaml").write_text("mine\n")
    said = refused(capsys, VERSION, "--from", str(tree))
    assert "v1.34.5.yaml is there already; remove it first, or write to another place by --to" in said
    assert Path("v1.34.5.yaml").read_text() == "mine\n"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["new"], "releases new wants a version, such as 1.34.5"),
        (["--from", "x"], "--from and --to go with releases new"),
    ],
)
def test_arguments_that_do_not_go_together_are_told(
    words: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        main(["releases", *words])
    assert said in capsys.readouterr().err
