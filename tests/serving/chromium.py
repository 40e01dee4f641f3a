"""Drive a headless Chromium by its DevTools protocol, over two pipes: no package, no port, no driver program."""

import base64
import contextlib
import json
import os
import select
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

PROGRAM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
# Chromium talks to its makers where it can; a name that is not this machine's leads nowhere.
SWITCHES = (
    "--headless", "--no-sandbox", "--remote-debugging-pipe", "--disable-gpu", "--no-first-run", "--disable-sync",
    "--disable-background-networking", "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
)  # fmt: skip
STEP = 0.05  # seconds between looks
LONGEST = 60.0  # seconds that anything may take: the machine is busy


class Tab:
    """One page. requests: the addresses that it has asked for, with its scripts' and styles'."""

    def __init__(self, commands, answers):
        self._commands, self._answers, self._number, self._session = commands, answers, 0, None
        self._buffer = b""
        self.requests: list[str] = []
        self.said: list[str] = []
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Network", "Runtime", "Log"):
            self.call(f"{domain}.enable")

    def call(self, method: str, **parameters: Any) -> dict:
        """What the protocol's method gives."""
        self._number += 1
        message = {"id": self._number, "method": method, "params": parameters}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._commands, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._next()
            if answer.get("id") == self._number:
                assert "error" not in answer, answer
                return answer["result"]

    def open(self, address: str) -> None:
        self.call("Page.navigate", url=address)

    def run(self, script: str) -> Any:
        """The value of a JavaScript expression, of a promise what it gives."""
        found = self.call("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in found, found["exceptionDetails"]
        return found["result"].get("value")

    def wait_for(self, script: str, seconds: float = LONGEST) -> Any:
        """The expression's value, once that is true."""
        until = time.monotonic() + seconds
        while not (found := self.run(script)):
            assert time.monotonic() < until, f"{script}\n{self.run('document.body.innerText')}\n{self.said}"
            time.sleep(STEP)
        return found

    def choose_file(self, selector: str, path: Path) -> None:
        """Give a file to an `<input type=file>`."""
        root = self.call("DOM.getDocument")["root"]["nodeId"]
        node = self.call("DOM.querySelector", nodeId=root, selector=selector)["nodeId"]
        self.call("DOM.setFileInputFiles", nodeId=node, files=[str(path)])

    def screenshot(self, width: int, height: int) -> bytes:
        """A PNG of the window."""
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)
        return base64.b64decode(self.call("Page.captureScreenshot", format="png")["data"])

    def _next(self) -> dict:
        until = time.monotonic() + LONGEST
        while b"\0" not in self._buffer:
            ready, _, _ = select.select([self._answers], [], [], max(0, until - time.monotonic()))
            assert ready, "Chromium says nothing"
            part = os.read(self._answers, 2**20)
            assert part, "Chromium has gone"
            self._buffer += part
        text, _, self._buffer = self._buffer.partition(b"\0")
        message = json.loads(text)
        self._note(message.get("method"), message.get("params", {}))
        return message

    def _note(self, method: str | None, facts: dict) -> None:
        if method == "Network.requestWillBeSent":
            self.requests.append(facts["request"]["url"])
        elif method == "Log.entryAdded":
            self.said.append(f"{facts['entry']['text']} {facts['entry'].get('url', '')}")
        elif method == "Runtime.exceptionThrown":
            self.said.append(str(facts["exceptionDetails"]))


@contextlib.contextmanager
def chromium(folder: Path) -> Iterator[Tab]:
    """A page of a browser whose files are in `folder`."""
    assert PROGRAM, "there is no Chromium: apt-get install chromium"
    to_read, commands = os.pipe()
    answers, to_write = os.pipe()
    line = [PROGRAM, *SWITCHES, f"--user-data-dir={folder}", f"--disk-cache-dir={folder / 'cache'}"]
    environment = {name: value for name, value in os.environ.items() if name != "LD_PRELOAD"}
    # Not by sh: dash knows file numbers of one digit alone.
    shell = ["bash", "-c", f'exec "$@" 3<&{to_read} 4>&{to_write}', "bash", *line]
    with open(folder / "log", "wb") as log:
        browser = subprocess.Popen(shell, pass_fds=(to_read, to_write), env=environment, stdout=log, stderr=log)
    try:
        os.close(to_read)
        os.close(to_write)
        yield Tab(commands, answers)
    finally:
        os.close(commands)
        os.close(answers)
        browser.terminate()
        try:
            browser.wait(10)
        except subprocess.TimeoutExpired:
            browser.kill()
            browser.wait()
