"""Sessions that outlive their connections: left, taken up again, ended, crowded out."""

import asyncio
from contextlib import asynccontextmanager

import pytest

from agent.app import BREAKS_S, MAX_BREAKS, App
from agent.clock import run_virtual
from agent.conversation.events import DeviceJoined, DeviceLeft, SessionCreated, TextInput
from agent.errors import LimitReached, SessionGone, SessionHeld, SessionRests
from agent.settings import Settings
from tests.fixtures.deaf import Deaf


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
    monkeypatch.setattr("agent.app.PocketsphinxAsr", lambda table, known, clock, cache: Deaf())
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
        assert seen[len(before) : len(before) + 2] == ["owner.changed", "session.resumed"]
        assert (call.epoch, again.epoch) == (1, 2)
        assert again.continues(1, len(before))
        assert not again.continues(1, len(before) + 1), "what was never stored is no part of it"
        await app.leave(call, "a late end of the old connection", for_good=True)
        assert again.session.open

    virtually(body)


def test_a_fault_does_not_end_the_conversation_unless_it_comes_again_and_again(virtually):
    async def body(app):
        call = joins(await app.open())
        call.post(TextInput(source="device:d1", text="what is seven times eight"))
        await play(call, 4)
        seen = 0
        for number in range(MAX_BREAKS):
            if number:
                epoch, call = call.epoch, joins(await app.join(call.session_id))
                assert call.continues(epoch, seen), "all of it is there"
            said = [e.event.text for e in call.session.timeline.window() if e.event.type == "tts.say"]
            assert "56" in " ".join(said)
            call.post(SessionCreated(source="device:d1", policy={"endpointing": {"nonsense": 1}}, engines={}))
            await asyncio.sleep(1)
            assert not app.sessions
            assert not call.over
            await app.leave(call, "broke off", for_good=False)
            seen = call.session.timeline.last_seq
        with pytest.raises(SessionGone, match="broke off"):
            await app.join(call.session_id)
        await asyncio.sleep(BREAKS_S)
        assert (await app.join(call.session_id)).session.open, "what broke long ago does not count"

    virtually(body)


async def play(call, seconds):
    """Have the playout taken, as a device does."""
    for _ in range(round(seconds * 50)):
        await asyncio.sleep(0.02)
        call.next_frame()


def test_a_long_conversation_that_is_taken_up_keeps_nobody_waiting_for_theirs(virtually, monkeypatch):
    async def body(app):
        long, short = joins(await app.open()), joins(await app.open())
        await app.rest(long.session_id)
        read = app.store.read

        async def slowly(session_id, *about):
            await asyncio.sleep(5 * (session_id == long.session_id))
            return await read(session_id, *about)

        monkeypatch.setattr(app.store, "read", slowly)
        async with asyncio.TaskGroup() as tasks:
            taking = [tasks.create_task(app.join(long.session_id)) for _ in range(2)]
            await asyncio.sleep(0.1)
            async with asyncio.timeout(1):
                assert (await app.join(short.session_id)).session is short.session
        one, two = (task.result() for task in taking)
        assert one.session is two.session, "it is taken up once"

    virtually(body)


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


def watches(call, device_id="wall"):
    fact = DeviceJoined(source=f"device:{device_id}", device_id=device_id, transport="test", steers=False)
    call.post(fact)
    return call


def test_to_watch_a_conversation_neither_wakes_it_nor_keeps_it_awake(virtually):
    async def body(app):
        call = joins(await app.open())
        session_id = call.session_id
        wall = watches(await app.join(session_id, wakes=False))
        await app.leave(call, "gone", for_good=False)
        await asyncio.sleep(30)
        late = watches(await app.join(session_id, wakes=False), "late")
        assert late.session is wall.session
        await asyncio.sleep(31)
        assert not app.sessions, "it rests, whoever watches"
        assert not wall.over
        await app.leave(wall, "its timeline ended", for_good=False)
        await app.leave(late, "its timeline ended", for_good=False)
        before = await app.recorded(session_id)
        with pytest.raises(SessionRests):
            await app.join(session_id, wakes=False)
        assert await app.recorded(session_id) == before, "not a trace of it"
        again = joins(await app.join(session_id))
        watches(await app.join(session_id, wakes=False))
        await app.leave(again, "hung up", for_good=True)
        assert not app.sessions, "who talks ends it"
        with pytest.raises(SessionGone, match="was ended"):
            await app.join(session_id, wakes=False)

    virtually(body)


def test_a_timer_does_not_ring_for_who_only_watches(virtually):
    async def body(app):
        call = joins(await app.open())
        watches(await app.join(call.session_id, wakes=False))
        call.post(TextInput(source="device:d1", text="set a timer for ten seconds"))
        await asyncio.sleep(4)
        call.post(DeviceLeft(source="device:d1", device_id="d1", reason="gone"))
        await app.leave(call, "gone", for_good=False)
        await asyncio.sleep(20)
        assert "reminder.due" not in types(call.session)

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
        assert again.epoch == 2

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


# ── who holds a session ──────────────────────────────────────────────────────────────────


@asynccontextmanager
async def two_processes(folder, monkeypatch):
    """On one timeline file, the first of them the one that bears the file's name."""
    async with an_app(folder, monkeypatch) as first, an_app(folder, monkeypatch) as second:
        yield first, second


def owners(session):
    return [(x.event.epoch, x.event.owner) for x in session.timeline.window() if x.event.type == "owner.changed"]


def test_a_session_has_its_owner_before_its_first_entry_and_none_after_its_end(virtually):
    async def body(app):
        call = joins(await app.open())
        assert types(call.session)[:2] == ["owner.changed", "session.created"]
        stored = await app.store.session(call.session_id)
        assert owners(call.session) == [(1, stored.owner)]
        await app.leave(call, "hung up", for_good=True)
        assert (await app.store.session(call.session_id)).owner == ""
        assert await app.store.read(call.session_id) == call.session.timeline.window()

    virtually(body)


def test_what_another_living_process_holds_is_refused_until_that_lets_go(tmp_path, monkeypatch):
    async def main():
        async with two_processes(tmp_path, monkeypatch) as (first, second):
            call = joins(await first.open())
            await asyncio.sleep(100)  # some leases long
            with pytest.raises(SessionHeld, match="another process"):
                await second.join(call.session_id)
            call.post(TextInput(source="device:d1", text="what is seven times eight"))
            await asyncio.sleep(5)
            assert call.session.open, "nobody has noticed"
            assert not second.sessions
            await first.rest(call.session_id)
            again = await second.join(call.session_id)
            assert [epoch for epoch, _ in owners(again.session)] == [1, 2]
            assert len({owner for _, owner in owners(again.session)}) == 2
            with pytest.raises(SessionHeld):
                await first.join(call.session_id)

    run_virtual(main())


def test_a_process_that_was_killed_has_its_sessions_back_at_once_and_its_ghost_writes_nothing(tmp_path, monkeypatch):
    async def main():
        async with an_app(tmp_path, monkeypatch) as killed:
            call, other = joins(await killed.open()), joins(await killed.open())
            await asyncio.sleep(1)
            killed._owner.close()  # as the kernel does it
            async with an_app(tmp_path, monkeypatch) as restarted:
                again = await restarted.join(call.session_id)
                (_, before), (_, after) = owners(again.session)
                assert before == after
                known = again.session.timeline.last_seq
                call.post(TextInput(source="device:d1", text="what is seven times eight"))
                assert call.session.timeline.last_seq > known, "shown to whoever looks at the ghost"
                seen = call.session.timeline.last_seq
                await asyncio.sleep(1)
                assert not call.session.open
                assert "session.closed" not in types(call.session), "it goes on elsewhere"
                assert other.session.open, "the others are untouched"
                assert again.session.open
                begun = types(again.session).index("session.resumed")  # its seq is one more, and the owner's is this
                assert again.continues(1, begun - 1)
                assert not again.continues(1, seen), "what was never stored is no part of it"
                assert "text.input" not in types(again.session)

    run_virtual(main())


def test_a_session_that_was_stopped_before_its_first_fact_begins_when_it_is_joined(virtually):
    async def body(app):
        await app.store.acquire("s", "somebody", 1)
        await asyncio.sleep(2)
        call = joins(await app.join("s"))
        assert types(call.session)[:3] == ["owner.changed", "owner.changed", "session.created"]
        call.post(TextInput(source="device:d1", text="what is seven times eight"))
        await asyncio.sleep(5)
        assert "tts.say" in types(call.session)

    virtually(body)


def test_who_is_refused_for_want_of_room_leaves_nothing_behind(virtually):
    async def body(app):
        opened = await asyncio.gather(*(app.open() for _ in range(4)), return_exceptions=True)
        assert sum(isinstance(one, LimitReached) for one in opened) == 2
        assert len(await app.store.sessions()) == 2

    virtually(body)
