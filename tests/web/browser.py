"""A real browser for tests: Debian's Chromium, spoken to by its DevTools protocol over a pair of pipes.

Nothing to install beside Chromium itself: messages are JSON, each ended by a zero byte.
"""

from __future__ import annotations

import base64
import json
import os
import select
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, Self

FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-extensions",
    "--disable-dev-shm-usage",
    "--mute-audio",
    "--disable-background-timer-throttling",
    "--disable-renderer-backgrounding",
    "--disable-backgrounding-occluded-windows",
    "--remote-debugging-pipe",
)


def find_chromium() -> str | None:
    """The browser, or None."""
    for name in (os.environ.get("KDPHYS_CHROMIUM", ""), "/usr/lib/chromium/chromium", "chromium", "chromium-browser"):
        found = name and shutil.which(name)
        if found:
            return found
    return None


class Browser:
    """One Chromium with one page.

    Args:
        flags: beside the usual ones.
        size: of the page, pixels.
    """

    def __init__(self, *flags: str, size: tuple[int, int] = (1280, 900)) -> None:
        found = find_chromium()
        assert found is not None
        self._profile = tempfile.TemporaryDirectory(prefix="kdphys-chromium-", ignore_cleanup_errors=True)
        to_browser, self._write = os.pipe()
        self._read, from_browser = os.pipe()
        # The browser reads from descriptor 3 and writes to 4.
        command = f'exec "$@" 3<&{to_browser} 4>&{from_browser}'
        arguments = [
            found,
            *FLAGS,
            f"--user-data-dir={self._profile.name}",
            f"--window-size={size[0]},{size[1]}",
            *flags,
        ]
        self._process = subprocess.Popen(
            ["bash", "-c", command, "bash", *arguments, "about:blank"],
            pass_fds=(to_browser, from_browser),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        os.close(to_browser)
        os.close(from_browser)
        self._buffer = b""
        self._next = 0
        self._session: str | None = None
        #: What the page asked the network for.
        self.requests: list[str] = []
        #: Errors and refusals that the browser reported.
        self.complaints: list[str] = []
        try:
            self._attach()
        except BaseException:
            self.close()
            raise

    def _attach(self) -> None:
        pages = self.call("Target.getTargets", session=None)["targetInfos"]
        target = next(page["targetId"] for page in pages if page["type"] == "page")
        self._session = self.call("Target.attachToTarget", targetId=target, flatten=True, session=None)["sessionId"]
        for domain in ("Page", "Runtime", "Network", "Log"):
            self.call(f"{domain}.enable")
        # What the worker asks for is seen through its own session.
        self.call("Target.setAutoAttach", autoAttach=True, waitForDebuggerOnStart=False, flatten=True)

    def call(
        self, method: str, *, session: str | None = "page", timeout: float = 30.0, **parameters: Any
    ) -> dict[str, Any]:
        """Call a method of the protocol and wait for its answer."""
        self._next += 1
        number = self._next
        self._send(number, method, self._session if session == "page" else session, parameters)
        deadline = time.monotonic() + timeout
        while True:
            message = self._receive(deadline, method)
            if message.get("id") == number:
                if "error" in message:
                    raise RuntimeError(f"{method}: {message['error']['message']}")
                return dict(message["result"])
            self._notice(message)

    def _send(self, number: int, method: str, session: str | None, parameters: dict[str, Any]) -> None:
        message: dict[str, Any] = {"id": number, "method": method, "params": parameters}
        if session:
            message["sessionId"] = session
        data = json.dumps(message).encode() + b"\0"
        while data:
            data = data[os.write(self._write, data) :]

    def _receive(self, deadline: float, what: str) -> dict[str, Any]:
        while b"\0" not in self._buffer:
            left = deadline - time.monotonic()
            if left <= 0 or not select.select([self._read], [], [], left)[0]:
                raise TimeoutError(f"the browser did not answer: {what}")
            data = os.read(self._read, 1 << 20)
            if not data:
                raise RuntimeError(f"the browser ended: {what}")
            self._buffer += data
        line, _, self._buffer = self._buffer.partition(b"\0")
        return dict(json.loads(line))

    def _notice(self, message: dict[str, Any]) -> None:
        method, what = message.get("method"), message.get("params", {})
        if method == "Network.requestWillBeSent":
            self.requests.append(what["request"]["url"])
        elif method == "Runtime.exceptionThrown":
            details = what["exceptionDetails"]
            self.complaints.append(details.get("exception", {}).get("description") or details["text"])
        elif method == "Log.entryAdded" and what["entry"]["level"] == "error":
            self.complaints.append(f"{what['entry']['text']} {what['entry'].get('url', '')}")
        elif method == "Target.attachedToTarget":
            for domain in ("Network", "Runtime", "Log"):
                self._next += 1
                self._send(self._next, f"{domain}.enable", what["sessionId"], {})

    def open(self, url: str) -> None:
        """Go to a page."""
        self.call("Page.navigate", url=url)
        self.wait(lambda: self.js("document.readyState") == "complete", "the page to load")

    def js(self, expression: str, *, gesture: bool = False, timeout: float = 30.0) -> Any:
        """The value of an expression in the page, awaited."""
        out = self.call(
            "Runtime.evaluate", session="page", timeout=timeout,
            expression=expression, awaitPromise=True, returnByValue=True, userGesture=gesture,
        )  # fmt: skip
        if "exceptionDetails" in out:
            details = out["exceptionDetails"]
            raise RuntimeError(details.get("exception", {}).get("description") or details["text"])
        return out["result"].get("value")

    def wait(self, condition: Callable[[], Any], what: str, seconds: float = 30.0) -> Any:
        """Wait until ``condition`` gives something true, and give that."""
        deadline = time.monotonic() + seconds
        while True:
            value = condition()
            if value:
                return value
            if time.monotonic() > deadline:
                raise TimeoutError(f"waited {seconds:g} s for {what}; the browser said: {self.complaints}")
            time.sleep(0.1)

    def key(self, name: str, code: int, text: str = "") -> None:
        """Press a key."""
        for kind in ("rawKeyDown" if not text else "keyDown", "keyUp"):
            self.call(
                "Input.dispatchKeyEvent", type=kind, key=name, code=name, windowsVirtualKeyCode=code,
                **({"text": text} if text and kind == "keyDown" else {}),
            )  # fmt: skip

    def screenshot(self, path: Path) -> None:
        """Write a PNG of the whole page."""
        size = self.call("Page.getLayoutMetrics")["cssContentSize"]
        clip = {"x": 0, "y": 0, "width": size["width"], "height": size["height"], "scale": 1}
        picture = self.call("Page.captureScreenshot", format="png", clip=clip, captureBeyondViewport=True)
        path.write_bytes(base64.b64decode(picture["data"]))

    def device(self, width: int, height: int, *, mobile: bool = False, dark: bool = False, still: bool = False) -> None:
        """Look like another screen."""
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=mobile)
        features = [
            {"name": "prefers-color-scheme", "value": "dark" if dark else "light"},
            {"name": "prefers-reduced-motion", "value": "reduce" if still else "no-preference"},
        ]
        self.call("Emulation.setEmulatedMedia", features=features)

    def close(self) -> None:
        """End the browser, and wait for it."""
        try:
            if self._process.poll() is None:
                self._send(0, "Browser.close", None, {})
                self._process.wait(10)
        except (OSError, subprocess.TimeoutExpired):
            self._process.kill()
            self._process.wait(10)
        finally:
            os.close(self._write)
            os.close(self._read)
            self._profile.cleanup()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()
