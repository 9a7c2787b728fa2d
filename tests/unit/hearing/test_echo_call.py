"""The whole agent on a loudspeaker: what it says comes back into its microphone."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from agent.app import App
from agent.clock import run_virtual
from agent.config.load import load
from agent.conversation.decisions import InterruptionConfirmed, InterruptionSuspected, ReplyDone
from agent.conversation.events import AsrFinal, Event, SpeechStarted
from agent.headless import for_files
from agent.session import Session
from agent.transport.audio_file import Audio
from agent.transport.file_plan import AfterReply, NextRule, Overlap, Utterance
from agent.transport.files import run_files
from tests.fixtures.loopback import Loudspeaker
from tests.fixtures.server import share_cache
from tests.fixtures.speech import speak


def said(text: str, when: NextRule) -> Utterance:
    return Utterance(Path(text), when, Audio(speak(text), speak(text, rate=48_000)))


def talk(plan: Sequence[Utterance], gain_db: float, delay_ms: int, folder: Path) -> list[Event]:
    """Everything that happened."""
    share_cache(folder)

    async def main() -> list[Event]:
        settings = for_files(load(None, {}))
        async with App(settings, cache=folder / ".cache") as app:
            session = (await app.run(Session("s", app.engines, app.store, app.clock, settings))).session
            await run_files(Loudspeaker(session, gain_db, delay_ms), app.clock, plan)
            await app.close("s", "over")
            return [entry.event for entry in session.timeline.window()]

    return run_virtual(main())


def of(events: list[Event], kind: type[Event]) -> list[Event]:
    return [event for event in events if isinstance(event, kind)]


@pytest.mark.parametrize(("gain_db", "delay_ms"), [(-6, 60), (-12, 120), (-20, 280)])
def test_a_story_is_told_to_its_end_through_its_own_echo(gain_db: int, delay_ms: int, tmp_path: Path) -> None:
    events = talk([said("tell me a story", AfterReply())], gain_db, delay_ms, tmp_path)
    assert len(of(events, SpeechStarted)) == 1
    assert of(events, InterruptionSuspected) == []
    assert [event.outcome for event in of(events, ReplyDone) if isinstance(event, ReplyDone)] == ["completed"]


@pytest.mark.parametrize(("gain_db", "delay_ms"), [(-12, 120), (-20, 280)])
def test_a_person_over_the_echo_interrupts_and_is_understood(gain_db: int, delay_ms: int, tmp_path: Path) -> None:
    plan = [said("tell me a story", AfterReply()), said("stop that please", Overlap(6_000))]
    events = talk(plan, gain_db, delay_ms, tmp_path)
    assert len(of(events, SpeechStarted)) == 2
    assert len(of(events, InterruptionConfirmed)) == 1
    finals = [event.text for event in of(events, AsrFinal) if isinstance(event, AsrFinal)]
    assert finals == ["tell me a story", "stop that please"]
