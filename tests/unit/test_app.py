"""Sessions that outlive their connections: left, taken up again, ended, crowded out."""

import asyncio
from contextlib import asynccontextmanager

import pytest

from agent.app import App
from agent.clock import run_virtual
from agent.conversation.events import DeviceJoined, DeviceLeft, TextInput
from agent.errors import LimitReached, SessionGone
from agent.settings import Settings


class Silent:
    """A recogniser for conversations in which nobody speaks."""

    name = "silent"

    async def start(self):
        pass

    async def open(self, on_partial, on_error):
        return self

    def reset(self):
        pass

    def push(self, pcm):
        pass

    async def close(self):
        pass


def settings(folder, **sessions):
    return Settings.model_validate(
        {
            "brain": {"memory": folder / "memory.sqlite3"},
            "timeline": {"path": folder / "timeline.sqlite3"},
            "sessions": {"linger_s": 60, **sessions},
            "limits": {"sessions": 2},
        }
    )


@asynccontextmanager
async def an_app(folder, monkeypatch, **sessions):
    monkeypatch.setattr("agent.app.PocketsphinxAsr", lambda table, known, clock, cache: Silent())
    async with App(settings(folder, **sessions)) as app:
        yield app


def joins(call, device_id="d1"):
    call.post(DeviceJoined(source=f"device:{device_id}", device_id=device_id, transport="test"))
    return call


def types(session):
    return [entry.event.type for entry in session.timeline.window()]


@pytest.fixture
def virtually(tmp_path, monkeypatch):
    def run(body, **sessions):
        async def main():
            async with an_app(tmp_path, monkeypatch, **sessions) as app:
                await body(app)

        run_virtual(main())

    return run


def test_a_session_waits_for_its_device_and_goes_on(virtually):
    async def body(app):
        call = joins(await app.open())
        call.post(DeviceLeft(source="device:d1", device_id="d1", reason="gone"))
        await app.leave(call, "gone", for_good=False)
        await asyncio.sleep(59)
        again = await app.join(call.session_id)
        assert again.session is call.session
        assert "session.closed" not in types(again.session)
        await asyncio.sleep(120)
        assert again.session.open, "somebody is here"

    virtually(body)


def test_after_a_while_it_rests_and_is_taken_up_with_all_it_knows(virtually):
    async def body(app):
        call = joins(await app.open())
        call.post(TextInput(source="device:d1", text="my name is Ada"))
        await asyncio.sleep(5)
        await app.leave(call, "gone", for_good=False)
        await asyncio.sleep(61)
        assert not app.sessions
        before = types(call.session)
        assert "session.closed" not in before
        again = await app.join(call.session_id)
        assert again.session is not call.session
        seen = types(again.session)
        assert seen[: len(before)] == before
        assert seen[len(before)] == "session.resumed"
        assert (call.epoch, again.epoch) == (0, 1)
        assert again.continues(0, len(before))
        assert not again.continues(0, len(before) + 1), "what was never stored is no part of it"
        await app.leave(call, "a late end of the old connection", for_good=True)
        assert again.session.open

    virtually(body)


async def play(call, seconds):
    """Have the playout taken, as a device does."""
    for _ in range(round(seconds * 50)):
        await asyncio.sleep(0.02)
        call.next_frame()


def test_what_was_being_said_goes_on_behind_what_was_heard(virtually):
    async def body(app):
        call = joins(await app.open())
        call.post(TextInput(source="device:d1", text="tell me a story"))
        await play(call, 6)
        call.post(DeviceLeft(source="device:d1", device_id="d1", reason="gone"))
        await app.leave(call, "gone", for_good=False)
        await asyncio.sleep(61)
        entries = call.session.timeline.window()
        whole = " ".join(entry.event.text for entry in entries if entry.event.type == "tts.say")
        (stop,) = [entry.event for entry in entries if entry.event.type == "playback.stop"]
        assert whole.startswith(stop.heard_text)
        again = joins(await app.join(call.session_id))
        seen = again.session.timeline.last_seq
        again.post(TextInput(source="device:d1", text="go on"))
        await play(again, 4)
        rest = [e.event.text for e in again.session.timeline.window() if e.seq > seen and e.event.type == "tts.say"]
        assert " ".join([stop.heard_text, *rest]) == whole, "nothing twice, nothing left out"

    virtually(body)


def test_hanging_up_ends_it_unless_another_device_is_there(virtually):
    async def body(app):
        phone = joins(await app.open(), "phone")
        laptop = joins(await app.join(phone.session_id), "laptop")
        await app.leave(phone, "hung up", for_good=True)
        assert laptop.session.open
        await app.leave(laptop, "hung up", for_good=True)
        assert not app.sessions
        with pytest.raises(SessionGone, match="was ended"):
            await app.join(phone.session_id)
        with pytest.raises(SessionGone, match="not stored"):
            await app.join("never-was")

    virtually(body)


def test_sessions_that_nobody_is_left_in_make_room(virtually):
    async def body(app):
        first, second = await app.open(), await app.open()
        with pytest.raises(LimitReached):
            await app.open()
        await app.leave(second, "gone", for_good=False)
        third = await app.open()
        assert set(app.sessions) == {first.session_id, third.session_id}
        with pytest.raises(LimitReached):
            await app.join(second.session_id)
        await app.leave(first, "gone", for_good=False)
        again = await app.join(second.session_id)
        assert again.epoch == 1

    virtually(body)


def test_two_that_come_back_at_once_are_in_one_session(virtually):
    async def body(app):
        call = joins(await app.open())
        await app.leave(call, "gone", for_good=False)
        await asyncio.sleep(61)
        one, two = await asyncio.gather(app.join(call.session_id), app.join(call.session_id))
        assert one.session is two.session

    virtually(body)


def test_one_device_is_live_and_the_one_before_it_when_it_leaves(virtually):
    async def body(app):
        laptop = joins(await app.open(), "laptop")
        phone = await app.join(laptop.session_id)
        assert laptop.live, "the phone is not connected yet"
        joins(phone, "phone")
        assert (laptop.live, phone.live) == (False, True)
        laptop.post(TextInput(source="device:laptop", text="tell me a story"))
        frames = []
        for _ in range(100):
            await asyncio.sleep(0.02)
            assert laptop.next_frame() is None
            frames.append(phone.next_frame() is not None)
        assert any(frames), "what is typed on one is answered on the live one"
        phone.post(DeviceLeft(source="device:phone", device_id="phone", reason="gone"))
        assert laptop.live

    virtually(body)


def test_a_restart_goes_on_where_the_first_process_stopped(tmp_path, monkeypatch):
    async def first():
        async with an_app(tmp_path, monkeypatch) as app:
            call = joins(await app.open())
            token = app.token_key().issue(call.session_id, 0, 10)
            return call.session_id, token, types(call.session)

    async def second(session_id, token, before):
        async with an_app(tmp_path, monkeypatch) as app:
            assert app.token_key().check(token, 1).session_id == session_id
            call = await app.join(session_id)
            assert types(call.session)[: len(before)] == before

    run_virtual(second(*run_virtual(first())))


def test_a_timer_waits_for_somebody_to_hear_it(virtually):
    async def body(app):
        call = joins(await app.open())
        call.post(TextInput(source="device:d1", text="set a timer for ten seconds"))
        await asyncio.sleep(4)
        call.post(DeviceLeft(source="device:d1", device_id="d1", reason="gone"))
        await app.leave(call, "gone", for_good=False)
        await asyncio.sleep(20)
        assert "reminder.due" not in types(call.session)
        again = joins(await app.join(call.session_id))
        await asyncio.sleep(5)
        assert "reminder.due" in types(again.session)

    virtually(body)
