"""Commands of a node, and how far they are."""

import os
import subprocess
from typing import List, Optional

from tasks.on_node.protocol import Failed, progress, ran

PACKAGE_SECONDS = 1200


def run(words: List[str], timeout: int = 60, todo: str = "") -> str:
    """Run a command; one that fails becomes a clear line with its last words."""
    ran(words)
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


def run_shown(words: List[str]) -> None:
    """Run a package manager; each of its lines is progress, and its complaint the error."""
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
        line = raw.decode("utf-8", "replace")
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


def ask(words: List[str]) -> "subprocess.Popen[str]":
    """Start a question; the answer is fetched by :func:`answer`, so several are worked on at once."""
    null = subprocess.DEVNULL
    return subprocess.Popen(words, stdin=null, stdout=subprocess.PIPE, stderr=null, universal_newlines=True)


def answer(question: "Optional[subprocess.Popen[str]]") -> str:
    return question.communicate(timeout=60)[0] if question else ""


def prepare() -> None:
    """What every program begins with: an administrator's PATH, and files that others can read."""
    os.environ["PATH"] = os.environ.get("PATH", "/usr/bin:/bin") + ":/usr/local/sbin:/usr/sbin:/sbin"
    os.umask(0o022)
