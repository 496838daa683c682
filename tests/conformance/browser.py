"""A real Chromium that opens pages, spoken to over a pair of pipes (its own debugging protocol)."""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import select
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.lacking import lacking

_NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")

_ARGUMENTS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-background-networking",
    "--remote-debugging-pipe",
)

#: Seconds for an answer; a loaded machine starts a browser slowly.
_ANSWER_S = 60.0


def program() -> str:
    """Return the browser's path; without one the test is skipped, in CI it fails."""
    found = next(filter(None, map(shutil.which, _NAMES)), None)
    return found or lacking("no Chromium is here to open the page (Debian: chromium)")


class Page:
    """One tab.

    Attributes:
        requests: the addresses that it asked for.
        complaints: what the browser wrote to its console.
    """

    def __init__(self, sent: int, received: int) -> None:
        self.requests: list[str] = []
        self.complaints: list[str] = []
        self._sent, self._received = sent, received
        self._rest = b""
        self._numbers = itertools.count(1)
        self._session = None
        target = self._call("Target.createTarget", url="about:blank")["targetId"]
        attached = self._call("Target.attachToTarget", targetId=target, flatten=True)
        self._session = attached["sessionId"]
        for domain in ("Page", "Network", "Log", "Runtime"):
            self._call(f"{domain}.enable")

    def open(self, path: Path, *, dark: bool = False, width: int = 1280) -> None:
        """Open a file, as a reader with a screen of a width and a taste sees it."""
        self.requests.clear()
        self.complaints.clear()
        taste = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self._call("Emulation.setEmulatedMedia", features=[taste])
        size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": False}
        self._call("Emulation.setDeviceMetricsOverride", **size)
        self._call("Page.navigate", url=path.as_uri())
        deadline_s = time.monotonic() + _ANSWER_S
        while self.ask("document.readyState + location.href") != f"complete{path.as_uri()}":
            assert time.monotonic() < deadline_s

    def ask(self, expression: str) -> Any:
        """Return what an expression gives in the page."""
        found = self._call("Runtime.evaluate", expression=expression, returnByValue=True)
        assert "exceptionDetails" not in found, found
        return found["result"].get("value")

    def texts(self, selector: str) -> list[str]:
        """Return the texts that a reader sees of elements; hidden ones are left out."""
        return self.ask(
            f"[...document.querySelectorAll({json.dumps(selector)})]"
            ".filter(one => one.checkVisibility()).map(one => one.innerText)"
        )

    def click(self, selector: str) -> None:
        """Press an element."""
        self.ask(f"document.querySelector({json.dumps(selector)}).click()")

    def _call(self, method: str, **params: Any) -> dict[str, Any]:
        number = next(self._numbers)
        request = {"id": number, "method": method, "params": params}
        if self._session:
            request["sessionId"] = self._session
        os.write(self._sent, json.dumps(request).encode() + b"\0")
        deadline_s = time.monotonic() + _ANSWER_S
        while True:
            answer = self._next(deadline_s)
            if answer.get("id") == number:
                assert "error" not in answer, answer
                return answer["result"]
            self._hear(answer.get("method"), answer.get("params", {}))

    def _hear(self, method: str | None, params: dict[str, Any]) -> None:
        if method == "Network.requestWillBeSent":
            self.requests.append(params["request"]["url"])
        elif method == "Log.entryAdded":
            self.complaints.append(params["entry"]["text"])
        elif method in ("Runtime.exceptionThrown", "Page.javascriptDialogOpening"):
            self.complaints.append(json.dumps(params))

    def _next(self, deadline_s: float) -> dict[str, Any]:
        while b"\0" not in self._rest:
            remaining_s = deadline_s - time.monotonic()
            readable, _, _ = select.select([self._received], [], [], max(0.0, remaining_s))
            assert readable, "the browser gives no answer"
            data = os.read(self._received, 1 << 16)
            assert data, "the browser went away"
            self._rest += data
        text, _, self._rest = self._rest.partition(b"\0")
        return json.loads(text)


@contextlib.contextmanager
def opened(profile: Path) -> Iterator[Page]:
    """Start a browser with an empty profile; end it afterwards."""
    to_read, sent = os.pipe()
    received, to_write = os.pipe()
    # The protocol is spoken on descriptors 3 and 4; a shell puts them there.
    script = f'exec "$0" "$@" 3<&{to_read} 4>&{to_write} {to_read}<&- {to_write}>&-'
    started = subprocess.Popen(
        ["bash", "-c", script, program(), *_ARGUMENTS, f"--user-data-dir={profile}"],
        pass_fds=(to_read, to_write),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    os.close(to_read)
    os.close(to_write)
    try:
        yield Page(sent, received)
    finally:
        os.close(sent)
        os.close(received)  # its pipe's end is what ends it
        try:
            started.wait(20)
        except subprocess.TimeoutExpired:
            os.killpg(started.pid, 9)
            started.wait()
