"""A headless Chromium, driven over a pipe by its DevTools protocol. Needs no library.

with browser() as chromium:
page = chromium.open("file:///tmp/plan.html#action=delete")
page.run("document.title")
"""

import base64
import json
import os
import select
import shutil
import subprocess
import sys
import tempfile
from contextlib import contextmanager
from pathlib import Path

import pytest

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
FLAGS = (
    "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-extensions "
    "--disable-background-networking --disable-component-update --disable-sync "
    "--disable-dev-shm-usage --disable-domain-reliability --disable-default-apps "
    "--disable-features=OptimizationHints,MediaRouter,Translate,DialMediaRouteProvider "
    "--remote-debugging-pipe --metrics-recording-only about:blank"
)
LAUNCH = """
import os, sys
ends = [os.dup(int(end)) for end in sys.argv[1:3] for _ in range(4)][3::4]  # beyond 3 and 4
os.dup2(ends[0], 3), os.dup2(ends[1], 4)
os.execv(sys.argv[3], sys.argv[3:])
"""
PATIENCE = 60  # seconds for one answer; a busy machine is slow to start a browser


def executable():
    """The browser; without one a test fails, and says what to install."""
    asked = os.environ.get("CHROMIUM")
    found = next(filter(None, map(shutil.which, [asked] if asked else NAMES)), None)
    if found is None:
        pytest.fail("no Chromium: `make chromium` installs it, or CHROMIUM=/path/to/it names one")
    return found


class Page:
    """One tab, and everything it said, asked for and got wrong."""

    def __init__(self, chromium, session):
        self.chromium, self.session = chromium, session
        self.requests, self.problems = [], []

    def call(self, method, **params):
        """One command to this tab; its result."""
        return self.chromium.call(method, session=self.session, **params)

    def run(self, expression):
        """The value of a JavaScript expression."""
        answer = self.call(
            "Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True
        )
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    def go(self, url):
        """Load a page to its end: this one, for that of the empty tab may yet be told."""
        loader = self.call("Page.navigate", url=url)["loaderId"]
        self.chromium.wait("load", loader)

    def resize(self, width):
        """Show the page in a window of so many pixels."""
        self.call(
            "Emulation.setDeviceMetricsOverride",
            width=width, height=900, deviceScaleFactor=1, mobile=False,
        )  # fmt: skip
        self.until(f"innerWidth === {width}")

    def press(self, key, text=""):
        """One key, as from a keyboard."""
        for kind in ("keyDown", "keyUp"):
            said = {"text": text} if text and kind == "keyDown" else {}
            self.call("Input.dispatchKeyEvent", type=kind, key=key, **said)

    def type(self, text):
        """Text into what has the focus."""
        self.call("Input.insertText", text=text)

    def click(self, selector):
        """A click where the element is, as with a mouse."""
        x, y = self.run(
            f"(() => {{ const e = document.querySelector({json.dumps(selector)});"
            " e.scrollIntoView({block: 'center', behavior: 'instant'});"
            " const b = e.getBoundingClientRect(); return [b.x + b.width / 2, b.y + b.height / 2]"
            " })()"
        )
        for kind in ("mousePressed", "mouseReleased"):
            self.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)

    def until(self, expression):
        """Wait until an expression is true, frame by frame."""
        self.run(
            f"new Promise((done) => {{ const look = () => ({expression}) ? done(true)"
            " : requestAnimationFrame(look); look() })"
        )

    def look(self, path, *, width=1280, height=900):
        """A screenshot."""
        self.call(
            "Emulation.setDeviceMetricsOverride",
            width=width, height=height, deviceScaleFactor=1, mobile=False,
        )  # fmt: skip
        data = self.call("Page.captureScreenshot", format="png")["data"]
        Path(path).write_bytes(base64.b64decode(data))

    def notice(self, event):
        """Keep what a test wants to know of an event."""
        params = event["params"]
        match event["method"]:
            case "Network.requestWillBeSent":
                self.requests.append(params["request"]["url"])
            case "Log.entryAdded":
                self.problems.append(params["entry"]["text"])
            case "Runtime.consoleAPICalled" | "Runtime.exceptionThrown":
                self.problems.append(json.dumps(params))


class Chromium:
    """The process at the other end of two pipes."""

    def __init__(self, to, back):
        self.to, self.back = to, back
        self.rest, self.number, self.pages, self.stages = b"", 0, {}, set()
        self.empty = []  # tabs that no test uses

    def open(self, url, *, script=True, media=(), width=1280):
        """An empty tab that shows a page; `script=False` switches JavaScript off in it."""
        page = self.empty.pop() if self.empty else self._add_tab()
        page.requests, page.problems = [], []
        page.call("Emulation.setScriptExecutionDisabled", value=not script)
        page.call("Emulation.setEmulatedMedia", media="", features=list(media))
        page.call(
            "Emulation.setDeviceMetricsOverride",
            width=width, height=900, deviceScaleFactor=1, mobile=False,
        )  # fmt: skip
        page.go(url)
        return page

    def empty_tabs(self):
        """Empty each tab for the next test: a new tab starts a process."""
        for page in self.pages.values():
            if page not in self.empty:
                page.go("about:blank")
        self.empty = list(self.pages.values())

    def _add_tab(self):
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        attached = self.call("Target.attachToTarget", targetId=target, flatten=True)
        page = self.pages[attached["sessionId"]] = Page(self, attached["sessionId"])
        for domain in ("Page", "Network", "Log", "Runtime"):
            page.call(f"{domain}.enable")
        page.call("Page.setLifecycleEventsEnabled", enabled=True)
        return page

    def call(self, method, session=None, **params):
        """One command; its result."""
        self.number += 1
        number = self.number
        message = {"id": number, "method": method, "params": params}
        if session:
            message["sessionId"] = session
        os.write(self.to, json.dumps(message).encode() + b"\0")
        while (answer := self._next()).get("id") != number:
            self._keep(answer)
        assert "error" not in answer, answer["error"]
        return answer["result"]

    def wait(self, stage, loader):
        """Until a document has reached a stage of its life."""
        while (stage, loader) not in self.stages:
            self._keep(self._next())

    def _keep(self, event):
        if "method" not in event:
            return
        if event["method"] == "Page.lifecycleEvent":
            self.stages.add((event["params"]["name"], event["params"]["loaderId"]))
        if (session := event.get("sessionId")) in self.pages:
            self.pages[session].notice(event)

    def _next(self):
        while b"\0" not in self.rest:
            ready, _, _ = select.select([self.back], [], [], PATIENCE)
            assert ready, "the browser does not answer"
            block = os.read(self.back, 1 << 20)
            assert block, "the browser has gone"
            self.rest += block
        message, _, self.rest = self.rest.partition(b"\0")
        return json.loads(message)


def asked_by_pages(log):
    """URLs of a network log that a page asked for; what the browser asks for itself is left out."""
    events = json.loads(log.read_text(encoding="utf-8"))["events"]
    asked = [event["params"] for event in events if "url" in event.get("params", {})]
    return [one["url"] for one in asked if one.get("initiator", "not an origin") != "not an origin"]


@contextmanager
def browser(*flags):
    """A browser with a profile of its own, gone when the block ends."""
    ours, theirs = os.pipe(), os.pipe()  # what it reads, what it writes
    with tempfile.TemporaryDirectory(prefix="chromium-", ignore_cleanup_errors=True) as profile:
        ends = ours[0], theirs[1]
        chosen = [executable(), *FLAGS.split(), f"--user-data-dir={profile}", *flags]
        process = subprocess.Popen(
            [sys.executable, "-c", LAUNCH, *map(str, ends), *chosen],
            pass_fds=ends,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(ours[0])
        os.close(theirs[1])
        chromium = Chromium(ours[1], theirs[0])
        try:
            yield chromium
            chromium.call("Browser.close")
            process.wait(PATIENCE)
        finally:
            process.kill()
            process.wait()
            os.close(ours[1])
            os.close(theirs[0])
