"""A real browser without a window, driven over its debugging pipe: two pipes, messages of JSON that end in a NUL."""

from __future__ import annotations

import base64
import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

PROGRAM = shutil.which("chromium")


class Browser:
    """One page of a browser.

    Attributes:
        events: What the browser told without being asked, as (name, content).
    """

    def __init__(self, to_browser: int, from_browser: int) -> None:
        self.events: list[tuple[str, dict[str, Any]]] = []
        self._to, self._from = to_browser, from_browser
        self._left = b""
        self._number = 0
        self._session = ""
        target = self.ask("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.ask("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Network", "Log", "Runtime", "Performance"):
            self.ask(f"{domain}.enable")

    def ask(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Give one order and wait for its answer."""
        self._number += 1
        message: dict[str, Any] = {"id": self._number, "method": method, "params": parameters}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._to, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._next()
            if answer.get("id") == self._number:
                assert "error" not in answer, answer
                result: dict[str, Any] = answer["result"]
                return result
            self.events.append((answer["method"], answer["params"]))

    def open(self, file: Path) -> None:
        """Load a file and wait until that is done."""
        self.visit(file.as_uri())

    def visit(self, address: str) -> None:
        """Load a page and wait until that is done."""
        self.events.clear()
        self.ask("Page.navigate", url=address)
        while not any(name == "Page.loadEventFired" for name, _ in self.events):
            answer = self._next()
            self.events.append((answer["method"], answer["params"]))

    def value(self, expression: str) -> Any:
        """What an expression of the page's language comes to."""
        return self.ask("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)["result"].get(
            "value"
        )

    def look(self, width: int, *, height: int = 900, scheme: str = "light", medium: str = "screen") -> None:
        """Choose a window and how the person likes pages to look."""
        self.ask("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)
        self.ask(
            "Emulation.setEmulatedMedia", media=medium, features=[{"name": "prefers-color-scheme", "value": scheme}]
        )

    def picture(self) -> bytes:
        """The whole page as PNG."""
        taken = self.ask("Page.captureScreenshot", format="png", captureBeyondViewport=True)
        return base64.b64decode(taken["data"])

    def paper(self) -> bytes:
        """The whole page as it would be printed, as PDF."""
        return base64.b64decode(self.ask("Page.printToPDF", printBackground=False)["data"])

    def requested(self) -> list[str]:
        """Every address that was asked for since the page was opened, but for what the page itself forbids."""
        refused = {
            told["requestId"]
            for name, told in self.events
            if name == "Network.loadingFailed" and told.get("blockedReason") == "csp"
        }
        return [
            told["request"]["url"]
            for name, told in self.events
            if name == "Network.requestWillBeSent" and told["requestId"] not in refused
        ]

    def complaints(self) -> list[str]:
        """What the browser did not like about the page."""
        return [told["entry"]["text"] for name, told in self.events if name == "Log.entryAdded"]

    def _next(self) -> dict[str, Any]:
        while b"\0" not in self._left:
            more = os.read(self._from, 1 << 20)
            assert more, "the browser has ended"
            self._left += more
        message, _, self._left = self._left.partition(b"\0")
        found: dict[str, Any] = json.loads(message)
        return found


@contextmanager
def browser(profile: Path) -> Iterator[Browser]:
    """A browser of its own, which ends with the context.

    Args:
        profile: An empty directory for what it keeps.
    """
    assert PROGRAM is not None, "chromium is not installed: make test-packages"
    orders_out, orders_in = os.pipe()
    answers_out, answers_in = os.pipe()
    command = [
        PROGRAM,
        "--headless=new",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-dev-shm-usage",
        # It is to look at files, and to ask nobody for news about itself.
        "--disable-background-networking",
        "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
        "--no-first-run",
        f"--user-data-dir={profile}",
        "--remote-debugging-pipe",
        "about:blank",
    ]
    # The browser reads its orders from descriptor 3 and answers on 4. A plain sh takes no numbers above 9.
    shell = ["bash", "-c", f'exec "$@" 3<&{orders_out} 4>&{answers_in}', "bash", *command]
    process = subprocess.Popen(
        shell, pass_fds=(orders_out, answers_in), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    os.close(orders_out)
    os.close(answers_in)
    try:
        yield Browser(orders_in, answers_out)
    finally:
        with suppress(BrokenPipeError):  # it may have ended by itself, and the test tells
            os.write(orders_in, b'{"id": 0, "method": "Browser.close"}\0')
        try:
            process.wait(timeout=20)
        finally:
            process.kill()
        os.close(orders_in)
        os.close(answers_out)
