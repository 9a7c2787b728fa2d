"""What is forgotten is gone from the conversation, the file and every device, and the conversation goes on."""

from __future__ import annotations

import asyncio
import wave
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from agent.app import App
from agent.clock import run_virtual
from agent.conversation.decisions import PlaybackStop
from agent.conversation.events import (
    ControlConfirm,
    ControlFocus,
    DeviceJoined,
    DeviceLeft,
    Json,
    SessionForget,
    SettingsChanged,
    TextInput,
)
from agent.errors import Unavailable
from agent.replay import replay
from agent.seats import Seat
from agent.settings import Settings
from agent.timeline.entry import Entry
from agent.timeline.projections.transcript import transcript
from agent.timeline.reading import read_kept
from tests.fixtures.deaf import Deaf

WORD = "swordfish"
BEGUN = ["session.forgotten", "device.joined", "device.focused"]


def settings(folder: Path, **sessions: Any) -> Settings:
    return Settings.model_validate(
        {
            "brain": {"memory": folder / "memory.sqlite3"},
            "timeline": {"path": folder / "timeline.sqlite3"},
            "sessions": sessions,
        }
    )


@asynccontextmanager
async def an_app(folder: Path, **sessions: Any) -> AsyncIterator[App]:
    async with App(settings(folder, **sessions)) as app:
        yield app


@pytest.fixture
def virtually(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    monkeypatch.setattr("agent.app.PocketsphinxAsr", lambda table, known, clock, cache: Deaf())

    def run(*bodies: Callable[[App], Awaitable[None]], **sessions: Any) -> None:
        async def main() -> None:
            for body in bodies:
                async with an_app(tmp_path, **sessions) as app:
                    await body(app)

        run_virtual(main())

    return run


def joins(call: Seat, device_id: str = "d1") -> Seat:
    call.post(DeviceJoined(source=f"device:{device_id}", device_id=device_id, transport="test"))
    return call


async def play(call: Seat, seconds: float) -> None:
    for _ in range(round(seconds * 50)):
        call.next_frame()
        await asyncio.sleep(0.02)


async def says(call: Seat, text: str) -> str:
    """Type it, and hear the answer out."""
    call.post(TextInput(text=text))
    await play(call, 12)
    return next(e.event for e in reversed(window(call)) if isinstance(e.event, PlaybackStop)).heard_text


def window(call: Seat) -> list[Entry]:
    return call.session.timeline.window()


def types(call: Seat) -> list[str]:
    return [entry.event.type for entry in window(call)]


def in_files(folder: Path) -> list[str]:
    """The files of the timeline that hold the secret."""
    return [path.name for path in folder.glob("timeline*") if path.is_file() and WORD.encode() in path.read_bytes()]


def test_by_voice_after_a_yes_and_nothing_of_it_is_left(virtually: Callable[..., None], tmp_path: Path) -> None:
    async def body(app: App) -> None:
        call = joins(await app.open())
        await says(call, f"tell me about {WORD}")
        await says(call, f"make a note that the {WORD} swims")
        await asyncio.sleep(1)
        assert in_files(tmp_path)
        asked = await says(call, "forget this conversation")
        assert "notes, lists and timers stay" in asked
        call.post(TextInput(text="yes"))
        await play(call, 0.5)
        assert "session.forgotten" not in types(call), "it says first what it does"
        await play(call, 12)
        assert types(call)[:3] == BEGUN
        assert WORD not in str(window(call))
        assert in_files(tmp_path) == []
        assert WORD not in await says(call, "what did i just say")
        assert WORD in await says(call, "read my notes"), "what was to be kept is kept"

    virtually(body)


def test_the_conversation_goes_on_with_ids_of_its_own_and_replays(
    virtually: Callable[..., None], tmp_path: Path
) -> None:
    async def body(app: App) -> None:
        call = joins(await app.open())
        await says(call, f"tell me about {WORD}")
        call.post(SessionForget(source="device:d1"))
        assert types(call) == BEGUN, "nobody had the floor"
        said = await says(call, "what is two plus two")
        assert "4" in said or "four" in said
        [turn] = transcript(window(call))
        assert turn["turn_id"] == "t2", "no id stands for two turns"
        await asyncio.sleep(1)
        stored = await read_kept(app.store, call.session_id)
        assert stored == window(call)
        assert not replay(stored)
        assert await app.store.check() == []
        call.post(DeviceLeft(source="device:d1", device_id="d1", reason="gone"))
        await app.leave(call, "gone", for_good=False)

    async def after_a_restart(app: App) -> None:
        [stored] = await app.store.sessions()
        call = joins(await app.join(stored.session_id), "d2")
        assert [turn["user"] for turn in transcript(window(call))] == ["what is two plus two"]
        await says(call, "what is three plus three")
        await asyncio.sleep(1)
        entries = await read_kept(app.store, call.session_id)
        assert not replay(entries)
        assert in_files(tmp_path) == []

    virtually(body, after_a_restart)


def test_who_has_the_focus_keeps_it(virtually: Callable[..., None]) -> None:
    async def body(app: App) -> None:
        call = joins(await app.open(), "first")
        joins(await app.join(call.session_id), "second")
        call.post(ControlFocus(source="device:first"))
        call.post(DeviceJoined(source="device:first", device_id="first", transport="test", microphone=False))
        assert call.session.live_device_id == "first"
        call.post(SessionForget(source="device:second"))
        assert call.session.live_device_id == "first"
        assert types(call)[0] == "session.forgotten"
        assert not replay(window(call))

    virtually(body)


def test_what_was_set_in_the_conversation_stays_set(virtually: Callable[..., None]) -> None:
    async def body(app: App) -> None:
        call = joins(await app.open())
        changes: dict[str, Json] = {"vad.hangover_ms": 240, "endpointing.floor_ms": 230}
        call.post(SettingsChanged(source="device:d1", changes=changes))
        call.post(SessionForget(source="device:d1"))
        await asyncio.sleep(1)
        call.post(DeviceLeft(source="device:d1", device_id="d1", reason="gone"))
        await app.leave(call, "gone", for_good=False)

    async def after_a_restart(app: App) -> None:
        [stored] = await app.store.sessions()
        call = await app.join(stored.session_id)
        assert call.session.settings.vad.hangover_ms == 240
        assert call.session.settings.endpointing.floor_ms == 230
        assert not replay(await read_kept(app.store, stored.session_id))

    virtually(body, after_a_restart)


def test_a_device_that_comes_back_is_given_the_rest_alone(virtually: Callable[..., None]) -> None:
    async def body(app: App) -> None:
        call = joins(await app.open())
        await says(call, f"tell me about {WORD}")
        seen, epoch = call.session.timeline.last_seq - 4, call.epoch
        behind = call.entries(0)
        first = await anext(behind)
        call.post(SessionForget(source="device:d1"))
        assert call.continues(epoch, seen)
        assert (await anext(call.entries(seen))).event.type == "session.forgotten"
        assert first.seq == 1
        assert (await anext(behind)).event.type == "session.forgotten", "a slow reader is not told either"
        await behind.aclose()  # type: ignore[attr-defined]

    virtually(body)


def test_a_command_that_is_sent_again_is_not_done_again(virtually: Callable[..., None]) -> None:
    async def body(app: App) -> None:
        call = joins(await app.open())
        call.post(TextInput(event_id="command-1", text=f"tell me about {WORD}"))
        await play(call, 12)
        call.post(SessionForget(source="device:d1"))
        call.post(TextInput(event_id="command-1", text=f"tell me about {WORD}"))
        assert types(call) == BEGUN
        call.post(SessionForget(source="device:d1"))
        await app.rest(call.session_id)

    async def after_a_restart(app: App) -> None:
        [stored] = await app.store.sessions()
        call = joins(await app.join(stored.session_id))
        call.post(TextInput(event_id="command-1", text=f"tell me about {WORD}"))
        await says(call, "what is two plus two")
        await asyncio.sleep(1)
        assert [turn["user"] for turn in transcript(window(call))] == ["what is two plus two"]
        assert await read_kept(app.store, call.session_id) == window(call)

    virtually(body, after_a_restart)


def test_what_is_being_said_or_asked_is_waited_for(virtually: Callable[..., None]) -> None:
    async def body(app: App) -> None:
        call = joins(await app.open())
        call.post(TextInput(text="tell me a story"))
        await play(call, 2)
        call.post(SessionForget(source="device:d1"))
        await play(call, 1)
        assert "session.forgotten" not in types(call)
        call.post(TextInput(text="stop"))
        await play(call, 5)
        assert types(call)[0] == "session.forgotten"

    virtually(body)


def test_who_says_no_is_not_forgotten(virtually: Callable[..., None]) -> None:
    async def body(app: App) -> None:
        call = joins(await app.open())
        await says(call, "forget everything i said")
        await says(call, "no")
        assert "action.rejected" in types(call)
        await says(call, "forget this conversation")
        [asked] = [entry.event for entry in window(call)[-40:] if entry.event.type == "action.proposed"]
        call.post(ControlConfirm(source="device:d1", action_id=asked.action_id, accept=False))  # type: ignore[attr-defined]
        await play(call, 5)
        assert not {"session.forget", "session.forgotten"} & set(types(call))

    virtually(body)


@pytest.mark.parametrize("how", ["close", "rest"])
def test_hanging_up_or_leaving_does_not_keep_it(virtually: Callable[..., None], tmp_path: Path, how: str) -> None:
    async def body(app: App) -> None:
        call = joins(await app.open())
        call.post(TextInput(text=f"tell me about {WORD}"))
        await play(call, 0.5)
        call.post(SessionForget(source="device:d1"))
        await (app.close(call.session_id, "hung up") if how == "close" else app.rest(call.session_id))
        assert in_files(tmp_path) == []
        left = [entry.event.type for entry in await read_kept(app.store, call.session_id)]
        assert left[0] == "session.forgotten"
        assert ("session.closed" in left) == (how == "close")

    virtually(body)


def test_what_a_killed_process_did_not_come_to_is_done_by_the_next(
    virtually: Callable[..., None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first process says that it is forgotten and dies before it is erased."""

    async def body(app: App) -> None:
        async def refuses(*_: Any) -> None:
            raise Unavailable("the disk is busy")

        monkeypatch.setattr(app.store, "forget", refuses)
        call = joins(await app.open())
        await says(call, f"tell me about {WORD}")
        call.post(SessionForget(source="device:d1"))
        await asyncio.sleep(1)
        call.post(DeviceLeft(source="device:d1", device_id="d1", reason="gone"))
        await app.leave(call, "gone", for_good=False)
        await asyncio.sleep(1)
        assert in_files(tmp_path)

    async def after_a_restart(app: App) -> None:
        [stored] = await app.store.sessions()
        call = joins(await app.join(stored.session_id))
        assert types(call)[0] == "session.forgotten"
        await asyncio.sleep(1)
        assert in_files(tmp_path) == []
        assert not replay(await read_kept(app.store, call.session_id))

    virtually(body, after_a_restart)


def test_the_audio_goes_too_and_what_comes_behind_is_recorded(virtually: Callable[..., None]) -> None:
    async def body(app: App) -> None:
        call = joins(await app.open())
        await says(call, f"tell me about {WORD}")
        [before] = app.recordings.parts(call.session_id)
        assert before.duration_ms > 5_000
        call.post(SessionForget(source="device:d1"))
        await play(call, 1.5)
        assert types(call)[0] == "session.forgotten"
        assert not before.path.exists()
        await says(call, "what is two plus two")
        [after] = app.recordings.parts(call.session_id)
        assert after.start_ms > before.start_ms + before.duration_ms - 1_000

    virtually(body, record=True)


def test_both_sides_are_recorded_at_their_place(virtually: Callable[..., None]) -> None:
    async def body(app: App) -> None:
        call = joins(await app.open())
        loud = np.full(320, 8_000, np.int16)
        for number in range(400):
            call.hear(loud if 100 <= number < 150 else np.zeros(320, np.int16))
            if number == 200:
                call.post(TextInput(text="what is two plus two"))
            call.next_frame()
            await asyncio.sleep(0.02)
        await app.rest(call.session_id)
        [part] = app.recordings.parts(call.session_id)
        with wave.open(str(part.path)) as file:
            assert (file.getnchannels(), file.getframerate()) == (2, 16_000)
            pcm = np.frombuffer(file.readframes(file.getnframes()), np.int16).reshape(-1, 2)
        assert part.start_ms <= 100
        user, agent = (np.flatnonzero(np.abs(pcm[:, lane]) > 1_000) / 16 for lane in (0, 1))
        assert user[0] == pytest.approx(100 * 20 - 20, abs=45)
        assert user[-1] == pytest.approx(150 * 20 - 20, abs=45)
        started = next(e for e in await read_kept(app.store, call.session_id) if e.event.type == "playback.start")
        assert agent[0] + part.start_ms == pytest.approx(started.now_us / 1_000, abs=150)

    virtually(body, record=True)


def test_nothing_is_recorded_unless_it_is_asked_for(virtually: Callable[..., None], tmp_path: Path) -> None:
    async def body(app: App) -> None:
        await says(joins(await app.open()), "what is two plus two")

    virtually(body)
    assert not list(tmp_path.glob("*audio*"))
