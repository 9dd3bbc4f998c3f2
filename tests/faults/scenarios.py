"""Everything that is made to go wrong, as a table."""

from __future__ import annotations

import os
import random

from tests.faults.faults import (
    AgentKilled,
    Altered,
    Killed,
    KilledUnconfirmed,
    KilledWithAgents,
    Paused,
    Power,
    PowerCut,
    Script,
)
from tests.faults.scenario import CONTROL_PLANE, SECOND, SUPPORT, WORKER, Before, Build, Command, Moment, Scenario

RANDOM_SECONDS = 60.0
"""How long after the first survey a kill at random comes at the latest: about when the proof ends."""
RANDOM_KILLS = 3
SEED = int(os.environ.get("KUBEV6_TEST_FAULTS_SEED") or random.randrange(10_000))
"""Decides when what happens at random happens."""

PROOFS, ROUNDS = 50, 3
"""How many of each come in a row."""
PROOFS_IN_A_ROW, DEPLOYS_IN_A_ROW = f"{PROOFS} proofs in a row", f"{ROUNDS} resets and deploys in a row"
TWO_LABS = "two labs deployed, proved and reset side by side"
WHOLE_STATE = "what is left of machines by a reset after the first of these"
CUTS, CUT_SECONDS = 3, 15.0
"""How many power cuts come at random, and within how many seconds of the beginning of a worker's first change: about
when it has joined."""
WHOLE_STATE_AFTER_CUTS = "what is left of a worker by a reset after these"


def killed(what: str, title: str, subject: str = "", before: Before = "worker") -> Scenario:
    """A deploy that is killed when a step begins."""
    return Scenario(f"deploy killed: {what}", Killed(), Moment(title, subject), before)


KILLS = (
    Scenario(
        "deploy killed together with what it runs on all machines: runtime",
        KilledWithAgents(),
        Moment("runtime", WORKER),
        "machines",
    ),
    killed("a machine is made", "machine", WORKER, "nothing"),
    killed("all machines' network", "network", "", "machines"),
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
        says=(f"{WORKER}: /usr/bin/kubelet was changed by somebody, or damaged",),
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
        says=tuple(f"{WORKER}: /usr/bin/{name} was changed by somebody" for name in ("kubelet", "kubeadm")),
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


def upgrade_killed(what: str, at: Moment, to: Build = "kubelet", again: Command = "deploy") -> Scenario:
    """An upgrade that is killed; it is run again, or the cluster goes back."""
    ending = ", and back by `kubev6 rollback`" if again == "rollback" else ""
    return Scenario(f"upgrade killed: {what}{ending}", Killed(), at, to=to, again=again)


def rollback_killed(what: str, at: Moment) -> Scenario:
    """The way back that is killed, and run again."""
    return Scenario(f"rollback killed: {what}", Killed(), at, "upgraded", "rollback", again="rollback")


UPGRADES = (
    upgrade_killed("push", Moment("push", "registry")),
    upgrade_killed("proof before it", Moment("proof")),
    upgrade_killed("kubelet of the control plane", Moment("kubelet", CONTROL_PLANE)),
    upgrade_killed("proof after that", Moment("proof", number=2)),
    upgrade_killed("kubelet of a worker", Moment("kubelet", WORKER), again="rollback"),
    upgrade_killed("kubeadm's configuration and add-ons", Moment("kubelet", WORKER, "ended")),
    upgrade_killed("last proof", Moment("proof", number=3)),
    rollback_killed("kubelet of the control plane", Moment("kubelet", CONTROL_PLANE, seconds=0.5)),
    rollback_killed("last proof", Moment("proof", number=3)),
    upgrade_killed("scheduler", Moment("kube-scheduler", CONTROL_PLANE, seconds=1), to="scheduler"),
    Scenario(
        "upgrade to a kubelet that gives pods a resolver that is none",
        Script(CONTROL_PLANE, ":", "rm -f /var/kubev6-fault"),
        None,
        to="bad kubelet",
        says=("proof after kubelet of kube-control-plane", "was put back to v[^ ]*.*, and its proof holds"),
    ),
    Scenario(
        "upgrade to a kubelet that does not start",
        Script(CONTROL_PLANE, ":"),
        None,
        to="dead kubelet",
        says=(
            "kube-control-plane: upgrade: kubelet ended with status 126",
            "put back to v[^ ]*.*, and its proof holds",
        ),
    ),
)


def renewal_killed(what: str, fault: Killed, at: Moment) -> Scenario:
    """A renewal of certificates that is killed, and run again."""
    return Scenario(f"certs renew killed{what}", fault, at, command="certs renew", again="certs renew")


RENEWALS = (
    renewal_killed(
        ": while kubeadm writes",
        Killed(),
        Moment("renew certificates", CONTROL_PLANE, "progress", "kubeadm"),
    ),
    renewal_killed(
        " together with what it runs on the control plane: while kubeadm writes",
        KilledWithAgents(),
        Moment("renew certificates", CONTROL_PLANE, "progress", "kubeadm"),
    ),
    renewal_killed(
        " together with what it runs on the control plane: while that starts again",
        KilledWithAgents(),
        Moment("renew certificates", CONTROL_PLANE, "progress", "starts the control plane again", seconds=1),
    ),
)

RESTARTS = (
    Scenario(
        "support node restarts while a worker joins",
        Power(SUPPORT, "restart"),
        Moment("kubeadm join", WORKER),
        "worker",
        fails=None,
    ),
    *(
        Scenario(f"{machine} restarts during the proof", Power(machine, "restart"), Moment("proof"), fails=None)
        for machine in (SUPPORT, WORKER, CONTROL_PLANE)
    ),
)

SWITCH = (
    Scenario(
        "a worker's connections and what runs by them are killed while its network is changed",
        AgentKilled(WORKER),
        Moment("network", WORKER),
        "worker",
        fails=None,
    ),
    Scenario(
        "deploy killed: when a worker's network is changed, and before it is confirmed that it is reached",
        KilledUnconfirmed(WORKER),
        Moment("network", WORKER),
        "worker",
    ),
)


def power_cuts(seed: int) -> tuple[Scenario, ...]:
    """A worker without power, at some time or other.

    Args:
        seed: Decides when.
    """
    chosen = random.Random(seed)
    moments = [Moment("network", WORKER, seconds=chosen.uniform(0, CUT_SECONDS)) for _ in range(CUTS)]
    return (
        *(
            Scenario(
                f"power of a worker cut at random ({number} of {CUTS})",
                PowerCut(WORKER),
                at,
                "worker",
                fails=None,
                lasts=True,
            )
            for number, at in enumerate(moments, 1)
        ),
        Scenario(
            "power of a worker cut while it is reset",
            PowerCut(WORKER),
            Moment("reset", WORKER, seconds=chosen.uniform(0, 4)),
            command="reset of the worker",
            fails=None,
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
    one_by_one = (*KILLS, *MACHINES, *RESTARTS, *SWITCH, *SERVICES, *NETWORKS, *BYTES, *RENEWALS, *UPGRADES)
    return (*one_by_one, *randomly_killed(seed))


def names(seed: int) -> tuple[str, ...]:
    """What the page about faults has a line for, in its order."""
    table, cuts = ([each.name for each in scenarios] for scenarios in (every(seed), power_cuts(seed)))
    return (*table, WHOLE_STATE, *cuts, WHOLE_STATE_AFTER_CUTS, PROOFS_IN_A_ROW, DEPLOYS_IN_A_ROW, TWO_LABS)
