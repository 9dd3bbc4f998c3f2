"""What kubeadm is told, by its version."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from configs.manifest import Manifest
from configs.schema.loading import load_cluster
from tasks.kubernetes import kubeadm_commands
from tasks.kubernetes.kubeadm_commands import join
from tests.fakes import substitute
from tests.unit.sample import manifest

HOW_TO = "v1.9.0-alpha.0.ipv6.0"


def release(version: str, *, stand_in: bool = False) -> Manifest:
    return manifest(stand_in=stand_in).model_copy(update={"version": version})


CONFIG = "/etc/kubernetes/kubev6-kubeadm.yaml"
LAB = load_cluster("lab")


def init(release: Manifest) -> str:
    return kubeadm_commands.init(LAB, release)


def test_init_leaves_out_its_own_checks_and_the_dns_that_a_stand_in_takes_the_place_of() -> None:
    assert init(release("v1.34.2")) == f"kubeadm init --config {CONFIG} --skip-token-print --skip-phases=preflight"
    assert init(release("v1.34.2", stand_in=True)).endswith("--skip-phases=preflight --skip-phases=addon/coredns")


@pytest.mark.parametrize(
    ("version", "images", "told"),
    [
        ("v1.18.20", "registry", False),
        ("v1.19.0-beta.2", "registry", True),
        ("v1.21.14", "registry", True),
        ("v1.22.0", "registry", False),  # its document says it
        ("v1.20.2", "upstream", False),
    ],
)
def test_init_is_told_of_patches_by_an_option_where_its_document_cannot_say_it(
    version: str, images: str, told: bool
) -> None:
    script = kubeadm_commands.init(LAB.model_copy(update={"images": images}), release(version))
    assert script.endswith(" --experimental-patches /etc/kubernetes/kubev6-patches") is told


PATCHES = " --patches=/etc/kubernetes/kubev6-patches"
LAB_KERNEL = " --ignore-preflight-errors=SystemVerification"
NO_JOB = " --ignore-preflight-errors=CreateJob"


@pytest.mark.parametrize(
    ("stand_in", "images", "lab", "apply", "worker", "patches"),
    [
        (False, "registry", True, f"{LAB_KERNEL},CreateJob", LAB_KERNEL, PATCHES),
        (False, "upstream", False, NO_JOB, "", ""),
        (True, "upstream", False, f"{NO_JOB},CoreDNSUnsupportedPlugins,CoreDNSMigration", "", ""),
    ],
)
def test_an_upgrade_to_the_next_minor_version_takes_the_new_document_and_wants_no_coredns_where_none_is(
    stand_in: bool, images: str, lab: bool, apply: str, worker: str, patches: str
) -> None:
    cluster = LAB.model_copy(update={"images": images} | ({} if lab else {"lab": None}))
    wanted = release("v1.35.0", stand_in=stand_in)
    upload = f"kubeadm init phase upload-config all --config {CONFIG} && "
    told = f"{upload}kubeadm upgrade apply v1.35.0 --yes{apply}{patches}"
    assert kubeadm_commands.upgrade_control_plane(cluster, wanted) == told
    node = f"kubeadm upgrade node{worker}"
    assert kubeadm_commands.upgrade_node(cluster, wanted, control_plane=True) == f"{node}{patches}"
    assert kubeadm_commands.upgrade_node(cluster, wanted, control_plane=False) == node


def test_a_kubeadm_without_phases_is_not_asked_to_leave_one_out() -> None:
    assert "--skip-phases" not in init(release(HOW_TO, stand_in=True))
    assert "--skip-preflight-checks" in init(release(HOW_TO))


@pytest.mark.parametrize("version", ["1.11.0", "1.20.2", "1.34.2"])
def test_join_takes_its_document_with_the_token_from_its_input_and_removes_it(version: str) -> None:
    script = join(release(version))
    take = "trap 'rm -f /run/kubev6-join.yaml' EXIT; (umask 077; cat >/run/kubev6-join.yaml); "
    assert script.startswith(take)
    assert "systemctl" not in script


def test_the_document_with_the_token_is_for_root_alone_and_what_kubeadm_writes_is_not(tmp_path: Path) -> None:
    writes = f"stat -c %a $3 >{tmp_path}/said; echo >{tmp_path}/ca.crt; stat -c %a {tmp_path}/ca.crt >>{tmp_path}/said"
    assert run(tmp_path, join(release("v1.20.2")), writes, "token: secret\n") == (0, "600\n644\n")


def test_what_a_power_cut_has_left_of_kubeadms_files_is_made_anew_and_what_is_whole_stays(tmp_path: Path) -> None:
    pki = tmp_path / "pki" / "etcd"
    pki.mkdir(parents=True)
    for path, content in ((tmp_path / "admin.conf", "a"), (tmp_path / "kubelet.conf", ""), (pki / "ca.crt", "")):
        path.write_text(content)
    (tmp_path / "of-somebody-else").touch()
    subprocess.run(["sh", "-c", kubeadm_commands.EMPTY.replace("/etc/kubernetes", str(tmp_path))], check=True)
    assert {path.name for path in tmp_path.rglob("*") if path.is_file()} == {"admin.conf", "of-somebody-else"}
    nothing = kubeadm_commands.EMPTY.replace("/etc/kubernetes", str(tmp_path / "nothing"))
    assert subprocess.run(["sh", "-c", f"{nothing} echo on"], capture_output=True, text=True).stdout == "on\n"


def test_what_kubeadm_has_written_is_on_the_disk_when_it_has_ended(tmp_path: Path) -> None:
    places = {"/etc/kubernetes": tmp_path / "etc", "/var/lib/kubelet": tmp_path / "lib"}
    (tmp_path / "etc").mkdir()
    (tmp_path / "lib" / "pki").mkdir(parents=True)
    for path in ("etc/admin.conf", "lib/config.yaml", "lib/pki/kubelet.crt", "lib/cpu_manager_state"):
        (tmp_path / path).write_text("a")
    (tmp_path / "sync").write_text('#!/bin/sh\nprintf "%s\\n" "$@"\n')
    (tmp_path / "sync").chmod(0o755)
    script = kubeadm_commands.DURABLE
    for path, place in places.items():
        script = script.replace(path, str(place))
    done = subprocess.run(
        ["sh", "-c", script], env={"PATH": f"{tmp_path}:/usr/bin:/bin"}, capture_output=True, text=True, check=True
    )
    assert {line.rpartition("/")[2] for line in done.stdout.split()} == {
        *("etc", "admin.conf", "config.yaml", "pki", "kubelet.crt")
    }


def test_the_etcd_of_a_control_plane_that_comes_back_is_begun_before_its_api(tmp_path: Path) -> None:
    script = kubeadm_commands.init_etcd(load_cluster("lab"), release("v1.20.2"))
    assert run(tmp_path, script, f"echo $* >>{tmp_path}/ran")[0] == 0
    config = f"--config {tmp_path}/etc/kubernetes/kubev6-kubeadm.yaml"
    ran = [
        line.removeprefix("init phase ").partition(f" {config}")[0]
        for line in (tmp_path / "ran").read_text().splitlines()
    ]
    assert ran == ["certs all", "kubeconfig all", "kubelet-start", "etcd local"]


def test_a_worker_takes_the_authority_of_the_cluster_that_it_joins_and_not_one_that_is_there() -> None:
    assert "rm -f /etc/kubernetes/pki/ca.crt" in join(release("v1.20.2"))
    assert "ca.crt" not in join(release("v1.20.2"), control_plane=True)


def test_a_worker_has_the_directory_that_its_kubelet_looks_for_static_pods_in(tmp_path: Path) -> None:
    assert run(tmp_path, join(release("v1.20.2")), "exit 0")[0] == 0
    assert list((tmp_path / "etc/kubernetes/manifests").iterdir()) == []


def run(tmp_path: Path, script: str, kubeadm: str, document: str = "") -> tuple[int, str]:
    """Run a script with a kubeadm and a systemctl of the test's own, below a directory instead of ``/``."""
    (tmp_path / "bin").mkdir()
    for path in ("etc/kubernetes", "run"):
        (tmp_path / path).mkdir(parents=True)
    for name, text in (("kubeadm", kubeadm), ("systemctl", f'echo "$@" >>{tmp_path}/said')):
        program = tmp_path / "bin" / name
        program.write_text(f"#!/bin/sh\n{text}\n".replace("/etc/", f"{tmp_path}/etc/"))
        program.chmod(0o755)
    here = script.replace("/etc/", f"{tmp_path}/etc/").replace("/run/", f"{tmp_path}/run/")
    done = subprocess.run(
        ["sh", "-c", here],
        input=document.encode(),
        env={"PATH": f"{tmp_path}/bin:/usr/bin:/bin"},
        timeout=30,
        check=False,
    )
    said = tmp_path / "said"
    return done.returncode, said.read_text() if said.exists() else ""


def test_an_old_init_gets_its_kubelet_as_soon_as_there_is_something_to_start_it_with(tmp_path: Path) -> None:
    waits = f"echo >/etc/kubernetes/kubelet.conf; until [ -e {tmp_path}/said ]; do sleep 0.05; done"
    assert run(tmp_path, init(release(HOW_TO)), waits) == (0, "start kubelet\n")


def test_an_old_init_that_fails_is_a_failure(tmp_path: Path) -> None:
    assert run(tmp_path, init(release(HOW_TO)), "exit 3")[0] == 3


def test_an_old_join_ends_when_the_kubelet_has_its_certificate_and_leaves_no_token(tmp_path: Path) -> None:
    copies = f"cp $3 {tmp_path}/seen; echo >/etc/kubernetes/bootstrap-kubelet.conf; echo >/etc/kubernetes/kubelet.conf"
    assert run(tmp_path, join(release(HOW_TO)), copies, "token: secret\n") == (0, "start kubelet\n")
    assert (tmp_path / "seen").read_text() == "token: secret\n"
    assert list((tmp_path / "run").iterdir()) == []


def test_an_old_join_whose_kubelet_gets_no_certificate_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    substitute(monkeypatch, kubeadm_commands, "REGISTER_SECONDS", 1)
    assert run(tmp_path, join(release(HOW_TO)), "echo >/etc/kubernetes/bootstrap-kubelet.conf")[0] == 1
    assert "error: the kubelet has got no certificate within 1 s" in capfd.readouterr().out


def test_an_old_join_that_fails_is_a_failure_at_once(tmp_path: Path) -> None:
    assert run(tmp_path, join(release(HOW_TO)), "exit 4")[0] == 4
