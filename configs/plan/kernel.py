"""What a machine's kernel decides of what can run there."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Kernel:
    """What a machine's kernel says of itself and of the machine. The default is one that is good for every release.

    Attributes:
        processor: Hardware name, as ``uname -m`` says it.
        memory: Bytes, without what the kernel keeps for itself.
        cgroup: 1 or 2.
        ipv6: Whether it runs with IPv6.
        lacking: Modules that a node of Kubernetes, IPVS or tayga needs and that are neither loaded nor built in nor
            can be loaded.
        swaps: Swap devices in use. In a container these are its host's.
        without_ipv6: Interfaces whose ``disable_ipv6`` is 1, and ``all`` and ``default`` (ip-sysctl).
        ipv6_off: What switches IPv6 off at the next start, or has done so: words of the kernel's command line, and
            lines of modprobe.d(5).
        release: Its version, as ``uname -r`` says it.
    """

    processor: str = "x86_64"
    memory: int = 4 << 30
    cgroup: int = 2
    ipv6: bool = True
    lacking: tuple[str, ...] = ()
    swaps: tuple[str, ...] = ()
    without_ipv6: tuple[str, ...] = ()
    ipv6_off: tuple[str, ...] = ()
    release: str = "6.1"
