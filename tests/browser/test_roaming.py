"""A page whose address changes in mid-answer: it goes on in the other network, behind what was heard."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from subprocess import CalledProcessError
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser

from agent.timeline.entry import Entry
from tests.browser.conftest import CHROMIUM, LONG_QUESTION
from tests.browser.page import TalkPage
from tests.fixtures.networks import IP, SERVER, Networks, networks
from tests.fixtures.server import Server, payloads, start_server

pytestmark = pytest.mark.live

TOKEN = "long-enough-for-a-test"  # noqa: S105
CALLS = """
window.testCalls = 0;
window.RTCPeerConnection = class extends RTCPeerConnection {
  constructor(...given) {
    super(...given);
    window.testCalls += 1;
  }
};
"""


@pytest.fixture
def two_networks() -> Iterator[Networks]:
    made = networks()
    try:
        found = made.__enter__()
    except (OSError, CalledProcessError) as error:
        pytest.skip(f"this machine allows no network namespaces: {getattr(error, 'stderr', '') or error}")
    yield found
    made.__exit__(None, None, None)


@pytest.fixture
def server(two_networks: Networks, tmp_path: Path) -> Iterator[Server]:
    """At the address that both networks lead to."""
    two_networks.enter(1)
    inside = (IP, "netns", "exec", two_networks.server)
    reachable = ("server.host=0.0.0.0", f"server.token={TOKEN}", f'server.ice_addresses=["{SERVER}"]')
    server = start_server(tmp_path, *reachable, "asr.engine=tests.fixtures.deaf:Deaf", inside=inside)
    yield server
    server.process.kill()
    server.process.wait()


def test_it_goes_on_in_the_other_network(
    two_networks: Networks, server: Server, chromium: Callable[..., Browser], tmp_path: Path
) -> None:
    assert CHROMIUM is not None
    origin = f"http://{SERVER}:{urlsplit(server.url).port}"
    program = two_networks.run_in(two_networks.caller, tmp_path, CHROMIUM)
    browser = chromium(f"--unsafely-treat-insecure-origin-as-secure={origin}", program=str(program))
    context = browser.new_context(bypass_csp=True)
    context.add_init_script(CALLS)
    talk = TalkPage(context.new_page(), f"{origin}/?token={TOKEN}")
    talk.connect()
    talk.type(LONG_QUESTION)
    talk.until(lambda: talk.mode() == "speaking", "the answer")
    talk.page.wait_for_timeout(2_000)
    moved_s = time.monotonic()
    two_networks.leave(1)
    talk.page.wait_for_timeout(500)
    two_networks.enter(2)
    talk.until(lambda: talk.page.evaluate("() => window.testCalls") == 2, "another call")
    talk.until(lambda: talk.page.get_attribute("html", "data-phase") == "connected", "the other network")
    print(f"connected again {time.monotonic() - moved_s:.1f} s behind the change of address")
    talk.type("go on")
    talk.until(lambda: talk.mode() == "speaking", "the rest")
    assert talk.page.locator("#items li.note").count() == 0, "it is the same conversation"
    assert not talk.errors
    entries = server.entries()
    joined = payloads(entries, "device.joined")
    assert len({device.device_id for device in joined}) == 1
    [left] = payloads(entries, "device.left")
    [stop] = payloads(entries, "playback.stop")
    assert left.played is not None
    lost_ms = sent_ms(entries) - stop.heard_ms
    print(f"heard {stop.heard_ms} ms of the answer; {lost_ms} ms were sent to nobody")
    assert lost_ms > 1_000, "what nobody can have heard does not count as heard"


def sent_ms(entries: list[Entry]) -> int:
    """How much of the answer had been sent when it was cut, at least."""
    types = [entry.event.type for entry in entries]
    return int(payloads(entries[: types.index("playback.stop")], "playback.mark")[-1].sample // 48)
