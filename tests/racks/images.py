"""Disks of whole Debian machines, each with one networking tool: made once, and kept as this machine's cache is."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from configs.schema.cluster import LabNetworking
from tasks.docker import apt_sources
from tasks.docker.apt_sources import AptSources
from tasks.exclusive import exclusive
from tasks.paths import cache_dir
from tests.integration.sshd import make_key

PACKAGES = (
    *("ca-certificates", "curl", "dbus", "initramfs-tools", "iproute2", "iptables"),
    *("iputils-ping", "kmod", "less", "linux-image-cloud-amd64", "openssh-server", "procps", "python3", "systemd-sysv"),
    *("conntrack", "containerd", "containernetworking-plugins", "ebtables", "ethtool", "nftables", "socat", "udev"),
)
"""What a machine has whichever tool configures it, with what a node of Kubernetes asks for: no machine of the tests
reaches an archive."""
TOOLS: dict[LabNetworking, str] = {
    "networkd": "systemd-resolved",
    "ifupdown": "ifupdown isc-dhcp-client bridge-utils ifenslave vlan",
    "netplan": "netplan.io",
    "networkmanager": "network-manager",
}
"""The packages of each tool. systemd-networkd comes with systemd, and resolved answers beside it as it mostly does."""
SIZE = "4G"
BASE = """
set -eu
printf 'virtio_blk\\nvirtio_pci\\next4\\n' >>/etc/initramfs-tools/modules
sed -i 's/^MODULES=.*/MODULES=list/; s/^COMPRESS=.*/COMPRESS=lz4/' /etc/initramfs-tools/initramfs.conf
apt-get -qq update
apt-get -qq -o Dpkg::Use-Pty=0 install -y lz4 >/dev/null
update-initramfs -u >/dev/null
echo '/dev/vda / ext4 errors=remount-ro 0 1' >/etc/fstab
systemctl disable -q containerd.service nftables.service
systemctl mask -q apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer e2scrub_all.timer \\
    e2scrub_reap.service fstrim.timer systemd-networkd-wait-online.service getty.target logrotate.timer \\
    systemd-logind.service user@.service systemd-update-utmp.service systemd-update-utmp-runlevel.service
install -d -m 0700 /root/.ssh
: >/etc/machine-id
"""
"""What no package does by itself. Units that a machine of half an hour has no use for would take seconds of it."""
TOOL = """
set -eu
apt-get -qq -o Dpkg::Use-Pty=0 install -y $PACKAGES >/dev/null
case $TOOL in
networkd) systemctl enable -q systemd-networkd.service systemd-resolved.service ;;
netplan) systemctl enable -q systemd-networkd.service ;;
networkmanager) printf '[main]\\nno-auto-default=*\\n' >/etc/NetworkManager/conf.d/10-site.conf
    systemctl mask -q NetworkManager-wait-online.service ;;
esac
apt-get -qq clean
"""
START = """#!/bin/sh
# The first process of the machine: a drive of files is what the site has configured, at the first start alone.
if [ -b /dev/vdb ] && [ ! -e /var/lib/site ]; then
    tar -xf /dev/vdb -C / && : >/var/lib/site
fi
exec /lib/systemd/systemd
"""
IN_A_CHROOT = """
set -eu
mount --make-rprivate /
mount --bind /dev "$1/dev"
mount -t proc proc "$1/proc"
mount -t sysfs sysfs "$1/sys"
mount -t tmpfs tmpfs "$1/run"
printf '#!/bin/sh\\nexit 101\\n' >"$1/usr/sbin/policy-rc.d"
chmod 755 "$1/usr/sbin/policy-rc.d"
chroot "$1" sh -c "$2"
rm "$1/usr/sbin/policy-rc.d"
"""
"""In a mount namespace, with which the mounts go."""


@dataclass(frozen=True, slots=True)
class Image:
    """What a machine starts from.

    Attributes:
        disk: The file system of its root. It is never written: what starts from it has an overlay.
        kernel: Its kernel.
        initrd: What mounts the root.
        key: The private key by which root may log in.
        host_key: The public key of its sshd: type and base64.
    """

    disk: Path
    kernel: Path
    initrd: Path
    key: Path
    host_key: str


def image(tool: LabNetworking) -> Image:
    """The image of a machine with a networking tool; made where it is not there. Needs root.

    Raises:
        KubeV6Error: apt on this machine has no source for Debian.
        CalledProcessError: It could not be made.
    """
    sources = apt_sources.read()
    parts = (sources.digest(), *PACKAGES, BASE, START, TOOL, IN_A_CHROOT, SIZE, TOOLS[tool])
    home = cache_dir() / "racks" / hashlib.sha256("\0".join(parts).encode()).hexdigest()[:16]
    # What all tools have in common is known by what is in common alone.
    common = cache_dir() / "racks" / hashlib.sha256("\0".join(parts[:-1]).encode()).hexdigest()[:16]
    with exclusive(cache_dir() / "racks.lock"):
        if not (common / "root").is_dir():
            _whole(common, lambda place: _base(sources, place))
        if not (home / "disk").is_file():
            _whole(home, lambda place: _with_tool(sources, common, tool, place))
    host_key = " ".join((common / "host.pub").read_text().split()[:2])
    return Image(home / "disk", common / "kernel", common / "initrd", common / "key", host_key)


def _whole(place: Path, make: Callable[[Path], None]) -> None:
    """Make a directory, which is there when all that is in it is."""
    place.parent.mkdir(parents=True, exist_ok=True)
    scratch = Path(tempfile.mkdtemp(prefix="making-", dir=place.parent))
    try:
        make(scratch)
        scratch.rename(place)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _base(sources: AptSources, place: Path) -> None:
    """A Debian with a kernel and sshd."""
    root = place / "root"
    included = ",".join(PACKAGES)
    command: list[str | Path] = [
        "debootstrap",
        "--variant=minbase",
        f"--include={included}",
        sources.codename,
        root,
        sources.main.uri,
    ]
    _run(["unshare", "--mount", *command], sources)  # with which what it mounts goes, also when it is ended
    files = {
        "etc/apt/apt.conf.d/90kubev6": sources.apt_conf(),
        "etc/apt/sources.list": sources.sources_list(),
        "etc/hostname": "machine\n",
        "etc/hosts": "127.0.0.1 localhost\n::1 localhost\n",
    }
    for name, text in files.items():
        (root / name).write_text(text)
    start = root / "usr/local/sbin/site-start"
    start.write_text(START)
    start.chmod(0o755)
    bundle = Path("/etc/ssl/certs/ca-certificates.crt")
    if bundle.exists():
        shutil.copy(bundle, root / "etc/ssl/certs/ca-certificates.crt")
    _in(root, BASE, sources)
    for name in ("key", "host"):
        make_key(place / name)
    shutil.copy(place / "key.pub", root / "root/.ssh/authorized_keys")
    for old in (root / "etc/ssh").glob("ssh_host_*"):
        old.unlink()
    shutil.copy(place / "host", root / "etc/ssh/ssh_host_ed25519_key")
    for name in ("kernel", "initrd"):
        found = {"kernel": "vmlinuz-*", "initrd": "initrd.img-*"}[name]
        shutil.copy(next((root / "boot").glob(found)), place / name)


def _with_tool(sources: AptSources, common: Path, tool: LabNetworking, place: Path) -> None:
    """The disk of a machine with a tool."""
    root = place / "root"
    _run(["cp", "-a", common / "root", root], sources)
    _in(root, f"TOOL={tool} PACKAGES='{TOOLS[tool]}'\n{TOOL}", sources)
    _run(["mke2fs", "-q", "-t", "ext4", "-d", root, place / "disk", SIZE], sources)
    shutil.rmtree(root)


def _in(root: Path, script: str, sources: AptSources) -> None:
    _run(["unshare", "--mount", "sh", "-c", IN_A_CHROOT, "sh", root, script], sources)


def _run(command: Sequence[str | Path], sources: AptSources) -> None:
    proxies = {f"{scheme}_proxy": sources.proxy(scheme) for scheme in ("http", "https")}
    own = {
        **os.environ,
        "DEBIAN_FRONTEND": "noninteractive",
        "LANG": "C.UTF-8",
        **{k: v for k, v in proxies.items() if v},
    }
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, timeout=1800, env=own)
