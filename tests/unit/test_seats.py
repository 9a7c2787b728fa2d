"""Several devices in one session: whose microphone is heard, and where the agent is."""

import asyncio

import numpy as np
import pytest

from agent.clock import run_virtual
from agent.conversation.events import ControlFocus, DeviceJoined
from tests.fixtures.speech import speak
from tests.unit.test_app import an_app, joins

FRAME = 320


@pytest.fixture
def together(tmp_path, monkeypatch):
    """A laptop and a phone in one session; the phone, which came last, is live."""

    def run(body, **sessions):
        async def main():
            async with an_app(tmp_path, monkeypatch, **sessions) as app:
                laptop = joins(await app.open(), "laptop-1")
                phone = joins(await app.join(laptop.session_id), "phone-01")
                await body(laptop, phone)

        run_virtual(main())

    return run


async def hears(seat, pcm):
    """A microphone's audio, as it comes; who was live at each 20 ms."""
    live = []
    for at in range(0, pcm.size - FRAME + 1, FRAME):
        await asyncio.sleep(0.02)
        seat.hear(pcm[at : at + FRAME])
        live.append(seat.live)
    return live


def heard(session):
    return [entry for entry in session.timeline.window() if entry.event.type == "speech.started"]


SILENCE = np.zeros(16_000 * 3, np.int16)


def test_the_focus_follows_who_talks_to_another_device_and_loses_no_word(together):
    async def body(laptop, phone):
        assert not any(await hears(laptop, SILENCE))
        live = await hears(laptop, speak("what time is it in tokyo"))
        moved_ms = live.index(True) * 20
        assert 300 <= moved_ms <= 900
        assert all(live[live.index(True) :])
        assert not phone.live
        [entry] = heard(laptop.session)
        spoken_us = entry.now_us - entry.event.onset_us
        assert spoken_us >= 250_000, "it began before the focus came"

    together(body)


def test_unless_it_shall_not(together):
    async def body(laptop, phone):
        await hears(laptop, SILENCE)
        assert not any(await hears(laptop, speak("what time is it in tokyo")))
        assert heard(laptop.session) == []

    together(body, follow_me=False)


def test_a_microphone_that_is_not_live_is_not_heard(together):
    async def body(laptop, phone):
        await hears(laptop, speak("what time is it in tokyo"))  # the phone has only just become live
        assert phone.live
        assert heard(phone.session) == []
        await hears(phone, speak("what time is it in tokyo"))
        assert len(heard(phone.session)) >= 1

    together(body)


def test_what_is_being_said_ends_where_the_microphone_changes(together):
    async def body(laptop, phone):
        await hears(phone, speak("what time is it in tokyo")[:12_000])
        laptop.post(ControlFocus(source="device:laptop-1"))
        assert laptop.live
        types = [entry.event.type for entry in laptop.session.timeline.window()]
        assert "speech.stopped" in types[types.index("control.focus") :]

    together(body)


def test_what_is_being_said_ends_where_the_microphone_goes(together):
    async def body(laptop, phone):
        await hears(phone, speak("what time is it in tokyo")[:12_000])
        unplugged = DeviceJoined(source="d", device_id="phone-01", transport="test", microphone=False)
        phone.post(unplugged)
        types = [entry.event.type for entry in phone.session.timeline.window()]
        assert "speech.stopped" in types[types.index("speech.started") :]
        await asyncio.sleep(3)
        assert [entry.event.type for entry in phone.session.timeline.window()].count("turn.end") == 1

    together(body)


def test_a_device_that_is_here_over_a_new_connection_is_live_there(together):
    async def body(laptop, phone):
        again = laptop._table.seat()  # the connection before has not been noticed to be gone
        again.post(DeviceJoined(source="device:phone-01", device_id="phone-01", transport="websocket"))
        assert (laptop.live, phone.live, again.live) == (False, False, True)

    together(body)
