"""Two pages and a client without a page in one conversation: who is live, and that all come to see the same."""

from __future__ import annotations

import json
import os
import random
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

import pytest
from playwright.sync_api import Browser, BrowserContext
from websockets.sync.client import connect

from agent.timeline.codec import loads
from agent.timeline.projections.presence import Presence
from tests.browser.page import TalkPage
from tests.fixtures.server import Server, payloads, wait_idle

SEED = int(os.environ.get("FIRST_SEED", "0"))
ROUNDS = int(os.environ.get("ROUNDS", "1"))
MOVES = ("drops", "drops", "takes over", "takes over", "reloads", "asks", "wall drops", "wall drops")
PHONE = "Mozilla/5.0 (Linux; Android 16; K) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/156.0 Mobile Safari/537.36"
KEPT = "() => JSON.parse(sessionStorage.getItem('voice-agent'))"
AUDIBLE = 200.0
PEERS = """
window.testPeers = [];
window.RTCPeerConnection = class extends RTCPeerConnection {
  constructor(...given) {
    super(...given);
    window.testPeers.push(this);
  }
};
"""
SHOWN = """
const shown = ({ sessionId, seq, transcript, figures, proposal, presence, status, playback, playingReply }) =>
  JSON.stringify({ sessionId, seq, transcript, figures, proposal, presence, status, playback, playingReply },
  (_, value) => (value instanceof Map || value instanceof Set ? [...value] : value));
"""
WHAT_ALL_SEE = f"() => {{ {SHOWN} return shown(window.voiceAgent.state()); }}"
WHAT_THESE_SAY = f"""
async (messages) => {{
  const here = (name) => import(new URL(name, document.baseURI));
  const [{{ parseMessage }}, {{ initialState, reduce }}] = await Promise.all([here('wire.js'), here('state.js')]);
  {SHOWN}
  return shown(messages.map(parseMessage).reduce(reduce, initialState()));
}}
"""


class Wall:
    """A client on a WebSocket that has no sound: it reads, may ask for something, and comes back where it was."""

    def __init__(self, server: Server, token: str) -> None:
        self._server = server
        self.messages: list[dict[str, Any]] = []
        self._open(token, "0:0")

    def _open(self, token: str, seen: str) -> None:
        wish = {"session_token": token, "session_seen": seen, "device_id": "kitchen-wall", "device_sound": "none"}
        url = self._server.url.replace("http", "ws", 1) + f"ws?{urlencode(wish)}"
        self._scope = ExitStack()
        self._socket = self._scope.enter_context(connect(url, user_agent_header="wall/1.0", proxy=None))
        self.hello: dict[str, Any] = json.loads(self._socket.recv())["payload"]
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        for message in self._socket:
            if isinstance(message, str) and "seq" in (found := json.loads(message)):
                self.messages.append(found)

    def send(self, type_: str, **payload: Any) -> str:
        event_id = f"wall-{len(self.messages):08}"
        self._socket.send(json.dumps({"event_id": event_id, "type": type_, "payload": payload}))
        return event_id

    @property
    def seq(self) -> int:
        return max((message["seq"] for message in self.messages), default=0)

    def presence(self) -> dict[str, Any]:
        fold = Presence()
        for message in list(self.messages):
            fold.apply(loads(json.dumps({key: value for key, value in message.items() if key != "rtp_timestamp"})))
        return fold.state()

    def come_back(self) -> None:
        self.close()
        self._open(self.hello["token"], f"{self.hello['epoch']}:{self.seq}")
        assert self.hello["resume"] == "resumed"

    def close(self) -> None:
        self._scope.close()
        self._reader.join(10)


@contextmanager
def opened(browser: Browser, **options: Any) -> Iterator[BrowserContext]:
    context = browser.new_context(bypass_csp=True, viewport={"width": 1280, "height": 800}, **options)
    context.add_init_script(PEERS)
    yield context
    context.close()


def second(context: BrowserContext, server: Server, first: TalkPage) -> TalkPage:
    """A page of another device, in the conversation of the first."""
    first.until(lambda: first.page.evaluate(KEPT)["token"], "a token")
    kept = first.page.evaluate(KEPT) | {"deviceId": "phone-01", "microphone": True}
    once = "sessionStorage.getItem('voice-agent') ?? sessionStorage.setItem('voice-agent', JSON.stringify(%s))"
    context.add_init_script(once % json.dumps(kept))
    talk = TalkPage(context.new_page(), server.url)
    talk.until(lambda: connected(talk), "connected")
    return talk


@dataclass
class Room:
    """Two pages and a client without one, in one conversation."""

    server: Server
    laptop: TalkPage
    phone: TalkPage
    wall: Wall

    @property
    def pages(self) -> tuple[TalkPage, TalkPage]:
        return self.laptop, self.phone


@contextmanager
def room(server: Server, browser: Browser) -> Iterator[Room]:
    with opened(browser) as one, opened(browser, user_agent=PHONE) as other:
        laptop = TalkPage(one.new_page(), server.url)
        laptop.connect()
        phone = second(other, server, laptop)
        wall = Wall(server, laptop.page.evaluate(KEPT)["token"])
        try:
            yield Room(server, laptop, phone, wall)
        finally:
            wall.close()


def connected(talk: TalkPage) -> bool:
    return talk.page.get_attribute("html", "data-phase") == "connected"


def live(talk: TalkPage) -> str:
    return str(talk.page.evaluate("() => window.voiceAgent.state().presence.live"))


def own_id(talk: TalkPage) -> str:
    return str(talk.page.evaluate("() => window.voiceAgent.state().deviceId"))


def names(talk: TalkPage) -> list[str]:
    return list(talk.page.evaluate("() => window.voiceAgent.state().presence.devices.map((device) => device.name)"))


def hears(talk: TalkPage) -> bool:
    heard = talk.recording()
    return float(heard.level(heard.ear[-heard.rate :]).max(initial=0.0)) > AUDIBLE


@pytest.mark.live
def test_all_devices_converge_whoever_comes_goes_and_takes_over(server: Server, browser: Browser) -> None:
    with room(server, browser) as all_here:
        they_see_each_other(all_here)
        the_list_of_devices_opens_and_closes(all_here.laptop)
        the_answer_goes_on_where_it_is_asked_for(all_here)
        who_comes_back_does_not_take_the_focus(all_here)
        who_cannot_or_comes_too_late_is_told_alone(all_here)
        all_show_the_same(all_here)
        assert not all_here.laptop.errors + all_here.phone.errors
        who_goes_ends_nothing(all_here)
        wait_idle(server)


@pytest.mark.live
def test_all_devices_converge_after_drops_reloads_and_takeovers_by_chance(server: Server, browser: Browser) -> None:
    """More by hand: ROUNDS=10 FIRST_SEED=7 pytest -s -k by_chance tests/browser/test_many_devices.py"""
    with room(server, browser) as all_here:
        dice = random.Random(SEED)
        made = [by_chance(all_here, move, dice) for _ in range(ROUNDS) for move in dice.sample(MOVES, len(MOVES))]
        print(f"seed {SEED}: {', '.join(made)}")
        for talk in all_here.pages:
            talk.until(lambda talk=talk: connected(talk), "that it is back")
        all_here.laptop.page.evaluate("() => window.voiceAgent.send('control.stop')")
        all_show_the_same(all_here)
        seqs = [message["seq"] for message in all_here.wall.messages]
        assert seqs == list(range(1, len(seqs) + 1)), "each once and in order, over all its connections"
        all_here.phone.page.close()
        all_here.laptop.page.click("#hangup")
    wait_idle(server)


def by_chance(here: Room, move: str, dice: random.Random) -> str:
    """Something happens to one of them; what it was."""
    at = dice.randrange(2)
    talk, name = here.pages[at], ("laptop", "phone")[at]
    if move == "drops":
        talk.page.evaluate("() => window.testPeers.at(-1)?.close()")
    elif move == "reloads":
        talk.page.reload()
    elif move == "takes over":
        talk.page.evaluate("() => window.voiceAgent.send('control.focus')")
    elif move == "asks":
        talk.page.evaluate("() => window.voiceAgent.send('text.input', { text: 'what is seven times eight' })")
    else:
        here.wall.come_back()
    talk.page.wait_for_timeout(dice.choice((0, 0, 200, 800)))
    return move if move == "wall drops" else f"{name} {move}"


def they_see_each_other(here: Room) -> None:
    laptop, phone = here.pages
    laptop.until(lambda: len(names(laptop)) == 3, "three devices")
    assert names(laptop) == ["Chromium on Linux", "Chrome on Android", "wall"]
    laptop.until(lambda: live(laptop) == "phone-01", "that the phone, which came last with sound, is live")
    assert laptop.page.inner_text("#devices-live") == "Chrome on Android is live: talk and listen there."
    assert phone.page.inner_text("#devices-live") == "This device is live."
    assert phone.page.is_hidden("#devices-here")


def the_list_of_devices_opens_and_closes(talk: TalkPage) -> None:
    page = talk.page
    page.focus("#devices-more")
    page.keyboard.press("Enter")
    assert "Watching only, WebSocket" in page.inner_text("#devices-list")
    page.keyboard.press("Escape")
    assert page.is_hidden("#devices-list")
    page.set_viewport_size({"width": 320, "height": 640})
    page.keyboard.press("Enter")
    assert page.evaluate("() => document.documentElement.scrollWidth") == 320
    page.mouse.click(160, 20)
    assert page.is_hidden("#devices-list")


def the_answer_goes_on_where_it_is_asked_for(here: Room) -> None:
    laptop, phone = here.pages
    assert not payloads(here.server.entries(), "control.stop")
    for talk in here.pages:
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
    assert not payloads(here.server.entries(), "interruption.confirmed"), "it is the same answer"


def who_comes_back_does_not_take_the_focus(here: Room) -> None:
    laptop, phone = here.pages
    phone.page.reload()
    phone.until(lambda: connected(phone), "connected again")
    laptop.until(lambda: len(names(laptop)) == 3, "that all are here")
    assert live(laptop) == own_id(laptop), "who comes back without the focus does not take it"


def who_cannot_or_comes_too_late_is_told_alone(here: Room) -> None:
    laptop, phone = here.pages
    refused = here.wall.send("control.focus")
    laptop.until(lambda: any(x["parent_event_id"] == refused for x in here.wall.messages), "that a wall is told")
    told = next(x for x in here.wall.messages if x["parent_event_id"] == refused)
    assert (told["type"], told["payload"]["code"]) == ("core.error", "focus.silent")
    assert laptop.page.locator('[data-notice="told"]').count() == 0
    answer = "() => window.voiceAgent.send('control.confirm', { action_id: 'r9:c9', accept: true })"
    laptop.page.evaluate(answer)
    laptop.until(lambda: laptop.page.locator('[data-notice="told"]').count() == 1, "that its answer came too late")
    assert "settled before" in laptop.page.inner_text('[data-notice="told"]')
    assert phone.page.locator('[data-notice="told"]').count() == 0
    laptop.page.click("#stop")
    laptop.until(lambda: laptop.mode() == "interrupted", "silence")


def all_show_the_same(here: Room) -> None:
    """To the byte: the pages, the page's own fold of what came to the wall, and the agent's of its presence."""

    def same() -> bool:
        seen = [talk.page.evaluate(WHAT_ALL_SEE) for talk in here.pages]
        messages = [json.dumps(message) for message in here.wall.messages]
        return seen == [here.laptop.page.evaluate(WHAT_THESE_SAY, messages)] * len(seen)

    here.laptop.until(same, "that all show the same, to the byte")
    shown = json.loads(here.laptop.page.evaluate(WHAT_ALL_SEE))["presence"]
    assert json.dumps(here.wall.presence()) == json.dumps(shown), "and the agent's own fold at the wall too"


def who_goes_ends_nothing(here: Room) -> None:
    laptop, phone = here.pages
    phone.page.close()
    laptop.until(lambda: len(names(laptop)) == 2, "that the phone is gone")
    assert connected(laptop)
    here.wall.close()
    laptop.until(lambda: laptop.page.is_hidden("#devices"), "that it is alone")
    laptop.page.click("#hangup")


@pytest.mark.realtime
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
        for talk in (laptop, phone):
            talk.leave()
        wait_idle(server)
