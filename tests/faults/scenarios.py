"""Everything that is made to go wrong, as a table."""

from __future__ import annotations

import os
import random
from dataclasses import dataclass
from typing import Literal

from tests.faults.faults import Altered, Fault, Killed, Paused, Power, Script

SUPPORT, CONTROL_PLANE, WORKER = "kube-support", "kube-control-plane", "kube-worker-1"
SECOND = "kube-worker-2"
RANDOM_SECONDS = 60.0
"""How long after the first survey a kill at random comes at the latest: about when the proof ends."""
RANDOM_KILLS = 3
SEED = int(os.environ.get("KUBEV6_TEST_FAULTS_SEED") or random.randrange(10_000))
"""Decides when what happens at random happens."""

PROOFS, ROUNDS = 50, 3
"""How many of each come in a row."""
PROOFS_IN_A_ROW, DEPLOYS_IN_A_ROW = f"{PROOFS} proofs in a row", f"{ROUNDS} resets and deploys in a row"

Before = Literal["nothing", "cluster", "worker", "support", "empty registry", "machines", "two workers"]
Command = Literal["deploy", "reset"]


@dataclass(frozen=True, slots=True)
class Moment:
    """When: an event of the run, and some seconds after it.

    Attributes:
        title: Of which step, such as ``network``.
        subject: On what, such as a node's name; empty for whichever is the first.
        event: ``started`` or ``ended``.
        seconds: How long after that.
    """

    title: str
    subject: str = ""
    event: Literal["started", "ended"] = "started"
    seconds: float = 0.0

    def is_it(self, told: dict[str, object]) -> bool:
        """Whether this is the event, as ``--log-json`` tells it."""
        return (
            told.get("event") == self.event
            and told.get("title") == self.title
            and self.subject in ("", told.get("subject"))
        )


@dataclass(frozen=True, slots=True)
class Scenario:
    """One thing that goes wrong.

    Attributes:
        name: A sentence without its full stop, for the table of results.
        fault: What goes wrong.
        at: When; None for before the run begins.
        before: What the run finds: the cluster in order (``cluster``), one with its worker or its support node
            reset, the latter also without what its registry had (``empty registry``), machines that are all reset
            (``machines``), no machine at all (``nothing``), or one worker more than the cluster file names
            (``two workers``).
        command: What is run.
        fails: Whether the run that meets it has to fail. One that is killed says nothing.
        says: What the line about it has to say: of each, one of the words between bars.
        shows: What is shown of it meanwhile.
        lasts: Whether it is still so when the run has come through, for the next one to see to.
        quick: Whether ``make test`` has it too.
    """

    name: str
    fault: Fault
    at: Moment | None
    before: Before = "cluster"
    command: Command = "deploy"
    fails: bool = True
    says: tuple[str, ...] = ()
    shows: str = ""
    lasts: bool = False
    quick: bool = False


def killed(what: str, title: str, subject: str = "", before: Before = "worker", *, quick: bool = False) -> Scenario:
    """A deploy that is killed when a step begins."""
    return Scenario(f"deploy killed: {what}", Killed(), Moment(title, subject), before, quick=quick)


KILLS = (
    killed("a machine is made", "machine", WORKER, "nothing"),
    killed("all machines' network", "network", "", "machines", quick=True),
    killed("survey", "survey", WORKER),
    killed("compare", "compare", WORKER),
    killed("network of a worker", "network", WORKER),
    killed("runtime", "runtime", WORKER),
    killed("Kubernetes' files", "kubernetes", WORKER),
    killed("kubeadm join", "kubeadm join", WORKER),
    killed("network of the support node", "network", SUPPORT, "support"),
    killed("DNS64, NAT64 and registry", "support", SUPPORT, "support"),
    killed("push", "push", "registry", "empty registry"),
    killed("kubeadm init", "kubeadm init", CONTROL_PLANE, "machines"),
    killed("cluster DNS", "cluster DNS", "", "machines"),
    killed("proof", "proof", "", "cluster"),
    *(
        Scenario(f"reset killed: {name}", Killed(), Moment("reset", name), command="reset")
        for name in (WORKER, CONTROL_PLANE, SUPPORT)
    ),
    Scenario(
        "reset killed: in the middle of the control plane",
        Killed(),
        Moment("reset", CONTROL_PLANE, seconds=1.0),
        command="reset",
    ),
    killed("removal of a worker, when it is drained", "drain", SECOND, "two workers"),
    killed("removal of a worker, when its machine is reset", "reset", SECOND, "two workers"),
)

LOCKED_APT = """
mkdir -p /var/fault/package/DEBIAN; cd /var/fault
for file in $(dpkg -L socat); do if [ ! -d $file ] && [ -e $file ]; then cp --parents -d $file package; fi; done
dpkg-query -s socat | sed '/^Status:/d' >package/DEBIAN/control
dpkg-deb -b package socat.deb >/dev/null
{ cat package/DEBIAN/control
  echo Filename: ./socat.deb; echo Size: $(stat -c %s socat.deb)
  echo SHA256: $(sha256sum socat.deb | cut -d ' ' -f 1); } >Packages
echo deb [trusted=yes] file:/var/fault ./ >/etc/apt/sources.list.d/fault.list
mv /etc/apt/sources.list /var/fault
apt-get -q update >/dev/null
dpkg --purge --force-depends socat >/dev/null 2>&1
nohup python3 -c 'import fcntl, time
locks = [open("/var/lib/" + name, "w") for name in ("dpkg/lock-frontend", "dpkg/lock", "apt/lists/lock")]
[fcntl.lockf(lock, fcntl.LOCK_EX) for lock in locks]
time.sleep(25)' >/dev/null 2>&1 &
"""
"""A package that nodes need is in an archive of the machine's own, and not installed; somebody else is at work."""
IN_ITS_PLACE = """
cp $(command -v {program}) /usr/local/lib/{program}
printf '#!/bin/sh\\n{script}\\n' >/usr/local/lib/fault; chmod 755 /usr/local/lib/fault
mount --bind /usr/local/lib/fault $(readlink -f $(command -v {program}))
"""
"""A program of a machine does something else; what it was is in ``/usr/local/lib``."""


def in_place_of(program: str, script: str) -> Script:
    """A program of the worker that does something else for a while."""
    back = f"umount $(readlink -f $(command -v {program})); rm /usr/local/lib/fault /usr/local/lib/{program}"
    return Script(WORKER, IN_ITS_PLACE.format(program=program, script=script), back)


MACHINES = (
    Scenario(
        "worker switched off while its network is made",
        Power(WORKER, "kill"),
        Moment("network", WORKER),
        "worker",
        says=(WORKER,),
    ),
    Scenario(
        "worker restarts while Kubernetes' files are written",
        Power(WORKER, "restart"),
        Moment("kubernetes", WORKER),
        "worker",
        fails=False,
    ),
    Scenario(
        "worker has no space for its record",
        Script(
            WORKER,
            "mkdir -p /var/lib/kubev6; mount -t tmpfs -o size=4k full /var/lib/kubev6; echo 1 >/var/lib/kubev6/full",
            "umount /var/lib/kubev6",
        ),
        None,
        "worker",
        says=(WORKER, "space"),
    ),
    Scenario(
        "worker has a read-only /etc/systemd/network",
        Script(
            WORKER,
            "mount --bind /etc/systemd/network /etc/systemd/network; mount -o remount,ro,bind /etc/systemd/network",
            "umount /etc/systemd/network",
        ),
        None,
        "worker",
        says=(WORKER, "[Rr]ead-only"),
    ),
    Scenario(
        "sshd takes one session of a connection (MaxSessions 1)",
        Script(
            WORKER,
            "echo MaxSessions 1 >/etc/ssh/sshd_config.d/fault.conf; systemctl reload ssh",
            "rm /etc/ssh/sshd_config.d/fault.conf; systemctl reload ssh",
        ),
        None,
        "worker",
        fails=False,
    ),
    Scenario(
        "sshd takes one connection at a time before it is logged in (MaxStartups 1)",
        Script(
            WORKER,
            "echo MaxStartups 1 >/etc/ssh/sshd_config.d/fault.conf; systemctl reload ssh",
            "rm /etc/ssh/sshd_config.d/fault.conf; systemctl reload ssh",
        ),
        None,
        "worker",
        fails=False,
    ),
    Scenario(
        "worker paused for 20 s while its files are compared",
        Paused(WORKER, 20),
        Moment("compare", WORKER),
        "worker",
        fails=False,
    ),
    Scenario(
        "another package manager is at work on a worker for 25 s",
        Script(
            WORKER,
            LOCKED_APT,
            "mv /var/fault/sources.list /etc/apt; rm -r /var/fault /etc/apt/sources.list.d/fault.list",
        ),
        None,
        "worker",
        fails=False,
        shows="waiting for another package manager: .*lock",
    ),
    Scenario(
        "worker's clock is a day behind, by what it tells",
        in_place_of("date", "exec /usr/local/lib/date -d -25hours +%%s"),
        None,
        says=(WORKER, "its clock is 1 day, (0:59:5|1:00:0). behind", "timedatectl"),
    ),
    Scenario(
        "systemctl hangs on a worker",
        in_place_of("systemctl", "exec sleep 1000"),
        None,
        says=(WORKER, "systemctl", "30 s"),
    ),
    Scenario(
        "worker's kubelet.conf is lost",
        Script(WORKER, "rm /etc/kubernetes/kubelet.conf; systemctl restart kubelet"),
        None,
        fails=False,
    ),
)

SERVICES = (
    Scenario(
        "DNS64 stops before the proof",
        Script(SUPPORT, "systemctl stop named"),
        Moment("proof"),
        "cluster",
        says=("NAT64 name", "NAT64 fetch|DNS"),
    ),
    Scenario(
        "NAT64 stops before the proof",
        Script(SUPPORT, "systemctl stop kubev6-nat64"),
        Moment("proof"),
        "cluster",
        says=("NAT64 fetch",),
    ),
    Scenario(
        "registry stops when the release is pushed",
        Script(SUPPORT, "systemctl stop docker-registry kubev6-registry-writer"),
        Moment("push"),
        "empty registry",
        says=("registry",),
    ),
    Scenario(
        "registry restarts when the release is pushed",
        Script(SUPPORT, "systemctl restart docker-registry kubev6-registry-writer"),
        Moment("push"),
        "empty registry",
        fails=False,
    ),
    Scenario(
        "registry is stopped before a worker joins",
        Script(SUPPORT, "systemctl stop docker-registry"),
        Moment("kubeadm join", WORKER),
        "worker",
        fails=False,
        lasts=True,
    ),
    Scenario(
        "DNS64 and NAT64 restart during the proof",
        Script(SUPPORT, "systemctl restart named kubev6-nat64"),
        Moment("proof"),
        fails=False,
    ),
    Scenario(
        "support node is slow: it sends 40 Mbit/s and loses every 50th packet",
        Script(
            SUPPORT,
            "tc qdisc add dev eth1 root tbf rate 40mbit burst 64k latency 400ms;"
            " ip6tables -I INPUT -i eth1 -m statistic --mode random --probability 0.02 -j DROP",
            "tc qdisc del dev eth1 root;"
            " ip6tables -D INPUT -i eth1 -m statistic --mode random --probability 0.02 -j DROP",
        ),
        None,
        "worker",
        fails=False,
    ),
)

NETWORKS = (
    Scenario(
        "every 20th packet to a worker on the fabric is lost",
        Script(
            WORKER,
            "ip6tables -I INPUT -i eth1 -m statistic --mode random --probability 0.05 -j DROP",
            "ip6tables -D INPUT -i eth1 -m statistic --mode random --probability 0.05 -j DROP",
        ),
        Moment("compare", WORKER),
        "worker",
        fails=False,
    ),
    Scenario(
        "every 20th packet to a worker on the network of SSH is lost",
        Script(
            WORKER,
            "iptables -I INPUT -i eth0 -m statistic --mode random --probability 0.05 -j DROP",
            "iptables -D INPUT -i eth0 -m statistic --mode random --probability 0.05 -j DROP",
        ),
        Moment("compare", WORKER),
        "worker",
        fails=False,
    ),
    Scenario(
        "the network of SSH carries 2 Mbit/s from a worker",
        Script(
            WORKER,
            "tc qdisc add dev eth0 root tbf rate 2mbit burst 32k latency 400ms",
            "tc qdisc del dev eth0 root",
        ),
        None,
        "worker",
        fails=False,
    ),
)

BYTES = (
    Scenario(
        "worker's kubelet is cut off in the middle",
        Script(WORKER, "systemctl stop kubelet; truncate -s 1000000 $(readlink -f /usr/bin/kubelet)"),
        None,
        fails=False,
        quick=True,
    ),
    Scenario(
        "of a worker, kubelet is altered in one byte, and kubeadm is for another processor",
        Script(
            WORKER,
            "systemctl stop kubelet; "
            + "; ".join(
                f"printf '{content}' | dd of=$(readlink -f /usr/bin/{name}) bs=1 seek={at} conv=notrunc status=none"
                for name, at, content in (("kubelet", 1_000_000, "\\377"), ("kubeadm", 18, "\\267\\0"))
            ),
        ),
        None,
        fails=False,
    ),
    Scenario(
        "in the store, kubelet is altered in one byte",
        Altered("kubelet", 1_000_000, b"\xff"),
        None,
        says=("damaged in the store", "kubelet", "fetched|built"),
    ),
    Scenario(
        "in the store, kubeadm is for another processor",
        Altered("kubeadm", 18, b"\xb7\0"),
        None,
        says=("damaged in the store", "kubeadm", "fetched|built"),
    ),
    Scenario(
        "the biggest blob of the registry is cut off, and the next is altered",
        Script(
            SUPPORT,
            "set -- $(find /var/lib/docker-registry -name data -printf '%s %p\\n' | sort -rn | head -n 2 |"
            " cut -d ' ' -f 2); truncate -s 1000 $1;"
            " printf '\\377' | dd of=$2 bs=1 seek=5000 conv=notrunc status=none",
        ),
        None,
        "support",
        fails=False,
    ),
)


def randomly_killed(seed: int) -> tuple[Scenario, ...]:
    """Deploys onto reset machines that are killed at some time or other.

    Args:
        seed: Decides when.
    """
    chosen = random.Random(seed)
    return tuple(
        Scenario(
            f"deploy killed at random ({number} of {RANDOM_KILLS})",
            Killed(),
            Moment("survey", seconds=chosen.uniform(0, RANDOM_SECONDS)),
            "machines",
        )
        for number in range(1, RANDOM_KILLS + 1)
    )


def every(seed: int) -> tuple[Scenario, ...]:
    """The table.

    Args:
        seed: Decides when what happens at random happens.
    """
    return (*KILLS, *MACHINES, *SERVICES, *NETWORKS, *BYTES, *randomly_killed(seed))


def names(seed: int) -> tuple[str, ...]:
    """What the page about faults has a line for, in its order: the table, and what is done many times in a row."""
    return (*(each.name for each in every(seed)), PROOFS_IN_A_ROW, DEPLOYS_IN_A_ROW)
