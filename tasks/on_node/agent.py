"""Runs on a node: answers what the node looks like, or changes what it is told to change.

Two orders. ``facts`` reads and changes nothing. ``apply`` does the given changes in order and stops at the first that
fails. What apply replaces is kept under ``backup``; what was there before is written to ``record.json`` *before* it is
changed, so a run that dies at any moment loses nothing, and the whole can be undone from the record.
"""

import errno
import fcntl
import hashlib
import json
import os
import platform
import shutil
import stat
import subprocess
import sys
import time
from typing import IO, Any, Callable, Dict, Iterator, List, Optional, Tuple

HOME = "/var/lib/kubev6"
BEGIN = "# BEGIN kubev6"
END = "# END kubev6"
DIGESTS = "digests.json"
SPARE = 16 * 1024 * 1024
PACKAGE_SECONDS = 1200
SERVICE_SECONDS = 180
DAD_SECONDS = 10
DOWNLOAD_SECONDS = 30
EVIDENCE = {
    "br_netfilter": "/proc/sys/net/bridge",
    "nf_conntrack": "/proc/sys/net/netfilter/nf_conntrack_max",
    "tun": "/sys/class/misc/tun",
}
"""Where a module that is built into the kernel shows itself, when the machine has no list of built-in modules."""

FILESYSTEMS = {"overlay"}

Json = Dict[str, Any]


class Failed(Exception):  # noqa: N818 - a report, not a defect
    """A change that cannot be made: what was seen, and perhaps what to do."""

    def __init__(self, seen: str, todo: str = "", detail: str = "", transient: bool = False) -> None:
        super().__init__(seen)
        self.seen = seen
        self.todo = todo
        self.detail = detail
        self.transient = transient


# --- reading -------------------------------------------------------------------------------------------------------


def text_of(path: str) -> str:
    """Content of a file, empty when it cannot be read."""
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read()
    except OSError:
        return ""


def sha256_of(path: str) -> str:
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        for piece in iter(lambda: file.read(1 << 20), b""):
            digest.update(piece)
    return digest.hexdigest()


def block_of(text: str) -> Optional[str]:
    """What stands between our marks; None without them. Raises ValueError when a mark is missing its other half."""
    lines = text.splitlines(True)
    marks = [line.strip() for line in lines]
    if BEGIN not in marks and END not in marks:
        return None
    if marks.count(BEGIN) != 1 or marks.count(END) != 1 or marks.index(BEGIN) > marks.index(END):
        raise ValueError("its lines {!r} and {!r} do not make one pair".format(BEGIN, END))
    return "".join(lines[marks.index(BEGIN) + 1 : marks.index(END)])


def with_block(text: str, content: Optional[str]) -> str:
    """The text with our block set to ``content``, at its place or at the end; None takes the block away."""
    lines = text.splitlines(True)
    marks = [line.strip() for line in lines]
    if block_of(text) is None:
        if content is None:
            return text
        gap = "" if not text or text.endswith("\n") else "\n"
        return "{}{}{}\n{}{}\n".format(text, gap, BEGIN, content, END)
    before, after = lines[: marks.index(BEGIN)], lines[marks.index(END) + 1 :]
    own = [] if content is None else [BEGIN + "\n", content, END + "\n"]
    return "".join(before + own + after)


def file_fact(path: str) -> Optional[Json]:
    try:
        seen = os.lstat(path)
    except (FileNotFoundError, NotADirectoryError):
        return None
    if stat.S_ISLNK(seen.st_mode):
        return {"kind": "link", "target": os.readlink(path), "mode": 0, "sha256": ""}
    if not stat.S_ISREG(seen.st_mode):
        return {"kind": "other", "target": "", "mode": 0, "sha256": ""}
    return {"kind": "file", "target": "", "mode": stat.S_IMODE(seen.st_mode), "sha256": sha256_of(path)}


def block_fact(path: str) -> Optional[str]:
    """sha256 of our block in a file, None without one, or the trouble with its marks after an exclamation mark."""
    try:
        content = block_of(text_of(path))
    except ValueError as error:
        return "!{}".format(error)
    return None if content is None else hashlib.sha256(content.encode()).hexdigest()


def binary_facts(paths: List[str]) -> Dict[str, Optional[str]]:
    """sha256 of each executable; one that is as it was when this agent installed it is not read again."""
    known = read_json(DIGESTS)
    found = {}  # type: Dict[str, Optional[str]]
    for path in paths:
        try:
            identity = identity_of(path)
        except OSError:
            found[path] = None
            continue
        entry = known.get(path)
        found[path] = entry["sha256"] if entry and entry["identity"] == identity else sha256_of(path)
    return found


def identity_of(path: str) -> List[int]:
    seen = os.stat(path)
    return [seen.st_size, seen.st_mtime_ns, seen.st_ino]


def module_present(name: str) -> bool:
    plain = name.replace("-", "_")
    if os.path.isdir("/sys/module/" + plain):
        return True
    if plain in EVIDENCE and os.path.exists(EVIDENCE[plain]):
        return True
    if plain in FILESYSTEMS and plain in text_of("/proc/filesystems").split():
        return True
    built_in = text_of("/lib/modules/{}/modules.builtin".format(platform.release()))
    return any(line.rsplit("/", 1)[-1].split(".ko")[0].replace("-", "_") == plain for line in built_in.splitlines())


def sysctl_path(key: str) -> str:
    """``a.b.c`` as a path; a slash in a key stands for a dot in an interface's name, as in sysctl.d(5)."""
    return "/proc/sys/" + "/".join(part.replace("/", ".") for part in key.split("."))


def sysctl_value(key: str) -> Optional[str]:
    try:
        with open(sysctl_path(key)) as file:
            return " ".join(file.read().split())
    except OSError:
        return None


def swap_devices() -> List[str]:
    return [line.split()[0] for line in text_of("/proc/swaps").splitlines()[1:] if line.strip()]


def fstab_swaps(text: str) -> List[str]:
    """The lines of an fstab(5) that turn swap on at boot."""
    found = []
    for line in text.splitlines():
        words = line.split()
        if len(words) >= 3 and not words[0].startswith("#") and words[2] == "swap":
            found.append(line)
    return found


def address_facts(links: List[Json]) -> Tuple[List[str], List[List[str]]]:
    """Names of the interfaces, and ``[interface, address/length, state]`` of every address, from ``ip -j addr``."""
    addresses = []
    for link in links:
        for info in link.get("addr_info", []):
            # iproute2 before 5.0 has no such fields in its JSON for addresses that are well.
            state = "failed" if info.get("dadfailed") else "tentative" if info.get("tentative") else ""
            if "local" in info:
                addresses.append([link["ifname"], "{}/{}".format(info["local"], info["prefixlen"]), state])
    return [link["ifname"] for link in links if "ifname" in link], addresses


def route_facts(routes: List[Json]) -> List[Json]:
    """``ip -6 -j route show table main`` in few words; what the kernel makes for an address is left out."""
    found = []
    for route in routes:
        if route.get("protocol") in ("kernel", "ra") or "dev" not in route or route.get("type", "unicast") != "unicast":
            continue
        destination = "::/0" if route["dst"] == "default" else route["dst"]
        if "/" not in destination:
            destination += "/128"
        found.append(
            {
                "destination": destination,
                "via": route.get("gateway", ""),
                "interface": route["dev"],
                "metric": route.get("metric", 1024),
            }
        )
    return found


def ipv4_route_words(route: Json) -> str:
    """An IPv4 route as ``ip route`` takes it."""
    words = [route["dst"]]
    for key, word in (("gateway", "via"), ("dev", "dev"), ("metric", "metric")):
        if key in route:
            words += [word, str(route[key])]
    return " ".join(words)


def service_facts(units: List[str], text: str) -> Dict[str, Json]:
    """The blocks of ``systemctl show``, in the order of the units asked for."""
    found = {}
    for unit, block in zip(units, text.strip().split("\n\n")):  # noqa: B905 - strict is newer than 3.6
        values = dict(line.split("=", 1) for line in block.splitlines() if "=" in line)
        found[unit] = {
            "load": values.get("LoadState", ""),
            "active": values.get("ActiveState", ""),
            "enabled": values.get("UnitFileState", ""),
            # A unit whose conditions were looked at and not met is not meant to run yet.
            "held_back": values.get("ConditionResult") == "no"
            and values.get("ConditionTimestampMonotonic", "0") != "0",
        }
    return found


def os_release() -> Dict[str, str]:
    values = {}
    for line in (text_of("/etc/os-release") or text_of("/usr/lib/os-release")).splitlines():
        key, equals, value = line.partition("=")
        if equals:
            values[key] = value.strip().strip("\"'")
    return values


def system_facts() -> Json:
    release = os_release()
    memory = [line.split()[1] for line in text_of("/proc/meminfo").splitlines() if line.startswith("MemTotal:")]
    return {
        "os": release.get("ID", ""),
        "os_version": release.get("VERSION_ID", ""),
        "kernel": platform.release(),
        "machine": platform.machine(),
        "hostname": platform.node(),
        "cgroup": 2 if os.path.exists("/sys/fs/cgroup/cgroup.controllers") else 1,
        "container": text_of("/run/systemd/container").strip(),
        "package_manager": package_manager(),
        "memory": int(memory[0]) * 1024 if memory else 0,
        "processors": os.cpu_count() or 1,
    }


def package_manager() -> str:
    return next((name for name in ("apt-get", "dnf", "yum", "zypper") if shutil.which(name)), "")


def ask(words: List[str]) -> "subprocess.Popen[str]":
    """Start a question; the answer is fetched by :func:`answer`, so several are worked on at once."""
    null = subprocess.DEVNULL
    return subprocess.Popen(words, stdin=null, stdout=subprocess.PIPE, stderr=null, universal_newlines=True)


def answer(question: "Optional[subprocess.Popen[str]]") -> str:
    return question.communicate(timeout=60)[0] if question else ""


def ask_packages(names: List[str]) -> "Optional[subprocess.Popen[str]]":
    if not names:
        return None
    if shutil.which("dpkg-query"):
        return ask(["dpkg-query", "-W", "-f", "${db:Status-Status} ${Package}\n"] + names)
    return ask(["rpm", "-q", "--qf", "installed %{NAME}\n"] + names)


def installed_packages(text: str) -> List[str]:
    return sorted({line.split()[1] for line in text.splitlines() if line.startswith("installed ")})


def ask_services(units: List[str]) -> "Optional[subprocess.Popen[str]]":
    if not units or not shutil.which("systemctl"):
        return None
    return ask(
        [
            "systemctl",
            "show",
            "--property=LoadState,ActiveState,UnitFileState,ConditionResult,ConditionTimestampMonotonic",
        ]
        + units
    )


def facts(query: Json) -> Json:
    """One answer to everything that the given stages speak of."""
    record = read_json("record.json")
    stages = {name: record.get("stages", {}).get(name, {}) for name in query["stages"]}
    files = set(query["files"])
    blocks = set(query["blocks"])
    for added in stages.values():
        for path, entry in added.get("files", {}).items():
            (blocks if entry.get("block") else files).add(path)
    packages = ask_packages(query["packages"])
    services = ask_services(query["services"])
    if not shutil.which("ip"):
        links, routes, ipv4 = None, None, None
    else:
        links = ask(["ip", "-j", "addr"])
        routes = ask(["ip", "-6", "-j", "route", "show", "table", "main"])
        ipv4 = ask(["ip", "-4", "-j", "route", "show", "default"])
    interfaces, addresses = address_facts(json.loads(answer(links) or "[]"))
    return {
        "system": system_facts(),
        "modules": [name for name in query["modules"] if module_present(name)],
        "files": {path: file_fact(path) for path in files},
        "blocks": {path: block_fact(path) for path in blocks},
        "swaps": swap_devices(),
        "fstab_swaps": fstab_swaps(text_of("/etc/fstab")),
        "sysctls": {key: sysctl_value(key) for key in query["sysctls"]},
        "binaries": binary_facts(query["binaries"]),
        "interfaces": interfaces,
        "addresses": addresses,
        "routes": route_facts(json.loads(answer(routes) or "[]")),
        "ipv4_default_routes": [ipv4_route_words(route) for route in json.loads(answer(ipv4) or "[]")],
        "packages": installed_packages(answer(packages)),
        "services": service_facts(query["services"], answer(services)),
        "added": stages,
        "pending_restarts": record.get("pending_restarts", []),
    }


# --- what is kept on the node --------------------------------------------------------------------------------------


def read_json(name: str) -> Json:
    text = text_of(os.path.join(HOME, name))
    if not text:
        return {}
    try:
        return dict(json.loads(text))
    except ValueError as error:
        todo = "move it away; what was there before it is then no longer known"
        raise Failed("{}/{} is damaged: {}".format(HOME, name, error), todo) from None


def write_json(name: str, value: Json) -> None:
    write_atomically(os.path.join(HOME, name), json.dumps(value, indent=1, sort_keys=True).encode() + b"\n", 0o600)


class Record:
    """What this node was before, and which restarts are still owed. Written before anything is changed."""

    def __init__(self, stage: str) -> None:
        self.all = read_json("record.json")
        self.all.setdefault("version", 1)
        self.all.setdefault("pending_restarts", [])
        self.stage = self.all.setdefault("stages", {}).setdefault(stage, {})
        self.fresh = []  # type: List[Tuple[str, str]]

    def save(self) -> None:
        write_json("record.json", self.all)

    def note(self, kind: str, subject: str, before: Any) -> None:
        """Remember what was there before us; the first answer stands."""
        notes = self.stage.setdefault(kind, {})
        if subject not in notes:
            notes[subject] = before
            self.fresh.append((kind, subject))

    def drop_fresh(self, subjects: List[str]) -> None:
        """Take back the notes of this run about changes that were not even begun."""
        for kind, subject in self.fresh:
            if subject in subjects:
                self.forget(kind, subject)
        self.save()

    def forget(self, kind: str, subject: str) -> None:
        self.stage.get(kind, {}).pop(subject, None)

    def owns(self, path: str) -> bool:
        """Whether a stage of ours wrote this file, so that it is not an original."""
        return any(path in stage.get("files", {}) for stage in self.all["stages"].values())


def backup_path(path: str) -> str:
    return os.path.join(HOME, "backup") + path


def back_up(path: str) -> None:
    """Keep a copy of an original; a copy that is there already is the older one and stays."""
    copy = backup_path(path)
    if os.path.lexists(copy):
        return
    make_directories(os.path.dirname(copy), 0o700)
    temporary = copy + ".partial"
    if os.path.lexists(temporary):
        os.unlink(temporary)
    if os.path.islink(path):
        os.symlink(os.readlink(path), temporary)
    else:
        shutil.copy2(path, temporary)
        seen = os.stat(path)
        os.chown(temporary, seen.st_uid, seen.st_gid)
    os.rename(temporary, copy)


def make_directories(path: str, mode: int = 0o755) -> None:
    if not os.path.isdir(path):
        make_directories(os.path.dirname(path), mode)
        try:
            os.mkdir(path, mode)
        except FileExistsError:
            if not os.path.isdir(path):
                raise


def write_atomically(path: str, data: bytes, mode: int, owner: Optional[Tuple[int, int]] = None) -> None:
    """Write a whole file or nothing of it. A mount point cannot be renamed over and is written in place."""
    make_directories(os.path.dirname(path))
    temporary = os.path.join(os.path.dirname(path), ".kubev6-{}.partial".format(os.path.basename(path)))
    try:
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
        with open(descriptor, "wb") as file:
            file.write(data)
            os.fchmod(descriptor, mode)
            if owner:
                os.fchown(descriptor, *owner)
            file.flush()
            os.fsync(descriptor)
        try:
            os.replace(temporary, path)
        except OSError as error:
            if error.errno != errno.EBUSY:
                raise
            with open(path, "r+b") as file:
                file.write(data)
                file.truncate()
            os.chmod(path, mode)
    except OSError as error:
        if error.filename is None:  # what writing says of a full disk does not say where
            raise OSError(error.errno, error.strerror, path) from None
        raise
    finally:
        if os.path.lexists(temporary):
            os.unlink(temporary)


# --- changing ------------------------------------------------------------------------------------------------------


def run(words: List[str], timeout: int = 60, todo: str = "") -> str:
    """Run a command; one that fails becomes a clear line with its last words."""
    try:
        done = subprocess.run(
            words,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            universal_newlines=True,
            timeout=timeout,
        )
    except subprocess.TimeoutExpired:
        raise Failed("{} did not end within {} s".format(" ".join(words[:3]), timeout), todo, transient=True) from None
    except OSError as error:
        raise Failed("{}: {}".format(words[0], error.strerror), todo) from None
    if done.returncode != 0:
        said = (done.stderr.strip() or done.stdout.strip() or "status {}".format(done.returncode)).splitlines()[-1]
        raise Failed("{}: {}".format(" ".join(words[:4]), said), todo, detail=done.stdout + done.stderr)
    return done.stdout


def progress(text: str) -> None:
    try:
        sys.stderr.write(json.dumps({"progress": text}) + "\n")
        sys.stderr.flush()
    except OSError:
        pass  # the controller is gone; what was begun is still ended well


def install_packages(changes: List[Json]) -> None:
    names = [change["subject"] for change in changes]
    tool = package_manager()
    if tool in ("dnf", "yum"):
        run_shown([tool, "install", "-y"] + names)
    elif tool == "zypper":
        run_shown([tool, "--non-interactive", "install", "--no-recommends"] + names)
    elif tool == "apt-get":
        apt_install(names)
    else:
        raise Failed("no apt-get, dnf, yum or zypper here", "install by hand: " + " ".join(names))


def apt_install(names: List[str]) -> None:
    os.environ.update(DEBIAN_FRONTEND="noninteractive", NEEDRESTART_MODE="a", APT_LISTCHANGES_FRONTEND="none")
    apt = ["apt-get", "-o", "DPkg::Lock::Timeout=300", "-o", "Acquire::Retries=2", "-y"]
    keep = ["-o", "Dpkg::Options::=--force-confdef", "-o", "Dpkg::Options::=--force-confold"]
    install = apt + keep + ["--no-install-recommends", "install"] + names
    if os.path.isdir("/var/lib/dpkg/updates") and os.listdir("/var/lib/dpkg/updates"):
        run_shown(["dpkg", "--configure", "-a", "--force-confdef", "--force-confold"])
    fresh = candidates_missing(names)
    if fresh:
        run_shown(apt + ["update"])
        lacking = candidates_missing(names)
        if lacking:
            todo = "add the archive that has it to the node's apt sources"
            raise Failed("apt knows no package {}".format(", ".join(lacking)), todo)
    try:
        run_shown(install)
    except Failed:
        if fresh:
            raise
        # Old lists name versions that the archive no longer holds.
        run_shown(apt + ["update"])
        run_shown(install)


def candidates_missing(names: List[str]) -> List[str]:
    text = run(["apt-cache", "policy"] + names)
    known = set()
    name = ""
    for line in text.splitlines():
        if line and not line[0].isspace():
            name = line.rstrip(":")
        elif line.strip().startswith("Candidate:") and "(none)" not in line:
            known.add(name)
    return [name for name in names if name not in known]


def run_shown(words: List[str]) -> None:
    """Run a package manager; each of its lines is progress, and its complaint the error."""
    process = subprocess.Popen(
        ["timeout", "-k", "10", str(PACKAGE_SECONDS)] + words,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        universal_newlines=True,
        errors="replace",
    )
    lines = []
    assert process.stdout is not None
    for line in process.stdout:
        lines.append(line.rstrip())
        if line.strip():
            progress(line.strip()[:100])
    status = process.wait()
    if status != 0:
        text = "\n".join(lines)
        complaints = [
            line for line in lines if line.startswith(("E:", "Error", "dpkg: error", "No package", "No match"))
        ]
        said = (complaints or [line for line in lines if line] or ["status {}".format(status)])[-1]
        temporary = ("Could not resolve", "Temporary failure", "Connection", "Unable to fetch", "Could not get lock")
        name = os.path.basename(words[0])
        if "No space left" in text or "not have enough free space" in text:
            raise Failed("{}: no space left on the node: {}".format(name, said), "free some space there", text)
        raise Failed("{}: {}".format(name, said), detail=text, transient=any(sign in text for sign in temporary))


def load_module(change: Json) -> None:
    name = change["subject"]
    if not module_present(name):
        todo = "install the kernel's modules, or load {} on the host when this node is a container".format(name)
        run(["modprobe", name], todo=todo)


def new_text(path: str, content: Optional[str]) -> str:
    try:
        return with_block(text_of(path), content)
    except ValueError as error:
        raise Failed("{}: {}".format(path, error), "put the two lines right, or remove both") from None


def write_file(change: Json) -> None:
    path, mode = change["subject"], change["mode"]
    if change.get("block"):
        real = os.path.realpath(path)
        text = new_text(real, change["content"])
        if os.path.exists(real):
            seen = os.stat(real)
            write_atomically(real, text.encode(), stat.S_IMODE(seen.st_mode), (seen.st_uid, seen.st_gid))
        else:
            write_atomically(real, text.encode(), mode)
        return
    write_atomically(path, change["content"].encode(), mode, (0, 0))


def remove_file(change: Json) -> None:
    """Remove a file, whose copy is kept."""
    if os.path.lexists(change["subject"]):
        os.unlink(change["subject"])


def undo_file(change: Json, record: Record) -> None:
    """Take back a file or block that an earlier run put there and that is no longer wanted."""
    path = change["subject"]
    entry = record.stage["files"].get(path, {})
    if entry.get("block"):
        text = new_text(path, None)
        if text or entry["before"]:
            seen = os.stat(path)
            write_atomically(os.path.realpath(path), text.encode(), stat.S_IMODE(seen.st_mode))
        else:
            os.unlink(path)
    elif entry.get("before") and os.path.lexists(backup_path(path)):
        copy = backup_path(path)
        if os.path.islink(copy):
            if os.path.lexists(path):
                os.unlink(path)
            os.symlink(os.readlink(copy), path)
        else:
            seen = os.stat(copy)
            with open(copy, "rb") as file:
                write_atomically(path, file.read(), stat.S_IMODE(seen.st_mode), (seen.st_uid, seen.st_gid))
        os.unlink(copy)
    elif not entry.get("before") and os.path.lexists(path):
        os.unlink(path)
    record.forget("files", path)
    record.save()


def swap_off(_: Json) -> None:
    if swap_devices():
        run(["swapoff", "-a"], timeout=300)
    text = text_of("/etc/fstab")
    if fstab_swaps(text):
        turned_off = set(fstab_swaps(text))
        lines = ["# kubev6: " + line if line in turned_off else line for line in text.splitlines()]
        write_atomically("/etc/fstab", ("\n".join(lines) + "\n").encode(), 0o644)


def set_sysctl(change: Json) -> None:
    path = sysctl_path(change["subject"])
    try:
        with open(path, "w") as file:
            file.write(change["value"] + "\n")
    except FileNotFoundError:
        todo = "load the module or make the interface that brings it"
        raise Failed("the kernel has no setting {}".format(change["subject"]), todo) from None
    except OSError as error:
        raise Failed("{} = {}: {}".format(change["subject"], change["value"], error.strerror)) from None


def need_interface(name: str) -> None:
    if not os.path.exists("/sys/class/net/" + name):
        there = ", ".join(sorted(os.listdir("/sys/class/net")))
        raise Failed("no interface {}; there are {}".format(name, there), "name the right one in the cluster file")


def add_address(change: Json) -> None:
    interface, address = change["interface"], change["address"]
    need_interface(interface)
    run(["ip", "link", "set", interface, "up"])
    for _, present, state in address_facts(json.loads(run(["ip", "-6", "-j", "addr", "show", "dev", interface])))[1]:
        if present == address and state == "failed":
            run(["ip", "-6", "addr", "del", address, "dev", interface])
    run(["ip", "-6", "addr", "replace", address, "dev", interface])
    await_address(interface, address)


def await_address(interface: str, address: str) -> None:
    """Wait until duplicate address detection (RFC 4862, 5.4) lets the address be used."""
    deadline = time.monotonic() + DAD_SECONDS
    while True:
        links = json.loads(run(["ip", "-6", "-j", "addr", "show", "dev", interface]))
        state = next((state for _, present, state in address_facts(links)[1] if present == address), "")
        if state == "failed":
            todo = "give one of the two another address"
            raise Failed("another machine on {} has {} already".format(interface, address), todo)
        if state == "":
            return
        if time.monotonic() > deadline:
            raise Failed(
                "{} on {} is still tentative after {} s".format(address, interface, DAD_SECONDS), transient=True
            )
        time.sleep(0.05)


def remove_address(change: Json) -> None:
    run(["ip", "-6", "addr", "del", change["address"], "dev", change["interface"]])


def own_connection() -> Tuple[str, str]:
    """The IPv4 addresses of the controller and of this node that the SSH connection uses; empty when it uses IPv6."""
    words = os.environ.get("SSH_CONNECTION", "").split()
    if len(words) != 4:
        return "", ""
    peer, here = (word.replace("::ffff:", "") for word in (words[0], words[2]))
    return ("", "") if ":" in peer else (peer, here)


def remove_ipv4(change: Json) -> None:
    interface = change["subject"]
    links = json.loads(run(["ip", "-4", "-j", "addr", "show", "dev", interface]))
    here = own_connection()[1]
    if here and any(address.split("/")[0] == here for _, address, _ in address_facts(links)[1]):
        todo = "reach the node over another interface, or by IPv6"
        raise Failed("{} on {} carries this very connection".format(here, interface), todo)
    run(["ip", "-4", "addr", "flush", "dev", interface])


def remove_ipv4_default_route(change: Json, record: Record) -> None:
    words = change["subject"].split()
    peer = own_connection()[0]
    if peer:
        matching = json.loads(run(["ip", "-4", "-j", "route", "show", "match", peer]))
        if all(route["dst"] == "default" for route in matching):
            keep = ["{}/32".format(peer)] + words[1:]
            record.note("keep_routes", " ".join(keep), None)
            record.save()
            run(["ip", "-4", "route", "replace"] + keep)
            # Read by the unit that removes the default route again at boot.
            kept = os.path.join(HOME, "keep-ipv4")
            peers = text_of(kept).split()
            if peer not in peers:
                write_atomically(kept, "".join(each + "\n" for each in peers + [peer]).encode(), 0o644)
    run(["ip", "-4", "route", "del"] + words)


def add_route(change: Json) -> None:
    need_interface(change["interface"])
    run(["ip", "-6", "route", "replace"] + change["subject"].split())


def remove_route(change: Json) -> None:
    run(["ip", "-6", "route", "del"] + change["subject"].split())


# --- executables ---------------------------------------------------------------------------------------------------


def fetch_binaries(changes: List[Json]) -> None:
    """Download all at once, check each, and only then put them in place."""
    import concurrent.futures  # here, because facts are asked for far more often than anything is fetched

    need_space(changes)
    total = sum(change["size"] for change in changes)
    got = {change["subject"]: 0 for change in changes}
    shown = [0.0]

    def tell(path: str, count: int) -> None:
        got[path] = count
        if time.monotonic() - shown[0] > 0.5:
            shown[0] = time.monotonic()
            progress("{:.0f} of {:.0f} MB fetched".format(sum(got.values()) / 1e6, total / 1e6))

    partials = {change["subject"]: partial_path(change["subject"]) for change in changes}
    try:
        with concurrent.futures.ThreadPoolExecutor(max_workers=4) as pool:
            jobs = [pool.submit(download, change, partials[change["subject"]], tell) for change in changes]
            for job in jobs:
                job.result()
        known = read_json(DIGESTS)
        for change in changes:
            path = change["subject"]
            keep_numbered(path)
            os.replace(partials[path], path)
            known[path] = {"identity": identity_of(path), "sha256": change["sha256"]}
        write_json(DIGESTS, known)
    finally:
        for partial in partials.values():
            if os.path.exists(partial):
                os.unlink(partial)


def partial_path(path: str) -> str:
    return os.path.join(os.path.dirname(path), ".kubev6-{}.partial".format(os.path.basename(path)))


def need_space(changes: List[Json]) -> None:
    needs = {}  # type: Dict[int, List[Any]]
    for change in changes:
        directory = os.path.dirname(change["subject"])
        make_directories(directory)
        entry = needs.setdefault(os.stat(directory).st_dev, [directory, 0])
        entry[1] += change["size"]
    for directory, size in needs.values():
        seen = os.statvfs(directory)
        free = seen.f_bavail * seen.f_frsize
        if free < size + SPARE:
            needed, there = (size + SPARE) / 1e6, free / 1e6
            seen_there = "no space: {} needs {:.0f} MB free and has {:.0f} MB".format(directory, needed, there)
            raise Failed(seen_there, "free some space there")


def download(change: Json, partial: str, tell: Callable[[str, int], None]) -> None:
    """Fetch one executable beside its place. Nothing that has another size or digest is left behind."""
    import http.client
    import urllib.error
    import urllib.request

    url = change["url"]
    digest, count = hashlib.sha256(), 0
    # The registry is on the cluster's own network, where no proxy reaches.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(url, timeout=DOWNLOAD_SECONDS) as source, open(partial, "wb") as file:
            for piece in pieces(source):
                file.write(piece)
                digest.update(piece)
                count += len(piece)
                if count > change["size"]:
                    break
                tell(change["subject"], count)
            file.flush()
            os.fsync(file.fileno())
    except urllib.error.HTTPError as error:
        raise Failed("{}: HTTP {} {}".format(url, error.code, error.reason), transient=error.code >= 500) from None
    except (urllib.error.URLError, http.client.HTTPException, ConnectionError, TimeoutError) as error:
        reason = getattr(error, "reason", None) or error
        todo = "check that the registry runs and that this node has a route to it"
        raise Failed("{}: {}".format(url, reason), todo, transient=True) from None
    except OSError as error:
        if error.filename or error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EROFS):
            raise Failed("{}: {}".format(partial, error.strerror)) from None
        raise Failed("{}: {}".format(url, error), transient=True) from None
    if count < change["size"]:
        said = "{}: ended after {} of {} bytes".format(url, count, change["size"])
        raise Failed(said, transient=True)
    if count > change["size"] or digest.hexdigest() != change["sha256"]:
        said = "{}: wrong checksum: sha256 {} was expected, {} came; {} is as it was"
        todo = "start the support node anew and run this again: what the registry has damaged is then sent anew"
        raise Failed(said.format(url, change["sha256"][:12], digest.hexdigest()[:12], change["subject"]), todo)
    os.chmod(partial, 0o755)


def pieces(source: IO[bytes]) -> Iterator[bytes]:
    while True:
        piece = source.read(1 << 18)
        if not piece:
            return
        yield piece


def keep_numbered(path: str) -> None:
    """Keep the old executable as ``cp --backup=t`` does, by a second name, so there is never none."""
    if not os.path.lexists(path):
        return
    number = 1
    while os.path.lexists("{}.~{}~".format(path, number)):
        number += 1
    if os.path.islink(path):
        os.symlink(os.readlink(path), "{}.~{}~".format(path, number))
    else:
        os.link(path, "{}.~{}~".format(path, number))


# --- services ------------------------------------------------------------------------------------------------------


def change_service(change: Json, record: Record) -> None:
    unit, action = change["subject"], change["action"]
    progress("{} {}".format(action, unit))
    if action == "enable":
        run(["systemctl", "enable", unit], timeout=SERVICE_SECONDS)
        return
    subprocess.run(["systemctl", "reset-failed", unit], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        # restart also starts; a package may have started the unit with a configuration that has changed since.
        run(["systemctl", "restart", unit], timeout=SERVICE_SECONDS)
    except Failed as error:
        logged = subprocess.run(
            ["journalctl", "-u", unit, "-n", "30", "--no-pager", "-o", "cat"],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            universal_newlines=True,
        ).stdout
        own = [line for line in logged.splitlines() if line.strip() and not line.startswith((unit, "Failed to start"))]
        said = "systemctl restart {} failed: {}".format(unit, own[-1] if own else error.seen)
        raise Failed(said, "see `journalctl -u {}` on the node".format(unit), logged) from None
    if unit in record.all["pending_restarts"]:
        record.all["pending_restarts"].remove(unit)
        record.save()


# --- the order of things -------------------------------------------------------------------------------------------


def note_before(changes: List[Json], record: Record) -> None:
    """Write down what each change is about to replace, and make the copies."""
    units = [change["subject"] for change in changes if change["kind"] == "service"]
    services = service_facts(units, answer(ask_services(units)))
    for change in changes:
        kind, subject, action = change["kind"], change["subject"], change["action"]
        if kind == "file" and action in ("create", "replace", "delete"):
            there = os.path.lexists(subject)
            if there and not os.path.islink(subject) and not os.path.isfile(subject):
                raise Failed("{} is a directory or a device, not a file".format(subject), "move it away")
            if there and not record.owns(subject):
                back_up(subject)
            before = "backup" if there and not record.owns(subject) else ""
            record.note("files" if action != "delete" else "deleted_files", subject, {"before": before, "block": False})
            if change.get("block"):
                record.stage["files"][subject]["block"] = True
        elif kind == "module" and not module_present(subject):
            record.note("modules", subject, None)
        elif kind == "swap":
            if fstab_swaps(text_of("/etc/fstab")):
                back_up("/etc/fstab")
            record.note("swap", "devices", swap_devices())
        elif kind == "sysctl":
            record.note("sysctls", subject, sysctl_value(subject))
        elif kind == "address" and action == "add":
            record.note("addresses", subject, None)
        elif kind == "ipv4-address":
            record.note("ipv4_addresses", subject, change["was"])
        elif kind == "ipv4-default-route":
            record.note("ipv4_default_routes", subject, None)
        elif kind == "route" and action != "remove":
            record.note("routes", subject, None)
        elif kind == "binary":
            record.note("binaries", subject, os.path.lexists(subject))
        elif kind == "service":
            record.note("services", subject, services.get(subject, {}))
    record.save()


def owe_restarts(changes: List[Json], record: Record) -> None:
    owed = {c["subject"] for c in changes if c["kind"] == "service" and c["action"] in ("start", "restart")}
    record.all["pending_restarts"] = sorted(owed | set(record.all["pending_restarts"]))


def reload_units(changes: List[Json]) -> None:
    if any(c["kind"] == "service" or c["subject"].startswith("/etc/systemd/system/") for c in changes):
        run(["systemctl", "daemon-reload"], timeout=SERVICE_SECONDS)


SIMPLE = {
    ("module", "load"): load_module,
    ("swap", "off"): swap_off,
    ("sysctl", "set"): set_sysctl,
    ("address", "add"): add_address,
    ("address", "remove"): remove_address,
    ("ipv4-address", "remove"): remove_ipv4,
    ("route", "add"): add_route,
    ("route", "replace"): add_route,
    ("route", "remove"): remove_route,
    ("file", "create"): write_file,
    ("file", "replace"): write_file,
    ("file", "delete"): remove_file,
}  # type: Dict[Tuple[str, str], Callable[[Json], None]]
RECORDED = {
    ("file", "take back"): undo_file,
    ("ipv4-default-route", "remove"): remove_ipv4_default_route,
    ("service", "enable"): change_service,
    ("service", "start"): change_service,
    ("service", "restart"): change_service,
}  # type: Dict[Tuple[str, str], Callable[[Json, Record], None]]


def make(changes: List[Json], record: Record, doing: Callable[[Json], None]) -> None:
    """Make the changes in their order. ``doing`` hears of each before it is begun."""
    packages = [change for change in changes if change["kind"] == "package"]
    rest = [change for change in changes if change["kind"] != "package"]
    owe_restarts(changes, record)
    for change in packages:
        record.note("packages", change["subject"], None)
    record.save()
    if packages:
        doing(packages[0])
        progress("installing " + " ".join(change["subject"] for change in packages))
        install_packages(packages)
    # Only now: a package may have brought a file that is about to be replaced.
    if rest:
        doing(rest[0])
        note_before(rest, record)
    begun = 0
    try:
        reloaded = False
        for change in rest:
            begun += 1
            doing(change)
            if change["kind"] == "service" and not reloaded:
                reload_units(changes)
                reloaded = True
            make_one(change, rest, record)
        if not reloaded:
            reload_units(changes)
    except (Failed, OSError):
        record.drop_fresh([change["subject"] for change in rest[begun:]])
        raise


def make_one(change: Json, rest: List[Json], record: Record) -> None:
    done_by = (change["kind"], change["action"])
    if change["kind"] == "binary":
        binaries = [other for other in rest if other["kind"] == "binary"]
        if change is binaries[0]:
            fetch_binaries(binaries)
    elif done_by in SIMPLE:
        SIMPLE[done_by](change)
    else:
        RECORDED[done_by](change, record)
    if done_by in (("route", "remove"), ("address", "remove")):
        record.forget({"route": "routes", "address": "addresses"}[change["kind"]], change["subject"])
        record.save()


def apply(stage: str, changes: List[Json]) -> Json:
    """Make the changes of one stage; says which failed and why, if one did."""
    current = {}  # type: Json

    def doing(change: Json) -> None:
        current["change"] = "{} {}".format(change["kind"], change["subject"])

    try:
        make_directories(HOME, 0o700)
        with open(os.path.join(HOME, "lock"), "w") as lock:
            hold(lock)
            make(changes, Record(stage), doing)
    except Failed as error:
        return dict(current, seen=error.seen, todo=error.todo, detail=error.detail, transient=error.transient)
    except OSError as error:
        where = error.filename2 or error.filename or ""
        seen = "{}: {}".format(where, error.strerror) if where else str(error)
        todo = "free some space there" if error.errno in (errno.ENOSPC, errno.EDQUOT) else ""
        return dict(current, seen=seen, todo=todo, detail="", transient=False)
    return {}


def hold(lock: IO[str]) -> None:
    """Wait until no other run, perhaps one whose controller went away, changes this node."""
    deadline = time.monotonic() + 120
    while True:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > deadline:
                raise Failed("another run has been changing this node for two minutes", transient=True) from None
            progress("waiting for another run that changes this node")
            time.sleep(1)
        else:
            return


def main(order: Json) -> None:
    os.environ["PATH"] = os.environ.get("PATH", "/usr/bin:/bin") + ":/usr/local/sbin:/usr/sbin:/sbin"
    os.umask(0o022)
    try:
        result = facts(order["facts"]) if "facts" in order else apply(order["stage"], order["changes"])
    except Failed as error:
        result = {"seen": error.seen, "todo": error.todo}
    print(json.dumps(result))


if "PAYLOAD" in globals():
    main(PAYLOAD)  # type: ignore[name-defined]
