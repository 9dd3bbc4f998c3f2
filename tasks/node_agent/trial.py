"""Asking a tool whether it can read files before they are written: of copies, laid over copies of what is there."""

import os
import shutil
import subprocess
import tempfile
from typing import List

from tasks.node_agent.blocks import new_text
from tasks.node_agent.commands import text
from tasks.node_agent.files import exact_bytes, exact_text_of, write_atomically
from tasks.node_agent.protocol import Failed, Json, ran

SECONDS = 60


def try_out(trials: List[Json]) -> None:
    """Have each tool look at the files that are new to it. Changes nothing of theirs.

    Raises:
        Failed: One refuses them, in its own words.
    """
    for trial in trials:
        wanted = {}
        for file in trial["files"]:
            path = file["path"]
            wanted[path] = new_text(path, file["content"]) if file["block"] else file["content"]
        if any(exact_text_of(path) != content for path, content in wanted.items()):
            with tempfile.TemporaryDirectory(prefix="kubev6-trial-") as root:
                for path in trial["directories"]:
                    if os.path.isdir(path):
                        shutil.copytree(path, root + path, symlinks=True)
                for path, content in wanted.items():
                    write_atomically(root + path, exact_bytes(content), 0o600)
                ask_tool(trial["tool"], trial["script"], root)


def ask_tool(tool: str, script: str, root: str) -> None:
    """Run a script in the scratch directory; one that fails becomes a line with the tool's words."""
    command = ["timeout", "-k", "5", str(SECONDS), "sh", "-c", script]
    ran(command)
    process = subprocess.Popen(
        command, cwd=root, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    )
    said = text(process.communicate()[1]).replace(root, "").strip()
    if process.returncode:
        lines = said.splitlines() or ["status {}".format(process.returncode)]
        words = [line for line in lines if line.strip() and "warning" not in line.lower()] or lines
        raise Failed(
            "{} refuses the files that would be there: {}".format(tool, words[0].strip()),
            "correct what it names; nothing was changed there",
            detail=said,
        )
