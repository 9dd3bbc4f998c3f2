"""A virtual machine: real hardware as far as a kernel can see, and a power switch."""

from __future__ import annotations

import io
import os
import subprocess
import tarfile
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from configs.errors import KubeV6Error
from tasks.ssh.connection import Connection, connect
from tasks.ssh.endpoint import Endpoint
from tests.racks.images import Image
from tests.racks.rack import FABRIC, MACS, SITE, UPLINK, ip

ACCELERATION = os.environ.get("KUBEV6_RACKS_ACCELERATION", "tcg,thread=multi")
"""QEMU's ``-accel``; ``kvm`` where this machine has it is twenty times as fast."""
START_SECONDS = 600
"""From the power switch until everything has started, emulated, on a machine that others use too."""
START = "/usr/local/sbin/site-start"
KERNEL = "console=ttyS0 loglevel=3 mitigations=off panic=-1 modprobe.blacklist=kvm,kvm_amd"
SHELL = """[Unit]
Description=A shell of root's on the second serial line, for whoever looks why the machine is not reached
[Service]
ExecStart=/bin/sh -i
StandardInput=tty
StandardOutput=tty
TTYPath=/dev/ttyS1
Restart=always
"""
CARDS = tuple(zip(("tap0", "tap1", "tap2", "tap3"), (SITE, FABRIC, FABRIC, UPLINK), MACS, strict=True))
"""The other end of each card, the switch that is plugged into, and its address."""


class Machine:
    """A machine that is off. Its disk is an overlay of an image's.

    Attributes:
        image: What it was made from.
        console: What it prints.
    """

    def __init__(self, image: Image, directory: Path, files: Mapping[str, tuple[int, str]], memory: int = 1024) -> None:
        """``files`` is what its site has configured: mode and text by path."""
        self.image, self.directory, self.memory = image, directory, memory
        self.console = directory / "console"
        self._process: subprocess.Popen[bytes] | None = None
        with tarfile.open(directory / "site.tar", "w") as archive:
            wanted = tarfile.TarInfo("etc/systemd/system/multi-user.target.wants/shell.service")
            wanted.type, wanted.linkname = tarfile.SYMTYPE, "/etc/systemd/system/shell.service"
            archive.addfile(wanted)
            for path, (mode, text) in {**files, wanted.linkname: (0o644, SHELL)}.items():
                entry = tarfile.TarInfo(path.lstrip("/"))
                entry.mode, entry.size = mode, len(text.encode())
                archive.addfile(entry, io.BytesIO(text.encode()))
        words = ["qemu-img", "create", "-q", "-f", "qcow2", "-F", "raw", "-b", str(image.disk), str(directory / "disk")]
        subprocess.run(words, check=True, timeout=30)

    def start(self) -> None:
        """Press the power switch."""
        for tap, bridge, _ in CARDS:
            if not Path("/sys/class/net", tap).exists():
                ip("tuntap", "add", tap, "mode", "tap")
            ip("link", "set", tap, "master", bridge, "up")
        words = [
            *("setpriv", "--pdeathsig", "KILL", "qemu-system-x86_64", "-nodefaults", "-no-user-config"),
            *("-M", "pc", "-accel", ACCELERATION, "-cpu", "max", "-smp", "2", "-m", str(self.memory)),
            *("-display", "none", "-serial", f"file:{self.console}", "-device", "virtio-rng-pci,addr=10"),
            *("-serial", f"unix:{self.directory}/shell,server=on,wait=off"),
            *("-kernel", str(self.image.kernel), "-initrd", str(self.image.initrd), "-append"),
            f"root=/dev/vda rw {KERNEL} init={START}",
            *("-drive", f"file={self.directory}/disk,if=none,id=disk", "-device", "virtio-blk-pci,drive=disk,addr=8"),
            *("-drive", f"file={self.directory}/site.tar,if=none,id=site,format=raw,readonly=on"),
            *("-device", "virtio-blk-pci,drive=site,addr=9"),
        ]
        for number, (tap, _, mac) in enumerate(CARDS):
            words += ["-netdev", f"tap,id=net{number},ifname={tap},script=no,downscript=no"]
            # The place on the bus is what udev names a card by: ens3 and following.
            words += ["-device", f"virtio-net-pci,netdev=net{number},mac={mac},addr={number + 3}"]
        with (self.directory / "qemu.log").open("ab") as log:
            self._process = subprocess.Popen(words, stdout=log, stderr=log)

    def cut_power(self) -> None:
        """Switch it off at once: what it had not written to its disk is lost."""
        if self._process:
            self._process.kill()
            self._process.wait()
            self._process = None

    def reached(self, endpoint: Endpoint, boots_before: str = "", seconds: float = START_SECONDS) -> Connection:
        """A connection to it when it has started.

        Args:
            endpoint: Where it is reached.
            boots_before: What :func:`boot_of` said before a restart.
            seconds: How long that may take.

        Raises:
            AssertionError: It does not come up in time, or was never switched on.
        """
        until, trouble = time.monotonic() + seconds, ""
        while time.monotonic() < until:
            assert self._process
            assert self._process.poll() is None, (self.directory / "qemu.log").read_text()
            with suppress(KubeV6Error):
                connection = connect(endpoint)
                try:
                    said = connection.run(
                        f"[ $(cat {BOOT}) != '{boots_before}' ] && systemctl is-system-running --wait; cat {BOOT}",
                        step="start",
                        check=False,
                        timeout=START_SECONDS,
                    ).stdout
                    if boots_before not in said.split() or not boots_before:
                        return connection
                except KubeV6Error as error:
                    trouble = str(error)
                connection.close()
            time.sleep(1)
        raise AssertionError(
            f"{endpoint.host} has not started in {seconds} s; {trouble}\n{self.console.read_text()[-3000:]}"
        )

    def restart(self, connection: Connection, endpoint: Endpoint) -> Connection:
        """Start it again by its own hand. The connection is closed; a new one comes back."""
        before = boot_of(connection)
        connection.run("systemd-run -q --on-active=1 systemctl reboot", step="restart")
        connection.close()
        return self.reached(endpoint, before)


BOOT = "/proc/sys/kernel/random/boot_id"


def boot_of(connection: Connection) -> str:
    """Which start of a machine this is."""
    return connection.run(["cat", BOOT], step="start").stdout.strip()
