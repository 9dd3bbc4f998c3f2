"""A machine of a lab whose files are on a disk: an ext4 file system that loses what it has not written."""

from __future__ import annotations

from tasks.docker import container_engine
from tasks.lab.machine import container_name
from tests.faults.faults import ON_DISK, is_reached, on
from tests.waiting import eventually

DIRECTORIES = "/etc /usr/bin /var/lib"
"""Whatever kubev6 writes on a machine, but for what is gone at its next start anyway."""
MOUNT = f"""#!/bin/sh
# The disk of a machine, which its first start makes of what is there.
set -eu
for number in $(seq 0 63); do [ -e /dev/loop$number ] || mknod /dev/loop$number b 7 $number; done
[ -e /dev/loop-control ] || mknod /dev/loop-control c 10 237
mkdir -p /disk
if [ ! -e /var/disk ]; then
    truncate -s 8G /var/disk.partial
    mkfs.ext4 -q /var/disk.partial
    mount -o loop /var/disk.partial /disk
    cp -a --parents {DIRECTORIES} /disk
    umount /disk
    mv /var/disk.partial /var/disk
fi
mount -o loop /var/disk /disk
for directory in {DIRECTORIES}; do mount --bind /disk$directory $directory; done
"""
INSTALL = f"""
cat >/usr/local/sbin/mount-disk <<'END'
{MOUNT}END
chmod 755 /usr/local/sbin/mount-disk
sed -i 's|^# Each machine makes its own identity|/usr/local/sbin/mount-disk\\n&|' /usr/local/sbin/lab-start
grep -q ^/usr/local/sbin/mount-disk /usr/local/sbin/lab-start
"""
STARTED = "[ $(systemctl list-jobs --no-legend | wc -l) = 0 ] && ! ip -o addr | grep tentative"
START_SECONDS = 60
"""In which a machine that was started is whole."""


def put_on_disk(lab: str, machine: str) -> None:
    """Let a machine have its files on a disk of its own from its next start on, and start it again.

    Args:
        lab: The name of the lab.
        machine: Its node's name.
    """
    on(lab, machine, INSTALL)
    container_engine.client().containers.get(container_name(lab, machine)).restart()
    on(lab, machine, ON_DISK)
    eventually(lambda: is_reached(lab, machine, STARTED), START_SECONDS)
