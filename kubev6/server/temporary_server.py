"""Prefect's server for one run, when none is kept.

Prefect would start one by itself, but only at its first use. This one is started before Prefect is imported, so that
both take their seconds at once; it has an address like any other server, and it ends with the process that started it.
"""

from __future__ import annotations

import ctypes
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time

import requests

from configs.errors import KubeV6Error
from kubev6.server import environment, login
from kubev6.server.api import session
from tasks import bounded, scope
from tasks.steps import StopSignal

START_SECONDS = 180.0
"""How long it may take to answer, which is some seconds on a machine that has nothing else to do."""
STOP_SECONDS, STOP_SECONDS_IF_STOPPED = 30.0, 3.0
"""How long it may take to write what it was told, on a machine that has much to do; and that of a run that is being
stopped."""
_PR_SET_PDEATHSIG = 1


class TemporaryServer:
    """A server that is being started.

    Attributes:
        url: Where its API will be.
        environment: What a process needs that uses it.
    """

    def __init__(self) -> None:
        self._stop_signal = scope.find(StopSignal) or StopSignal()  # it ends when the run has ended, and its context
        port = _free_port()
        self.url = f"http://127.0.0.1:{port}/api"
        self._said = tempfile.TemporaryFile()  # noqa: SIM115 - the server writes into it as long as it runs
        words = ["--factory", "prefect.server.api.server:create_app", "--host", "127.0.0.1", "--port", str(port)]
        secret = login.new()
        self.environment = {login.API: self.url, login.LOGIN: secret}
        alone = {"PREFECT_UI_ENABLED": "0", "PREFECT__SERVER_EPHEMERAL": "1", "PREFECT__SERVER_FINAL": "1"}
        self._process = subprocess.Popen(
            [sys.executable, "-m", "uvicorn", *words, "--log-level", "warning", "--timeout-keep-alive", "5"],
            stdin=subprocess.DEVNULL,
            stdout=self._said,
            stderr=subprocess.STDOUT,
            env={**os.environ, **alone, **environment.protected(secret, port)},
            # Ctrl-C is for us: the server is needed until the run has ended in order.
            start_new_session=True,
            preexec_fn=_die_with_parent,
        )

    def wait(self) -> None:
        """Come back when it answers.

        Raises:
            KubeV6Error: It ended, or does not answer in time.
        """
        deadline = time.monotonic() + START_SECONDS
        while not answers(self.url):
            status = self._process.poll()
            if status is not None or time.monotonic() > deadline:
                said = bounded.end_of(self._said).strip()
                last = said.splitlines()[-1] if said else "it said nothing"
                todo = "run it again, when this machine has less to do; what else it said is in the run log"
                if status is None:
                    seen = f"Prefect's temporary server has not answered for {START_SECONDS:.0f} s"
                else:
                    seen = f"Prefect's temporary server ended with status {status}"
                raise KubeV6Error(f"{seen}: {last}", todo=todo, detail=said)
            time.sleep(0.05)

    def stop(self) -> None:
        """End it, and let it write what it was told before. What takes longer than it may is lost."""
        if self._process.poll() is None:
            self._process.terminate()
            try:
                self._process.wait(STOP_SECONDS_IF_STOPPED if self._stop_signal.asked else STOP_SECONDS)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()


def answers(url: str, *, seconds: float = 1.0) -> bool:
    """Whether a server's API says that it is well.

    Args:
        url: Its API, such as ``http://127.0.0.1:4266/api``.
        seconds: How long to wait for that.
    """
    try:
        with session() as asking:
            return asking.get(f"{url}/health", timeout=seconds).status_code == 200
    except (requests.RequestException, bounded.TooMuchError):
        return False


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _die_with_parent() -> None:
    """A run that is killed outright leaves no server behind (prctl(2))."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
