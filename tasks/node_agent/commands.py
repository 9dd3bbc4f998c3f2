"""Commands of a node, and how far they are."""

import os
import shutil
import subprocess
import time
from typing import List, Optional, Sequence

from tasks.node_agent.protocol import Failed, progress, ran

PACKAGE_SECONDS = 1200
LOCK_SECONDS = 300
"""How long another package manager is waited for, as the one that a machine runs by itself in the morning."""
QUESTION_SECONDS = 30
"""In which a tool says what it knows; one that takes longer hangs, and whoever waits for all of it waits longer."""
HANGS = "see on its console what keeps that from ending (systemd or D-Bus may hang), or restart the machine"
LOCKED = (
    "Could not get lock",
    "Unable to acquire the dpkg",
    "lock was locked by another process",
    "is locked by another process",
    "System management is locked",
)
"""What apt, dpkg and zypper say when another of them is at work; dnf and yum wait by themselves."""


def text(output: bytes) -> str:
    """What a command has written. Python 3.5 and 3.6 would take it for ASCII here, where LC_ALL is C, and fail."""
    return output.decode("utf-8", "replace")


def run(words: List[str], timeout: int = 60, todo: str = "", given: str = "") -> str:
    """Run a command, with its standard input given; one that fails becomes a clear line with its last words."""
    ran(words)
    try:
        done = subprocess.run(
            words, input=given.encode(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=timeout
        )
    except subprocess.TimeoutExpired:
        raise Failed("{} did not end within {} s".format(" ".join(words[:3]), timeout), todo, transient=True) from None
    except OSError as error:
        raise Failed("{}: {}".format(words[0], error.strerror), todo) from None
    out, err = text(done.stdout), text(done.stderr)
    if done.returncode != 0:
        said = (err.strip() or out.strip() or "status {}".format(done.returncode)).splitlines()[-1]
        raise Failed("{}: {}".format(" ".join(words[:4]), said), todo, detail=out + err)
    return out


def run_shown(words: List[str]) -> None:
    """Run a package manager, when no other is at work; each of its lines is progress, and its complaint the error."""
    deadline = time.monotonic() + LOCK_SECONDS
    while True:
        try:
            return run_shown_once(words)
        except Failed as error:
            if not any(sign in error.detail for sign in LOCKED):
                raise
            if time.monotonic() > deadline:
                seen = "{}; waited for {} s".format(error.seen, LOCK_SECONDS)
                raise Failed(seen, "let the other package manager end, or end it", error.detail) from None
            progress("waiting for another package manager: {}".format(error.seen)[:200])
            time.sleep(1)


def run_shown_once(words: List[str]) -> None:
    """Run a package manager."""
    ran(words)
    process = subprocess.Popen(
        ["timeout", "-k", "10", str(PACKAGE_SECONDS)] + words,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    lines = []
    assert process.stdout is not None
    for raw in process.stdout:
        line = text(raw)
        lines.append(line.rstrip())
        if line.strip():
            progress(line.strip()[:100])
    status = process.wait()
    if status != 0:
        whole = "\n".join(lines)
        complaints = [
            line for line in lines if line.startswith(("E:", "Error", "dpkg: error", "No package", "No match"))
        ]
        said = (complaints or [line for line in lines if line] or ["status {}".format(status)])[-1]
        temporary = ("Could not resolve", "Temporary failure", "Connection", "Unable to fetch")
        name = os.path.basename(words[0])
        if "No space left" in whole or "not have enough free space" in whole:
            raise Failed("{}: no space left on the node: {}".format(name, said), "free some space there", whole)
        raise Failed("{}: {}".format(name, said), detail=whole, transient=any(sign in whole for sign in temporary))


def ask(words: Sequence[str]) -> "Optional[subprocess.Popen[bytes]]":
    """Start a question; the answer is fetched by :func:`answer`, so several are worked on at once.

    A tool that this node lacks is not asked, and answers nothing.
    """
    null = subprocess.DEVNULL
    return subprocess.Popen(words, stdin=null, stdout=subprocess.PIPE, stderr=null) if shutil.which(words[0]) else None


def answer(question: "Optional[subprocess.Popen[bytes]]") -> str:
    """What a question that :func:`ask` has started prints; empty when it was not asked.

    Raises:
        Failed: It takes more than :data:`QUESTION_SECONDS`.
    """
    if not question:
        return ""
    try:
        return text(question.communicate(timeout=QUESTION_SECONDS)[0])
    except subprocess.TimeoutExpired:
        if question.poll() is not None:  # the whole machine stood still meanwhile, and it goes on
            return text(question.communicate()[0])
        question.kill()
        question.wait()
        words = " ".join(map(str, question.args))[:60]  # type: ignore[arg-type]
        raise Failed("`{}` has not answered for {} s".format(words, QUESTION_SECONDS), HANGS) from None


def said(words: Sequence[str]) -> str:
    """What a tool answers, whether or not it is content."""
    return answer(ask(words))


def prepare() -> None:
    """What every program begins with: an administrator's PATH, and files that others can read."""
    os.environ["PATH"] = os.environ.get("PATH", "/usr/bin:/bin") + ":/usr/local/sbin:/usr/sbin:/sbin"
    os.umask(0o022)
