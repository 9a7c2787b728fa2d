"""Firefox, driven over WebDriver BiDi (https://w3c.github.io/webdriver-bidi/) on one WebSocket.

Playwright drives a Firefox build of its own only; this is as much of the protocol as the tests of the page need, and
drives the Firefox that people have.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from websockets.sync.client import ClientConnection, connect

FIREFOX = next(filter(None, map(shutil.which, ("firefox-esr", "firefox"))), None)
START_S = 30.0
ANSWER_S = 20.0
STOP_S = 10.0

PREFS: dict[str, bool | int | str] = {
    # A microphone that hums and that nobody has to allow; sound without a gesture; WebRTC without a network.
    "media.navigator.streams.fake": True,
    "media.navigator.permission.disabled": True,
    "media.autoplay.default": 0,
    "media.peerconnection.ice.loopback": True,
    "media.peerconnection.ice.obfuscate_host_addresses": False,
    # Firefox stays at home.
    "app.normandy.enabled": False,
    "app.update.disabledForTesting": True,
    "browser.safebrowsing.update.enabled": False,
    "browser.shell.checkDefaultBrowser": False,
    "datareporting.policy.dataSubmissionEnabled": False,
    "extensions.update.enabled": False,
    "network.captive-portal-service.enabled": False,
    "network.connectivity-service.enabled": False,
    "services.settings.server": "data:,",
    "toolkit.telemetry.enabled": False,
}


class Firefox:
    """One headless Firefox with one tab. Close it in the end.

    `sound` names the PulseAudio server to play to. Without any sound output Firefox never starts an AudioContext.
    """

    def __init__(self, sound: str) -> None:
        if FIREFOX is None:
            raise FileNotFoundError("Firefox is not installed (apt-get install firefox-esr)")
        self.folder = Path(tempfile.mkdtemp(prefix="firefox-"))
        prefs = [f"user_pref({json.dumps(name)}, {json.dumps(value)});" for name, value in PREFS.items()]
        (self.folder / "user.js").write_text("\n".join(prefs))
        self.log = self.folder / "firefox.log"
        with self.log.open("wb") as file:
            flags = ("--headless", "--no-remote", "--remote-debugging-port", "0", "--profile", str(self.folder))
            environment = {**os.environ, "HOME": str(self.folder), "PULSE_SERVER": sound}
            self.process = subprocess.Popen([FIREFOX, *flags], env=environment, stdout=file, stderr=subprocess.STDOUT)
        self.init_scripts: list[str] = []
        self.errors: list[str] = []
        self.commands = 0
        self.exits = ExitStack()
        try:
            self.socket = self._connect()
            self._begin()
        except BaseException:
            self.close()
            raise

    def _connect(self) -> ClientConnection:
        end = time.monotonic() + START_S
        while time.monotonic() < end:
            printed = self.log.read_text(errors="replace")
            if found := re.search(r"WebDriver BiDi listening on (ws://\S+)", printed):
                return self.exits.enter_context(connect(found.group(1) + "/session", max_size=None, proxy=None))
            if self.process.poll() is not None:
                break
            time.sleep(0.05)
        raise AssertionError(f"Firefox did not start within {START_S} s: {self.log.read_text(errors='replace')}")

    def _begin(self) -> None:
        self.call("session.new", capabilities={})
        self.call("session.subscribe", events=["log.entryAdded"])
        self.tab = self.call("browsingContext.getTree")["contexts"][0]["context"]

    def call(self, method: str, **params: Any) -> Any:
        """The result of one command. What the page has logged meanwhile is kept in `errors`."""
        self.commands += 1
        self.socket.send(json.dumps({"id": self.commands, "method": method, "params": params}))
        while True:
            message = json.loads(self.socket.recv(ANSWER_S))
            if message.get("method") == "log.entryAdded" and message["params"]["level"] == "error":
                self.errors.append(str(message["params"]["text"]))
            if message.get("id") == self.commands:
                assert message["type"] == "success", f"{method}: {message}"
                return message["result"]

    def goto(self, url: str, *init_scripts: str) -> None:
        """Open a page. The init scripts run before its own, in this page only; `errors` starts anew."""
        for script in self.init_scripts:
            self.call("script.removePreloadScript", script=script)
        functions = [f"() => {{ if (isSecureContext) {{ {code} }} }}" for code in init_scripts]
        added = [self.call("script.addPreloadScript", functionDeclaration=function) for function in functions]
        self.init_scripts = [each["script"] for each in added]
        self.errors.clear()
        self.call("browsingContext.navigate", context=self.tab, url=url, wait="complete")

    def reload(self) -> None:
        self.call("browsingContext.reload", context=self.tab, wait="complete")

    def evaluate(self, function: str, *arguments: Any) -> Any:
        """What a JavaScript function returns or resolves to, by way of JSON; it counts as a gesture of the person."""
        given = ", ".join(map(json.dumps, arguments))
        got = self.call(
            "script.evaluate",
            expression=f"Promise.resolve(({function})({given})).then((value) => JSON.stringify(value ?? null))",
            target={"context": self.tab}, awaitPromise=True, userActivation=True,
        )  # fmt: skip
        assert got["type"] == "success", got["exceptionDetails"]["text"]
        return json.loads(got["result"]["value"])

    def click(self, selector: str) -> None:
        self.evaluate("(selector) => document.querySelector(selector).click()", selector)

    def until(self, check: Callable[[], Any], what: str, limit_s: float = 20.0) -> Any:
        """Poll until `check()` is true; fails with what the page shows otherwise."""
        end = time.monotonic() + limit_s
        while time.monotonic() < end:
            if found := check():
                return found
            time.sleep(0.05)
        shown = self.evaluate("() => document.body.innerText")
        raise AssertionError(f"not seen within {limit_s} s: {what}\nerrors: {self.errors}\nthe page:\n{shown}")

    def close(self) -> None:
        self.exits.close()
        self.process.terminate()
        try:
            self.process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait(STOP_S)
        shutil.rmtree(self.folder, ignore_errors=True)
