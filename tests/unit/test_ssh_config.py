"""From a cluster file and the user's SSH configuration to where a machine is reached, and by which way."""

from __future__ import annotations

import json
import pickle
import pwd
from dataclasses import asdict
from getpass import getuser
from pathlib import Path

import pytest

from configs.errors import ConfigError, KubeV6Error
from configs.schema.cluster import Cluster, Ssh
from configs.schema.loading import load_cluster
from tasks import inventory
from tasks.bounded import formed
from tasks.lab import lab
from tasks.release.fetch import mirror
from tasks.release.series import git_remote, working_tree
from tasks.ssh import resolve, ssh_config
from tasks.ssh.endpoint import ClientSettings, Endpoint
from tasks.ssh.openssh import ssh_command
from tests.fakes import substitute


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home of the test's own, with no SSH configuration in it or in the system."""
    (tmp_path / ".ssh").mkdir()
    monkeypatch.setenv("HOME", str(tmp_path))
    substitute(monkeypatch, ssh_config, "SYSTEM", tmp_path / "etc" / "ssh_config")
    return tmp_path


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)
    path.chmod(0o600)
    return path


def found(home: Path, text: str, host: str, user: str | None = None, port: int | None = None) -> Endpoint:
    write(home / ".ssh" / "config", text)
    return resolve.endpoint(ssh_config.read(), "node-1", host, user=user, port=port)


def way(endpoint: Endpoint) -> list[str]:
    """The machines on the way, the first one first."""
    before = way(endpoint.via) if endpoint.via else []
    return [*before, f"{endpoint.user}@{endpoint.authority}"]


RACK = """
# the rack
Host rack-1 rack-2
    HostName 192.0.2.1
    User = ops
    Port 2222   # behind the switch
    IdentityFile ~/.ssh/rack
    IdentityFile "%d/.ssh/of %r"
    IdentityFile /keys/%u/%p/%n/%x
    IdentitiesOnly yes
    UserKnownHostsFile ~/.ssh/known_rack "/etc/known rack"
    HostKeyAlias rack
    ConnectTimeout 1m30s
Host rack-*
    User nobody
    IdentityFile /keys/all
    StrictHostKeyChecking no
Host !10.9.9.9 10.*
    Port 10022
"""


def test_a_machine_without_a_word_about_it_is_where_its_host_says_as_root(home: Path) -> None:
    assert found(home, RACK, "fd00::10") == Endpoint("node-1", "fd00::10")
    (home / ".ssh" / "config").unlink()
    assert resolve.endpoint(ssh_config.read(), "node-1", "rack-1") == Endpoint("node-1", "rack-1")


def test_what_is_said_of_a_host_is_taken_the_first_of_each(home: Path) -> None:
    assert found(home, RACK, "rack-1") == Endpoint(
        "node-1",
        "192.0.2.1",
        2222,
        "ops",
        settings=ClientSettings(
            identity_files=(f"{home}/.ssh/rack", f"{home}/.ssh/of ops", f"/keys/{ME}/2222/rack-1/%x", "/keys/all"),
            identities_only=True,
            user_known_hosts_files=(f"{home}/.ssh/known_rack", "/etc/known rack"),
            host_key_alias="rack",
            connect_timeout=90,
        ),
    )


@pytest.mark.parametrize(
    ("host", "user", "port", "expected"),
    [
        ("rack-1", None, None, "ops@192.0.2.1:2222"),
        ("rack-1", "root", None, "root@192.0.2.1:2222"),
        ("rack-1", None, 22, "ops@192.0.2.1:22"),
        ("rack-1", "me", 23, "me@192.0.2.1:23"),
        ("rack-3", None, None, "nobody@rack-3:22"),
        ("rack-3", "root", None, "root@rack-3:22"),
        ("10.1.2.3", None, None, "root@10.1.2.3:10022"),
        ("10.9.9.9", None, None, "root@10.9.9.9:22"),
        ("fe80::1%eth0", None, None, "root@[fe80::1%eth0]:22"),
    ],
)
def test_the_cluster_file_comes_first(home: Path, host: str, user: str | None, port: int | None, expected: str) -> None:
    assert way(found(home, RACK, host, user, port)) == [expected]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("HostName %h.example.org", "root@a.example.org:22"),
        ("HostName 100%%.%h", "root@100%.a:22"),
        ("Host b\nUser b\nMatch originalhost a\nUser matched", "matched@a:22"),
        ("Match host a.org\nUser no\nMatch Host a\nHostName a.org\nMatch HOST a.org\nUser yes", "yes@a.org:22"),
        ("Match user root\nPort 23", "root@a:23"),
        ("Match !user root\nPort 23", "root@a:22"),
        ("Match all\nPort 23", "root@a:23"),
        ("Match final\nPort 23", "root@a:23"),
        ("Match canonical\nPort 23", "root@a:22"),
        ("CanonicalizeHostname yes\nPort 23", "root@a:23"),
        ('Host "a"\nPort 23', "root@a:23"),
        ("Unknown thing\nPort 23", "root@a:23"),
    ],
)
def test_blocks_and_tokens(home: Path, text: str, expected: str) -> None:
    assert way(found(home, text, "a")) == [expected]


@pytest.mark.parametrize(
    ("condition", "named"),
    [
        ("exec true", "exec"),
        ("host a exec 'touch {home}/ran'", "exec"),
        ("!exec false", "exec"),
        ("tagged x", "tagged"),
        ("localnetwork 10/8", "localnetwork"),
        ("host", "host"),
    ],
)
def test_a_block_that_cannot_be_judged_does_not_count_and_nothing_is_run(
    home: Path, caplog: pytest.LogCaptureFixture, condition: str, named: str
) -> None:
    text = f"User before\nMatch {condition.format(home=home)}\n  User no\n  Port 23\nHost *\n  ConnectTimeout 7"
    assert found(home, text, "a") == Endpoint("node-1", "a", user="before", settings=ClientSettings(connect_timeout=7))
    said = f"{home}/.ssh/config, line 2: Match {named} is not judged here: what stands under it does not count"
    assert [record.getMessage() for record in caplog.records] == [said]
    found(home, text, "b")
    assert len(caplog.records) == 1, "it is said once"
    assert not (home / "ran").exists()


def test_files_that_are_included_count_where_they_are_included(home: Path) -> None:
    for name, text in {
        "conf.d/1": "Host b\n User b\n Port 1",
        "conf.d/2": "Host a\n Port 2",
        "conf.d/.3": "User hidden",
        "for-a": "Port 7\nHost *.org\n User org",
    }.items():
        write(home / ".ssh" / name, text)
    text = "Include conf.d/* nowhere/*\nUser everybody\nHost a a.org c.org\n Include ~/.ssh/for-a\n ConnectTimeout 9"
    assert way(found(home, text, "a")) == ["everybody@a:2"]
    assert way(found(home, text, "b")) == ["b@b:1"]
    text = text.replace("User everybody\n", "")
    assert way(found(home, text, "a.org")) == ["org@a.org:7"]
    assert way(found(home, text, "d.org")) == ["root@d.org:22"], "the block inside counts for what is included there"
    assert found(home, text, "a.org").settings.connect_timeout == 9


def test_the_systems_file_comes_after_the_users(home: Path) -> None:
    write(home / "etc" / "ssh_config", "Include more\nHost *\n User system")
    write(home / "etc" / "more", "Port 7")
    assert way(found(home, "Host a\n User own", "a")) == ["own@a:7"]
    assert way(found(home, "Host a\n User own", "b")) == ["system@b:7"]


NAMED = """
Host rack-1-*
    User ops
    Port 2222
Host rack-2-*
    HostName %h.example.org
    ProxyCommand reach %h
Host rack-3 !fd00::*
    User no
Host fd00::9
    HostName %h-by-address
Host *
    User everybody
"""


@pytest.mark.parametrize(
    ("node", "host", "expected", "command"),
    [
        ("rack-1-a", "", "ops@[fd00::5]:2222", ""),
        ("rack-1-a", "192.0.2.7", "ops@192.0.2.7:2222", ""),
        ("rack-1-a", "other", "everybody@other:22", ""),
        ("rack-2-a", "", "everybody@rack-2-a.example.org:22", "reach rack-2-a.example.org"),
        ("rack-2-a", "192.0.2.7", "everybody@192.0.2.7:22", "reach 192.0.2.7"),
        ("rack-2-a", "fd00::9", "everybody@[fd00::9-by-address]:22", "reach fd00::9-by-address"),
        ("rack-3", "", "everybody@[fd00::5]:22", ""),
        ("elsewhere", "", "everybody@[fd00::5]:22", ""),
    ],
)
def test_a_machine_without_a_host_of_its_own_is_one_of_its_name_as_who_types_it_would_have_it(
    home: Path, node: str, host: str, expected: str, command: str
) -> None:
    write(home / ".ssh" / "config", NAMED)
    machine = resolve.endpoint(ssh_config.read(), node, host, address="fd00::5")
    assert f"{machine.user}@{machine.authority}" == expected
    assert machine.settings.proxy_command == command


@pytest.mark.parametrize(
    ("pattern", "host", "matches"),
    [
        ("rack-[12]", "rack-1", False),
        ("rack-[12]", "rack-[12]", True),
        ("rack-?", "rack-1", True),
        ("*-1 !rack-*", "rack-1", False),
        ("!other *", "rack-1", True),
        ("*a" * 40, "a" * 60 + "b", False),
    ],
)
def test_a_pattern_is_as_ssh_has_it(home: Path, pattern: str, host: str, matches: bool) -> None:
    write(home / ".ssh" / "config", f"Host {pattern}\n  Port 7")
    assert (resolve.endpoint(ssh_config.read(), "n", host).port == 7) == matches


JUMPS = f"""
Host far
    ProxyJump near,middle
Host near
    HostName 192.0.2.1
    User ops
    IdentityFile /keys/near
    UserKnownHostsFile /known/near
Host middle
    HostName fd00::2
    Port 2222
    ProxyJump nowhere
Host behind
    ProxyJump far
Host written
    ProxyJump ssh://me@[fd00::3]:23
Host straight
    ProxyJump none
Host straight far
    ProxyCommand nc %h %p
Host command
    ProxyCommand ssh -W [%h]:%p %r@%n --zone 100%%
    ProxyJump near
Host jump-by-command
    ProxyJump command
Host two
    ProxyJump straight,command
Host off
    ProxyCommand none
    ProxyJump near
Host %%
    User {getuser()}
"""
ME = getuser()


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("far", ["ops@192.0.2.1:22", f"{ME}@[fd00::2]:2222", "root@far:22"]),
        ("behind", ["ops@192.0.2.1:22", f"{ME}@[fd00::2]:2222", f"{ME}@far:22", "root@behind:22"]),
        ("written", ["me@[fd00::3]:23", "root@written:22"]),
        ("straight", ["root@straight:22"]),
        ("off", ["root@off:22"]),
        ("jump-by-command", [f"{ME}@command:22", "root@jump-by-command:22"]),
        ("two", [f"{ME}@straight:22", f"{ME}@command:22", "root@two:22"]),
    ],
)
def test_the_jump_hosts_on_the_way(home: Path, host: str, expected: list[str]) -> None:
    assert way(found(home, JUMPS, host)) == expected


def test_a_jump_host_has_its_own_settings_and_name(home: Path) -> None:
    far = found(home, JUMPS, "far", user="admin", port=23)
    assert far.via is not None
    assert far.via.via is not None
    assert way(far)[-1] == "admin@far:23"
    assert (far.via.jump, far.via.via.jump, far.jump) == ("middle", "near", "")
    assert far.via.node == far.via.via.node == "node-1"
    assert far.via.via.settings == ClientSettings(
        identity_files=("/keys/near",), user_known_hosts_files=("/known/near",)
    )
    assert far.settings == far.via.settings == ClientSettings()


@pytest.mark.parametrize(
    ("host", "user", "expected"),
    [
        ("straight", None, ""),
        ("command", None, "ssh -W [command]:22 root@command --zone 100%"),
        ("command", "me", "ssh -W [command]:22 me@command --zone 100%"),
        ("off", None, ""),
        ("far", None, ""),
    ],
)
def test_of_jump_hosts_and_a_command_the_first_counts(home: Path, host: str, user: str | None, expected: str) -> None:
    assert found(home, JUMPS, host, user=user).settings.proxy_command == expected


def test_the_way_to_a_jump_host_counts_for_the_first_only(home: Path) -> None:
    first, second = found(home, JUMPS, "jump-by-command").via, found(home, JUMPS, "two").via
    assert first is not None
    assert second is not None
    assert first.settings.proxy_command.startswith("ssh -W ")
    assert second.settings.proxy_command == ""


@pytest.mark.parametrize(
    "text",
    [
        "Host *\n ProxyJump near",
        "Host node\n ProxyJump a\nHost a\n ProxyJump b\nHost b\n ProxyJump a",
        "Host node\n ProxyJump node",
        "Host *\n ProxyJump j-%h",
    ],
)
def test_a_way_that_leads_through_itself_is_refused(home: Path, text: str) -> None:
    with pytest.raises(
        ConfigError, match=r"node-1: by the SSH configuration .* through itself; write `ProxyJump none`"
    ):
        found(home, text, "node")


def test_a_jump_host_that_comes_out_as_none_is_refused(home: Path) -> None:
    with pytest.raises(ConfigError, match=r"node-1: .* leads through 'fd00::1', which is no jump host; .* in brackets"):
        found(home, "ProxyJump %h", "fd00::1")


def test_a_user_without_a_name_is_told(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in ("LOGNAME", "USER", "LNAME", "USERNAME"):
        monkeypatch.delenv(variable, raising=False)
    names: dict[int, str] = {}
    substitute(monkeypatch, pwd, "getpwuid", lambda number: names[number])
    assert found(home, "# nothing\nSendEnv LANG", "a") == Endpoint("node-1", "a")
    with pytest.raises(ConfigError, match=r"^user \d+ has no name, .*; set LOGNAME$"):
        found(home, "Host b\n  User me", "a")


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("Port", r"'Port' is no setting; write a keyword and its value, or remove it"),
        ("Port ssh", r"port is 'ssh'; a port is wanted there"),
        ("Port 65536", r"port is '65536'; a port is wanted"),
        ("Port 22 23", r"port is '22 23'; a port is wanted"),
        ("IdentitiesOnly maybe", r"identitiesonly is 'maybe'; yes or no is wanted"),
        ("ConnectTimeout soon", r"connecttimeout is 'soon'; a time such as 10 or 1m30s is wanted"),
        ("ProxyJump fd00::1", r"proxyjump is 'fd00::1'; none, or hosts such as .*\[fd00::1\]:port, is wanted"),
        ("ProxyJump a,,b", r"proxyjump is 'a,,b'; "),
        ("ProxyJump a:99999", r"proxyjump is 'a:99999'; "),
        ('User ""', r"user is '\"\"'; a login name is wanted"),
        ('Host "a', r"'\"a' has a quote that does not end; end it"),
        ("Include deep", r"files include one another too deep; remove that line"),
    ],
)
def test_a_line_that_cannot_be_right_is_named_with_its_file(home: Path, line: str, says: str) -> None:
    path = write(home / ".ssh" / "deep", f"# first\n\n{line}\n")
    with pytest.raises(ConfigError, match=rf"^{path}, line 3: {says}") as caught:
        found(home, "Include deep", "a")
    assert "\n" not in str(caught.value)


def test_a_file_that_others_may_change_is_refused_as_ssh_does(home: Path) -> None:
    path = write(home / ".ssh" / "config", "User me")
    path.chmod(0o664)
    with pytest.raises(ConfigError, match=rf"^{path}: others may change it, its mode is 0664; chmod go-w {path}$"):
        ssh_config.read()


def cluster_with(ssh: Ssh) -> Cluster:
    cluster = load_cluster("bare-metal")
    nodes = [node.model_copy(update={"ssh": each}) for node, each in zip(cluster.nodes, (ssh, Ssh()), strict=False)]
    return cluster.model_copy(update={"nodes": tuple(nodes), "ssh": Ssh()})


def test_what_the_cluster_file_says_of_keys_and_host_keys_goes_with_it(home: Path) -> None:
    write(home / ".ssh" / "config", RACK)
    cluster = cluster_with(Ssh(host="rack-1", key_file="~/key", known_hosts="~/known"))
    first, second, *_ = inventory.endpoints(cluster).values()
    assert (first.host, first.user, first.port) == ("192.0.2.1", "ops", 2222)
    assert (first.key_file, first.known_hosts) == (f"{home}/key", f"{home}/known")
    assert (second.host, second.user) == (str(cluster.nodes[1].address), "nobody"), (
        "by its name, which begins with rack"
    )


def test_a_labs_machines_are_reached_as_the_lab_says(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(home / ".ssh" / "config", "Host *\n User somebody\n ProxyJump near\nPort wrong")
    known = {node.name: Endpoint(node.name, "172.18.0.9") for node in load_cluster("lab").nodes}
    substitute(monkeypatch, lab, "endpoints", lambda _: known)
    assert inventory.endpoints(load_cluster("lab")) == known


def test_an_endpoint_is_a_value_that_can_be_written_down(home: Path) -> None:
    far = found(home, JUMPS, "far")
    assert formed(json.dumps(asdict(far)).encode(), Endpoint) == pickle.loads(pickle.dumps(far)) == far
    assert hash(far) == hash(found(home, JUMPS, "far"))
    assert formed(b'{"node": "a", "host": "b"}', Endpoint) == Endpoint("a", "b"), "as the version before has written it"


def test_the_systems_ssh_is_given_the_same_way(home: Path) -> None:
    text = (
        'Host a\n ProxyJump near\n IdentityFile "/my keys/100%"\n UserKnownHostsFile /known /more\nHost near\n User ops'
    )
    words = ssh_command(found(home, text, "a"), ["echo", "a b"])
    assert words == [
        *["ssh", "-F", "none", "-p", "22", "-l", "root", "-o", "StrictHostKeyChecking=yes", "-o", "ConnectTimeout=15"],
        *["-o", 'IdentityFile="/my keys/100%%"', "-o", 'UserKnownHostsFile="/known" "/more"', "-o"],
        "ProxyCommand=ssh -F none -p 22 -l ops -o StrictHostKeyChecking=yes -o ConnectTimeout=15 -W a:22 -- near",
        *["--", "a", "echo 'a b'"],
    ]


@pytest.mark.parametrize("host", ["-oProxyCommand=x", "a b", "$(x)", "a;b", "[fd00::1]", ""])
def test_a_host_that_could_be_taken_for_something_else_is_refused(host: str) -> None:
    with pytest.raises(ValueError, match="is no host"):
        Ssh(host=host)


@pytest.mark.parametrize("user", ["-l", "a b", "a;b", "`x`", "", "a\n"])
def test_a_login_that_could_be_taken_for_something_else_is_refused(user: str) -> None:
    with pytest.raises(ValueError, match="is no login name"):
        Ssh(user=user)


def test_a_home_of_nobody_is_a_directory_of_that_name_wherever_a_path_is_named() -> None:
    own = "~nobody-is-called-so/x"
    data = load_cluster("bare-metal").model_dump(mode="json", exclude_none=True)
    cluster = Cluster.model_validate({**data, "ssh": {"key_file": own, "known_hosts": own}})
    for endpoint in inventory.endpoints(cluster).values():
        assert (endpoint.key_file, endpoint.known_hosts) == (own, own)
    for remote in (own, "x" * 5000, "a\0b"):
        with pytest.raises(KubeV6Error, match="remote up: there is no /"):
            git_remote.locate("up", remote, base=Path("/"))
    with pytest.raises(ConfigError, match="no such directory"):
        mirror.chosen(own)
    with pytest.raises(ConfigError, match="is no working tree"):
        working_tree.top(Path(own))
