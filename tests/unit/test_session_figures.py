"""The figures of a session against what was really done to it: sounds of known kinds, audio counted at the ear."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from agent.clock import Clock, run_virtual
from agent.conversation import decisions as d
from agent.conversation import events as e
from agent.session import Session
from agent.settings import Settings
from agent.thinking.port import Delta
from agent.timeline.memory import MemoryStore
from agent.timeline.projections.figures import figures
from tests.unit.test_session import Script, engines, play, running
from tests.unit.test_session_hearing_traps import LONG, NOISE, hearing, talk

WORD_MS = 100
"""How long each word of the voice lasts."""


def told(session: Session) -> Any:
    return figures(session.timeline.window())


def test_false_alarms_are_the_sounds_that_were_no_interruption() -> None:
    """A slammed door, an "uh-huh" and a cough are; the question that follows, and the stop button, are not."""

    async def main() -> None:
        async with hearing(Script([Delta(3 * LONG)], [Delta(LONG)], [Delta("Noon.")])) as (session, ear):
            session.post(e.TextInput(text="count"))
            await play(session, 200)
            await talk(session, ear, "", 150, NOISE, quiet_ms=1_200)
            await talk(session, ear, "uh-huh", 300, quiet_ms=1_200)
            session.post(e.DeviceCut(source="device:d"))
            await play(session, 600)
            assert told(session)["interruptions"] == {"suspected": 3, "confirmed": 0, "dismissed": 3, "false_rate": 1.0}
            await play(session, 5_000)
            session.post(e.TextInput(text="again"))
            await play(session, 300)
            await talk(session, ear, "what time is it", 900, quiet_ms=2_000)
            session.post(e.TextInput(text="once more"))
            assert told(session)["interruptions"] == {
                "suspected": 4,
                "confirmed": 1,
                "dismissed": 3,
                "false_rate": 0.75,
            }
            assert told(session)["turns"] == {"ended": 3, "interrupted": 1, "share": 1 / 3}

    run_virtual(main())


@pytest.mark.parametrize("suspected", [False, True])
def test_a_crash_is_no_interruption_and_the_silence_behind_it_no_ghost_speech(suspected: bool) -> None:
    """The process dies while it speaks, or while that is paused, and another one goes on a minute later."""

    async def main() -> None:
        store, clock = MemoryStore(), Clock()
        crashed = Session("s", engines(Script([Delta(LONG)])), store, clock, Settings())
        life = asyncio.create_task(crashed.run())
        await crashed.ready.wait()
        crashed.post(e.DeviceJoined(device_id="d", transport="test"))
        crashed.post(e.TextInput(text="count"))
        assert await play(crashed, 400) > 10
        if suspected:
            crashed.post(e.DeviceCut(source="device:d"))
        await crashed.timeline.durable(crashed.timeline.last_seq)
        life.cancel()
        await asyncio.wait([life])
        await asyncio.sleep(60)
        again = Session("s", engines(Script([Delta("Noon.")])), store, clock, Settings())
        await again.restore(await store.read("s"))
        life = asyncio.create_task(again.run())
        await again.ready.wait()
        again.post(e.DeviceJoined(device_id="d", transport="test"))
        again.post(e.TextInput(text="what time is it"))
        await play(again, 1_000)
        found = told(again)
        assert found["turns"] == {"ended": 2, "interrupted": 0, "share": 0.0}
        assert found["interruptions"] == {
            "suspected": int(suspected),
            "confirmed": 1,
            "dismissed": 0,
            "false_rate": 0.0 if suspected else None,
        }
        assert found["ghost_speech"] == {"cuts": 1, "ms": 0.0, "max_ms": 0.0}
        assert found["cancels"]["tts"]["requested"] == found["cancels"]["tts"]["acked"] == 1
        again.close("over")
        await life

    run_virtual(main())


@pytest.mark.parametrize("late_ms", [0, 60, 300])
@pytest.mark.parametrize("by", ["stop", "cut"])
def test_ghost_speech_is_what_the_ear_got_behind_the_cut(late_ms: int, by: str) -> None:
    """The voice falls silent that much too late: all of it is told, but for the frame under way."""

    async def main() -> None:
        async with running(Script([Delta(LONG)])) as session:
            hands_on: Callable[[d.Decision], None] = session._speaking.apply

            def apply(decision: d.Decision) -> None:
                late = isinstance(decision, d.PlaybackPause | d.PlaybackStop | d.CancelRequested | d.ReplyDone)
                asyncio.get_running_loop().call_later(late_ms / 1_000 if late else 0, hands_on, decision)

            session._speaking.apply = apply  # type: ignore[method-assign]

            async def handed_out(ms: int) -> int:
                """Milliseconds of sound that leave the playout in this time."""
                sounding = 0
                for _ in range(ms // 20):
                    await asyncio.sleep(0.02)
                    sounding += session.next_frame() is not None
                return 20 * sounding

            session.post(e.TextInput(text="count"))
            assert await handed_out(400) > 300
            ghost_ms = 0
            if by == "cut":
                session.post(e.DeviceCut(source="device:d"))
                ghost_ms = await handed_out(late_ms)
            session.post(e.ControlStop(source="device:d"))
            ghost_ms += await handed_out(1_000)
            assert late_ms <= ghost_ms <= late_ms + 20, "the frame that fades is no ghost"
            assert told(session)["ghost_speech"]["cuts"] == 1
            unmarked_ms = WORD_MS if by == "stop" else 20  # playout marks the end of a word, and where it pauses
            assert max(0, late_ms - 40 - unmarked_ms) <= told(session)["ghost_speech"]["ms"] <= late_ms

    run_virtual(main())
