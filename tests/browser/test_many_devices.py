"""Two pages and a client without a page in one conversation: who is live, and that all come to see the same."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any
from urllib.parse import urlencode

import pytest
from playwright.sync_api import Browser, BrowserContext
from websockets.sync.client import ClientConnection, connect

from agent.timeline.codec import loads
from agent.timeline.projections.presence import Presence
from tests.browser.page import TalkPage
from tests.fixtures.server import Server, payloads, wait_idle

pytestmark = pytest.mark.realtime

PHONE = "Mozilla/5.0 (Linux; Android 16; K) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/156.0 Mobile Safari/537.36"
KEPT = "() => JSON.parse(sessionStorage.getItem('voice-agent'))"
AUDIBLE = 200.0
WHAT_ALL_SEE = """
() => {
  const { sessionId, seq, transcript, proposal, presence, status, playback, playingReply } = window.voiceAgent.state();
  return JSON.stringify({ sessionId, seq, transcript, proposal, presence, status, playback, playingReply });
}
"""


class Watcher:
    """A client on a WebSocket that has no sound: it reads, and may ask for something."""

    def __init__(self, socket: ClientConnection) -> None:
        self._socket = socket
        self.messages: list[dict[str, Any]] = []
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        for message in self._socket:
            if isinstance(message, str):
                self.messages.append(json.loads(message))

    def send(self, type_: str, **payload: Any) -> str:
        event_id = f"wall-{len(self.messages):08}"
        self._socket.send(json.dumps({"event_id": event_id, "type": type_, "payload": payload}))
        return event_id

    @property
    def seq(self) -> int:
        return max((message.get("seq", 0) for message in self.messages), default=0)

    def presence(self) -> dict[str, Any]:
        fold = Presence()
        for message in list(self.messages):
            if "seq" in message:
                fold.apply(loads(json.dumps({key: value for key, value in message.items() if key != "rtp_timestamp"})))
        return fold.state()

    def close(self) -> None:
        self._socket.close()
        self._reader.join(10)


@contextmanager
def watching(server: Server, token: str) -> Iterator[Watcher]:
    wish = {"session_token": token, "device_id": "kitchen-wall", "device_sound": "none"}
    url = server.url.replace("http", "ws", 1) + f"ws?{urlencode(wish)}"
    with connect(url, user_agent_header="wall/1.0", proxy=None) as socket:
        watcher = Watcher(socket)
        yield watcher
        watcher.close()


@contextmanager
def opened(browser: Browser, **options: Any) -> Iterator[BrowserContext]:
    context = browser.new_context(bypass_csp=True, viewport={"width": 1280, "height": 800}, **options)
    yield context
    context.close()


def second(context: BrowserContext, server: Server, first: TalkPage) -> TalkPage:
    """A page of another device, in the conversation of the first."""
    first.until(lambda: first.page.evaluate(KEPT)["token"], "a token")
    kept = first.page.evaluate(KEPT) | {"deviceId": "phone-01", "microphone": True}
    once = "sessionStorage.getItem('voice-agent') ?? sessionStorage.setItem('voice-agent', JSON.stringify(%s))"
    context.add_init_script(once % json.dumps(kept))
    talk = TalkPage(context.new_page(), server.url)
    talk.until(lambda: talk.page.get_attribute("html", "data-phase") == "connected", "connected")
    return talk


def live(talk: TalkPage) -> str:
    return str(talk.page.evaluate("() => window.voiceAgent.state().presence.live"))


def own_id(talk: TalkPage) -> str:
    return str(talk.page.evaluate("() => window.voiceAgent.state().deviceId"))


def here(talk: TalkPage) -> list[str]:
    return list(talk.page.evaluate("() => window.voiceAgent.state().presence.devices.map((device) => device.name)"))


def hears(talk: TalkPage) -> bool:
    heard = talk.recording()
    return float(heard.level(heard.ear[-heard.rate :]).max(initial=0.0)) > AUDIBLE


def test_all_devices_converge_whoever_comes_goes_and_takes_over(server: Server, browser: Browser) -> None:
    with opened(browser) as one, opened(browser, user_agent=PHONE) as other, ExitStack() as scope:
        laptop = TalkPage(one.new_page(), server.url)
        laptop.connect()
        phone = second(other, server, laptop)
        wall = scope.enter_context(watching(server, laptop.page.evaluate(KEPT)["token"]))
        laptop.until(lambda: len(here(laptop)) == 3, "three devices")
        assert here(laptop) == ["Chromium on Linux", "Chrome on Android", "wall"]
        laptop.until(lambda: live(laptop) == "phone-01", "that the phone, which came last with sound, is live")
        assert laptop.page.inner_text("#devices-live") == "Chrome on Android is live: talk and listen there."
        assert phone.page.inner_text("#devices-live") == "This device is live."
        assert phone.page.is_hidden("#devices-here")

        laptop.page.focus("#devices-more")
        laptop.page.keyboard.press("Enter")
        assert "Watching only, WebSocket" in laptop.page.inner_text("#devices-list")
        laptop.page.keyboard.press("Escape")
        assert laptop.page.is_hidden("#devices-list")
        laptop.page.set_viewport_size({"width": 320, "height": 640})
        laptop.page.keyboard.press("Enter")
        assert laptop.page.evaluate("() => document.documentElement.scrollWidth") == 320
        laptop.page.mouse.click(160, 20)
        assert laptop.page.is_hidden("#devices-list")
        assert not payloads(server.entries(), "control.stop")

        for talk in (laptop, phone):
            talk.record()
        laptop.type("what can you do")
        phone.until(lambda: phone.mode() == "speaking" and hears(phone), "the answer on the phone")
        assert not hears(laptop)
        laptop.page.focus("#devices-here")
        laptop.page.keyboard.press("Enter")
        laptop.until(lambda: live(laptop) == own_id(laptop) and hears(laptop), "that it goes on at the laptop")
        assert laptop.page.evaluate("() => document.activeElement.id") == "devices-more"
        phone.until(lambda: not hears(phone), "silence on the phone")
        assert "1 device" not in laptop.page.inner_text("#devices")
        assert not payloads(server.entries(), "interruption.confirmed"), "it is the same answer"

        phone.page.reload()
        phone.until(lambda: phone.page.get_attribute("html", "data-phase") == "connected", "connected again")
        laptop.until(lambda: len(here(laptop)) == 3, "that all are here")
        assert live(laptop) == own_id(laptop), "who comes back without the focus does not take it"
        refused = wall.send("control.focus")
        laptop.until(lambda: any(x.get("parent_event_id") == refused for x in wall.messages), "that a wall is told")
        told = next(x for x in wall.messages if x.get("parent_event_id") == refused)
        assert (told["type"], told["payload"]["code"]) == ("core.error", "focus.silent")
        assert laptop.page.locator('[data-notice="told"]').count() == 0

        answer = "() => window.voiceAgent.send('control.confirm', { action_id: 'r9:c9', accept: true })"
        laptop.page.evaluate(answer)
        laptop.until(lambda: laptop.page.locator('[data-notice="told"]').count() == 1, "that its answer came too late")
        assert "settled before" in laptop.page.inner_text('[data-notice="told"]')
        assert phone.page.locator('[data-notice="told"]').count() == 0

        laptop.page.click("#stop")
        laptop.until(lambda: laptop.mode() == "interrupted", "silence")
        views = [laptop, phone]

        def same() -> bool:
            seen = [talk.page.evaluate(WHAT_ALL_SEE) for talk in views]
            return len(set(seen)) == 1 and json.loads(seen[0])["seq"] == wall.seq

        laptop.until(same, "that both pages show the same, to the byte")
        shown = json.loads(laptop.page.evaluate(WHAT_ALL_SEE))["presence"]
        assert json.dumps(wall.presence()) == json.dumps(shown), "and the agent's own fold at the wall too"

        assert not laptop.errors + phone.errors
        phone.page.close()
        laptop.until(lambda: len(here(laptop)) == 2, "that the phone is gone")
        assert laptop.page.get_attribute("html", "data-phase") == "connected"
        scope.close()
        laptop.until(lambda: laptop.page.is_hidden("#devices"), "that it is alone")
        laptop.page.click("#hangup")
    wait_idle(server)


def test_the_focus_follows_who_talks_to_another_device_and_all_of_it_is_heard(server: Server, browser: Browser) -> None:
    with opened(browser) as one, opened(browser, user_agent=PHONE) as other:
        laptop = TalkPage(one.new_page(), server.url)
        laptop.connect()
        phone = second(other, server, laptop)
        laptop.until(lambda: live(laptop) == "phone-01", "that the phone is live")
        laptop.page.wait_for_timeout(2_500)  # it has just got the focus, and keeps it for a while
        laptop.say("what is seven times eight")
        laptop.until(lambda: live(laptop) == own_id(laptop), "that the laptop is live")
        for talk in (laptop, phone):
            talk.until(lambda talk=talk: any("seven times eight" in text for text in talk.user_texts()), "the question")
            talk.until(lambda talk=talk: any("56" in text for text in talk.agent_texts()), "the answer")
        assert [focus.why for focus in payloads(server.entries(), "device.focused")][-1] == "speech"
        assert not laptop.errors + phone.errors
        laptop.page.click("#hangup")
    wait_idle(server)
