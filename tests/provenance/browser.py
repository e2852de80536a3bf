"""A real browser: Debian's Chromium without a window, driven by its DevTools protocol."""

from __future__ import annotations

import base64
import itertools
import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import websocket

from tests.waiting import PATIENCE, wait_for

#: The browser's path; None: no browser is installed.
BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
#: Key codes of the keys that are not letters.
_KEYS = {
    "Enter": 13,
    "Escape": 27,
    "ArrowLeft": 37,
    "ArrowUp": 38,
    "ArrowRight": 39,
    "ArrowDown": 40,
    "Tab": 9,
}


class Page:
    """One page.

    Args:
        socket: the DevTools connection.

    Attributes:
        problems: errors that the page's scripts threw, and loads that the browser refused.
        requests: the page's requests to the network.
    """

    def __init__(self, socket: websocket.WebSocket) -> None:
        self._socket, self._numbers = socket, itertools.count(1)
        self.problems: list[str] = []
        self.requests: list[str] = []
        for domain in ("Runtime", "Log", "Network", "Page"):
            self.ask(f"{domain}.enable")

    def ask(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Sends a DevTools command; returns its answer."""
        number = next(self._numbers)
        self._socket.send(json.dumps({"id": number, "method": method, "params": parameters}))
        while True:
            message = json.loads(self._socket.recv())
            if message.get("id") == number:
                assert "error" not in message, message
                return dict(message["result"])
            self._noted(message["method"], message["params"])

    def _noted(self, method: str, said: dict[str, Any]) -> None:
        if method == "Runtime.exceptionThrown":
            self.problems.append(json.dumps(said["exceptionDetails"]))
        elif method == "Log.entryAdded" and said["entry"]["level"] == "error":
            self.problems.append(said["entry"]["text"])
        elif method == "Network.requestWillBeSent" and not said["request"]["url"].startswith("data:"):
            self.requests.append(said["request"]["url"])

    def run(self, expression: str) -> Any:
        """Evaluates a JavaScript expression; returns its value."""
        answer = self.ask("Runtime.evaluate", expression=expression, returnByValue=True)
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    def open(self, file: Path) -> None:
        """Shows a page, and waits until its graph is laid out."""
        self.ask("Page.navigate", url=file.as_uri())
        wait_for(lambda: self.run("document.body?.dataset.ready === 'true'"), "the graph")

    def press(self, *keys: str) -> None:
        """Presses keys: names of `_KEYS`, or a letter."""
        for key in keys:
            text = {"text": "\r" if key == "Enter" else key} if key == "Enter" or len(key) == 1 else {}
            pressed = {"key": key, "windowsVirtualKeyCode": _KEYS.get(key, 0), **text}
            self.ask("Input.dispatchKeyEvent", type="keyDown", **pressed)
            self.ask("Input.dispatchKeyEvent", type="keyUp", key=key)

    def click(self, x: float, y: float) -> None:
        """Clicks at a place."""
        for kind in ("mousePressed", "mouseReleased"):
            self.ask("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)

    def dark(self, wanted: bool) -> None:
        """Sets whether the user's system prefers dark colours."""
        scheme = {"name": "prefers-color-scheme", "value": "dark" if wanted else "light"}
        self.ask("Emulation.setEmulatedMedia", features=[scheme])

    def screenshot(self, file: Path) -> None:
        """A picture of the page as it is."""
        file.write_bytes(base64.b64decode(self.ask("Page.captureScreenshot")["data"]))


@contextmanager
def browser(folder: Path, width: int = 1400, height: int = 800) -> Iterator[Page]:
    """A browser with an empty page."""
    assert BROWSER
    options = ("--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--hide-scrollbars")
    process = subprocess.Popen(
        [BROWSER, *options, "--remote-debugging-port=0", "--remote-allow-origins=*",
         f"--user-data-dir={folder}", f"--window-size={width},{height}", "about:blank"],
        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        assert process.stderr is not None
        heard = (re.search(r"DevTools listening on ws://([\d.:]+)/", line) for line in process.stderr)
        found = next(filter(None, heard))
        with urlopen(f"http://{found[1]}/json/list", timeout=PATIENCE) as answer:
            pages = [one for one in json.load(answer) if one["type"] == "page"]
        socket = websocket.create_connection(pages[0]["webSocketDebuggerUrl"], timeout=PATIENCE)
        try:
            yield Page(socket)
        finally:
            socket.close()
    finally:
        process.terminate()
        process.communicate(timeout=PATIENCE)
