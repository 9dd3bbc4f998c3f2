"""What was there before us comes back, to the byte, whatever came between a run that died and the next one."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tasks.node_agent import lock, record
from tasks.node_agent.apply_changes import apply, make, note
from tasks.node_agent.files import partial_path
from tasks.node_agent.protocol import Failed, Json
from tasks.node_agent.record import Record, read_record
from tasks.node_agent.resources import certificate, ipv4_name, selinux, service, swap, sysctl
from tasks.node_agent.resources.kinds import KINDS
from tasks.node_agent.undo import remove_partials, undo_all
from tests.fakes import substitute


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    substitute(monkeypatch, record, "HOME", str(tmp_path / "home"))
    for name in ("chown", "fchown"):  # for whoever runs this
        substitute(monkeypatch, os, name, lambda *_: None)
    return tmp_path / "home"


@pytest.fixture
def site(tmp_path: Path) -> Path:
    return tmp_path / "site.conf"


def write(path: Path, content: str = "ours\n", *, block: bool = False) -> Json:
    resource = {"path": str(path), "content": content, "mode": 0o644, "block": block}
    return {"kind": "file", "subject": str(path), "action": "create", "resource": resource}


def deploy(*changes: Json) -> None:
    make(list(changes), read_record("network"), lambda _: None)


def die_before(*changes: Json) -> None:
    """A run that is killed when it has written down what there is, and before it makes the first change."""
    note(list(changes), read_record("network"))


def reset(*kinds: str) -> list[str]:
    node, done = read_record("reset"), list[str]()
    undo_all([KINDS[kind] for kind in kinds or ("file",)], node, lambda step: done.extend(step()))
    return done


@pytest.mark.parametrize("before", ["", "monday's\n"])
@pytest.mark.parametrize("deployed", [False, True])
def test_what_somebody_wrote_after_a_run_that_died_is_the_original(site: Path, before: str, deployed: bool) -> None:
    if before:
        site.write_text(before)
    die_before(write(site))
    site.write_text("tuesday's\n")
    if deployed:
        deploy(write(site))
        assert site.read_text() == "ours\n"
    reset()
    assert site.read_text() == "tuesday's\n"


def test_a_copy_that_no_note_refers_to_is_made_again(site: Path) -> None:
    site.write_text("monday's\n")
    with pytest.raises(FileExistsError):
        deploy(write(Path("/dev/null/nowhere")), write(site))
    site.write_text("tuesday's\n")
    deploy(write(site))
    reset()
    assert site.read_text() == "tuesday's\n"


def test_ours_is_never_taken_for_theirs(site: Path) -> None:
    """Neither what a run wrote that died right after, nor what a later release replaces."""
    die_before(write(site))
    site.write_text("ours\n")
    deploy(write(site, "ours, newer\n"))
    reset()
    assert not site.exists()


def test_the_first_original_comes_back_when_somebody_has_changed_ours(site: Path) -> None:
    site.write_text("original\n")
    deploy(write(site))
    site.write_text("edited\n")
    deploy(write(site))
    reset()
    assert site.read_text() == "original\n"


def test_what_took_the_place_of_ours_where_nothing_was_is_kept(site: Path) -> None:
    deploy(write(site))
    site.write_text("a package's\n")
    deploy(write(site))
    reset()
    assert site.read_text() == "a package's\n"


def test_files_that_are_noted_as_versions_before_this_one_did_are_undone(site: Path) -> None:
    site.write_text("original\n")
    record.back_up(str(site))
    node = read_record("network")
    node.stage["files"] = {str(site): {"before": "backup", "block": False}}
    node.save()
    site.write_text("ours, of then\n")
    deploy(write(site))
    reset()
    assert site.read_text() == "original\n"


BYTES = [
    b"127.0.0.1 localhost\n192.0.2.7 printer node  # B\xfcro\n",
    b"192.0.2.7 node printer # no newline at the end",
    b"192.0.2.7 node",
    b"127.0.0.1 localhost\r\n192.0.2.7 node\r\n# a page\x0c, \xc2\x85 and \xe2\x80\xa8\n\n\n",
    b"",
]


@pytest.mark.parametrize("before", BYTES)
@pytest.mark.parametrize("with_name", [False, True])
def test_every_byte_of_hosts_comes_back(
    site: Path, monkeypatch: pytest.MonkeyPatch, before: bytes, with_name: bool
) -> None:
    substitute(monkeypatch, ipv4_name, "HOSTS", str(site))
    site.write_bytes(before)
    site.chmod(0o640)
    name = {"kind": "ipv4-name", "subject": "node", "action": "off", "resource": None}
    deploy(*[name] * (with_name and b" node" in before), write(site, "fd00::1 node\n", block=True))
    deployed = site.read_bytes()
    assert deployed.endswith(b"# BEGIN kubev6\nfd00::1 node\n# END kubev6\n")
    assert all(word in deployed for word in before.split())
    reset("ipv4-name", "file")
    assert site.read_bytes() == before
    assert site.stat().st_mode & 0o777 == 0o640


@pytest.mark.parametrize(
    "before",
    [b"/dev/sda2 none swap sw 0 0 # B\xfcro\r\n/dev/sda1 / ext4 defaults 0 1", b"/dev/sda2 none swap sw 0 0"],
)
def test_every_byte_of_fstab_comes_back(site: Path, monkeypatch: pytest.MonkeyPatch, before: bytes) -> None:
    substitute(monkeypatch, swap, "FSTAB", str(site))
    substitute(monkeypatch, swap, "swap_devices", list)
    site.write_bytes(before)
    site.chmod(0o600)
    deploy({"kind": "swap", "subject": "/dev/sda2", "action": "off", "resource": None})
    assert swap.fstab_swaps(site.read_bytes().decode("latin-1")) == []
    reset("swap")
    assert (site.read_bytes(), site.stat().st_mode & 0o777) == (before, 0o600)


@pytest.mark.parametrize(
    "before", [b"# B\xfcro\r\nSELINUX=enforcing\r\nSELINUXTYPE=targeted", b"SELINUX=enforcing  \n"]
)
def test_every_byte_of_selinuxs_configuration_comes_back(
    site: Path, monkeypatch: pytest.MonkeyPatch, before: bytes
) -> None:
    substitute(monkeypatch, selinux, "CONFIG", str(site))
    site.write_bytes(before)
    deploy({"kind": "selinux", "subject": "selinux", "action": "set", "resource": None})
    assert site.read_bytes() == before.replace(b"enforcing", b"permissive")
    reset("selinux")
    assert site.read_bytes() == before


def test_what_others_put_into_a_shared_directory_goes_and_what_was_there_stays(tmp_path: Path) -> None:
    there, made = tmp_path / "there", tmp_path / "new" / "bin"
    there.mkdir()
    (there / "theirs").write_text("theirs\n")
    for directory in (there, made):
        deploy({"kind": "directory", "subject": str(directory), "action": "share", "resource": None})
    (there / "theirs").write_text("changed\n")
    (there / "10-cni.conflist").write_text("{}\n")
    (made / "link").symlink_to(there)
    (made / "data" / "more").mkdir(parents=True)
    done = reset("directory", "file")
    assert done[:2] == [f"data, link of {made} removed", f"10-cni.conflist of {there} removed"]
    assert [each.name for each in there.iterdir()] == ["theirs"]
    assert not (tmp_path / "new").exists()
    assert reset("directory", "file") == []


@pytest.fixture
def units(monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, str]]:
    """State of units, as a systemd would have it."""
    there = {"named.service": "inactive"}

    def run(words: list[str], **_: object) -> str:
        if words[1] in ("restart", "stop"):
            there[words[-1]] = "active" if words[1] == "restart" else "inactive"
        return ""

    substitute(monkeypatch, service, "run", run)
    substitute(monkeypatch, service, "reset_failed", lambda _: None)
    substitute(monkeypatch, service, "triggers", lambda _: {})
    substitute(monkeypatch, service, "enabled_with", lambda _: {})
    substitute(monkeypatch, service, "state_of", lambda units: {name: {"active": there[name]} for name in units})
    return there  # type: ignore[return-value]


START = {"kind": "service", "subject": "named.service", "action": "start", "resource": None}
INSTALL = {"kind": "package", "subject": "bind9", "action": "install", "resource": None}
FAILS = {"kind": "sysctl", "subject": "no.such", "action": "set", "resource": {"value": "1"}}


def test_a_service_that_came_with_our_package_is_not_the_machines_own(
    units: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def install(_: list[Json], __: Record) -> None:
        units["named.service"] = "active"

    substitute(monkeypatch, KINDS["package"], "make_all", install)
    with pytest.raises(Failed):
        deploy(INSTALL, FAILS, START)
    deploy(START)
    assert reset("service") == ["service named.service stopped"]
    assert units["named.service"] == "inactive"


@pytest.mark.parametrize("how", [die_before, deploy])
def test_a_service_that_somebody_started_after_a_run_that_did_not_come_to_it_runs_on(
    units: dict[str, str], how: Callable[..., None]
) -> None:
    if how is deploy:
        with pytest.raises(Failed):
            deploy(FAILS, START)
    else:
        die_before(FAILS, START)
    units["named.service"] = "active"
    assert reset("service") == []
    deploy(START)
    assert reset("service") == []
    assert units["named.service"] == "active"


def test_a_setting_that_somebody_changed_after_a_run_that_died_is_what_comes_back(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    there = {"net.a": "monday's"}
    substitute(monkeypatch, sysctl, "sysctl_value", there.get)
    substitute(monkeypatch, sysctl, "write_sysctl", there.__setitem__)
    change = {"kind": "sysctl", "subject": "net.a", "action": "set", "resource": {"value": "ours"}}
    die_before(change)
    there["net.a"] = "tuesday's"
    deploy(change)
    assert there["net.a"] == "ours"
    reset("sysctl")
    assert there["net.a"] == "tuesday's"


@pytest.mark.parametrize("by", ["run", "reset"])
def test_what_a_killed_run_left_unfinished_goes_with_the_next_run_and_the_reset(site: Path, by: str) -> None:
    tool = site.with_name("tool")
    fetch = {"kind": "binary", "subject": str(tool), "action": "fetch", "resource": {"sha256": "0" * 64}}
    pem = site.with_name("registry.pem")
    die_before(write(site), fetch, {"kind": "certificate", "subject": str(pem), "action": "make", "resource": {}})
    for path in (site, tool, pem):
        Path(partial_path(str(path))).write_text("half")
    if by == "run":
        deploy(write(site.with_name("another")))
    else:
        remove_partials(read_record("reset"))
    assert not list(site.parent.glob(".kubev6-*"))


def test_a_key_is_made_where_a_reset_finds_what_a_killed_run_has_left(
    site: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[Path] = []

    def run(words: list[str], timeout: int = 60, todo: str = "", given: str = "") -> str:  # noqa: ARG001 - as the real one
        for option in ("-keyout", "-out"):
            seen.append(Path(words[words.index(option) + 1]))
            seen[-1].write_text(option)
        assert seen[0].parent.stat().st_mode & 0o777 == 0o700
        return ""

    substitute(monkeypatch, certificate, "run", run)
    substitute(monkeypatch, certificate, "user_of", lambda unit: None)  # noqa: ARG005 - as the real one
    wanted = {"path": str(site), "name": "sup", "address": "fd00::64", "days": 1, "unit": "registry.service"}
    (home / "certificate.partial").mkdir(parents=True)  # of one that was killed
    certificate.Certificates().make({"subject": str(site), "resource": wanted}, read_record("support"))
    assert {path.parent.parent for path in seen} == {home}
    assert site.read_text() == "-keyout-out"
    assert not seen[0].parent.exists()


def test_a_file_that_may_not_be_changed_is_named_with_what_to_do_and_stays(
    site: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Such as a resolv.conf that somebody has made immutable (chattr(1)), which rename(2) does not replace."""
    site.write_text("original\n")
    replace = os.replace

    def refused(src: str, dst: str) -> None:
        if dst == str(site):
            raise PermissionError(errno.EPERM, os.strerror(errno.EPERM), src, None, dst)
        replace(src, dst)

    substitute(monkeypatch, os, "replace", refused)
    substitute(monkeypatch, lock, "HOME", str(home))
    failed = apply("network", [write(site)])
    assert failed["seen"] == f"{site}: Operation not permitted"
    assert "`chattr -i`" in failed["todo"]
    assert site.read_text() == "original\n"
    assert not list(site.parent.glob(".kubev6-*"))


def test_the_copy_is_durable_before_the_record_and_the_record_before_the_change(
    site: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By fsync(2) of each file before it gets its name, and of the directory after."""
    site.write_text("original\n")
    happened: list[str] = []
    sync, replace, rename = os.fsync, os.replace, os.rename

    def synced(fd: int) -> None:
        happened.append("sync " + str(Path(f"/proc/self/fd/{fd}").readlink()))
        sync(fd)

    def moved(how: Callable[[str, str], None]) -> Callable[[str, str], None]:
        def move(src: str, dst: str) -> None:
            happened.append("name " + dst)
            how(src, dst)

        return move

    substitute(monkeypatch, os, "fsync", synced)
    substitute(monkeypatch, os, "replace", moved(replace))
    substitute(monkeypatch, os, "rename", moved(rename))
    deploy(write(site))
    copy = Path(f"{home}/backup{site}")
    partial = partial_path(str(site))
    in_order = [
        f"sync {copy}.partial",
        f"name {copy}",
        f"sync {copy.parent}",
        f"sync {home}/.kubev6-record.json.partial",
        f"name {home}/record.json",
        f"sync {home}",
        f"sync {partial}",
        f"name {site}",
        f"sync {site.parent}",
    ]
    places = [happened.index(each) for each in in_order[:3]]
    places += [happened.index(each, places[-1]) for each in in_order[3:]]
    assert places == sorted(places)
    for made in (home, home / "backup"):  # a new directory's own name
        assert happened.index(f"sync {made.parent}") < places[0]
