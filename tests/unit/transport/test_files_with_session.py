"""The headless transport and the session driver together, with engines made for the test."""

import asyncio
import json
import random
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from agent.clock import Clock, run_virtual
from agent.conversation.decisions import ReplyDone
from agent.conversation.events import ReminderDue, SpeechStopped
from agent.hearing.port import Hypothesis
from agent.session import Engines, Session
from agent.settings import Settings
from agent.speaking.port import Speech, SpokenWord
from agent.thinking.port import Delta
from agent.timeline.codec import to_json
from agent.timeline.memory import MemoryStore
from agent.transport.audio_file import Audio
from agent.transport.file_plan import AfterReply, Overlap, Utterance
from agent.transport.file_report import build_report
from agent.transport.files import run_files
from tests.fixtures.level_vad import LevelVad

TTS_RATE = 22_050
WORD_SAMPLES = TTS_RATE // 5
IDS = ("session_id", "event_id", "parent_event_id", "ts")


class Worker:
    """A real thread that takes its own time; virtual time stands still meanwhile."""

    def __init__(self, clock):
        self._clock = clock
        self._pool = ThreadPoolExecutor(1)

    async def compute(self):
        pause_s = random.uniform(0.0, 0.003)
        async with self._clock.external():
            await asyncio.get_running_loop().run_in_executor(self._pool, threading.Event().wait, pause_s)

    def close(self):
        self._pool.shutdown()


class ScriptedAsr:
    """Knows what is said beforehand: one text per turn."""

    name = "scripted"

    def __init__(self, texts, worker):
        self._texts = list(texts)
        self._worker = worker
        self._pushed = 0

    async def open(self, on_partial, on_error):
        self._on_partial = on_partial
        return self

    def push(self, pcm):
        self._pushed += len(pcm)
        if self._pushed > 4_000 and self._texts:
            self._on_partial(self._texts[0])

    async def settle(self):
        await self._worker.compute()
        return Hypothesis(self._texts[0] if self._texts else "", understood=bool(self._texts))

    def reset(self):
        if self._pushed and self._texts:
            del self._texts[0]
        self._pushed = 0

    async def close(self):
        pass


class EchoBrain:
    name = "echo"

    def __init__(self, worker):
        self._worker = worker

    async def respond(self, prompt):
        await self._worker.compute()
        yield Delta(f"You said {prompt.messages[-1].text} ")
        await asyncio.sleep(0.03)
        yield Delta("and that is all I know about it.")


class HummingTts:
    name = "humming"
    sample_rate = TTS_RATE

    def __init__(self, worker):
        self._worker = worker

    async def synthesize(self, text, speed=1.0):
        end = 0
        for count, word in enumerate(text.split()):
            await self._worker.compute()
            end = text.index(word, end) + len(word)
            hum = (3_000 * np.sin(np.arange(WORD_SAMPLES) * 0.05)).astype(np.int16)
            yield Speech(hum, (SpokenWord(count * WORD_SAMPLES, (count + 1) * WORD_SAMPLES, end),))


def hello(ms):
    """A voiced sound: harmonics of 130 Hz, every other tenth of a second softer, for no voice is steady."""
    t = np.arange(ms * 16) / 16_000
    tone = sum(np.sin(2 * np.pi * 130 * k * t) / k for k in range(1, 12))
    pcm = (4_000 * tone * np.where(t * 10 % 2 < 1, 1.0, 0.6)).astype(np.int16)
    return Audio(pcm, np.repeat(pcm, 3))


def converse(texts, *whens, ms=900, during=None):
    """Say one sound per text; returns the recording, the stored entries and the report."""
    plan = [Utterance(Path(f"{n}.wav"), when, hello(ms)) for n, when in enumerate((AfterReply(), *whens))]

    async def main():
        await asyncio.sleep(0.123)
        clock, store, settings = Clock(), MemoryStore(), Settings()
        worker = Worker(clock)
        names = {"asr": "scripted"}
        engines = Engines(
            LevelVad, ScriptedAsr(texts, worker), EchoBrain(worker), [], HummingTts(worker), lambda: 1.0, names
        )
        session = Session(f"s{random.random()}", engines, store, clock, settings)
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(session.run())
                await session.ready.wait()
                await asyncio.sleep(0.0375)
                aside = tasks.create_task(during(session)) if during else None
                recording = await run_files(session, clock, plan)
                if aside:
                    aside.cancel()
                session.close("done")
        finally:
            worker.close()
        entries = await store.read(session.session_id, limit=100_000)
        return recording, entries, build_report(entries, recording, settings, names)

    return run_virtual(main())


def test_two_questions_are_answered_in_turn():
    recording, _, report = converse(["what time is it", "what day is it"], AfterReply())
    assert [(turn["user"], turn["interrupted"]) for turn in report["turns"]] == [
        ("what time is it", False),
        ("what day is it", False),
    ]
    assert report["turns"][0]["heard"] == "You said what time is it and that is all I know about it."
    assert report["errors"] == []
    lanes = recording.lanes()
    assert not ((lanes[:, 0] != 0) & (lanes[:, 1] != 0)).any()


def test_the_reports_moments_lie_where_the_recording_has_them():
    recording, entries, report = converse(["what time is it"])
    assert recording.offset_ms == 37.5
    (turn,) = report["turns"]
    user, agent = recording.lanes().T
    assert turn["user_end_ms"] == pytest.approx((np.flatnonzero(user)[-1] + 1) / 48, abs=10)
    assert turn["first_audio_ms"] == pytest.approx(np.flatnonzero(agent)[0] / 48, abs=1)
    stopped = next(entry.event for entry in entries if isinstance(entry.event, SpeechStopped))
    assert stopped.end_us / 1_000 == turn["user_end_ms"] + 37.5


def test_an_overlap_interrupts_the_answer_and_is_answered_itself():
    recording, _, report = converse(["what time is it", "what day is it"], Overlap(700))
    first, second = report["turns"]
    assert first["interrupted"]
    assert 0 < len(first["heard"]) < len(first["agent"])
    assert first["agent"].startswith(first["heard"])
    assert (second["user"], second["interrupted"]) == ("what day is it", False)
    assert report["inputs"][1]["start_ms"] == first["first_audio_ms"] + 700
    user, agent = (np.abs(recording.lanes().T.astype(int)) > 0).astype(int)
    assert (user & agent).any()
    onset = report["inputs"][1]["start_ms"] * 48
    assert not agent[onset + 48 * 300 : onset + 48 * 900].any()


def test_the_same_input_gives_the_same_timeline_but_for_ids_and_wall_times():
    def run():
        recording, entries, report = converse(["what time is it", "stop", "what day is it"], Overlap(700), AfterReply())
        rows = [{key: value for key, value in to_json(entry).items() if key not in IDS} for entry in entries]
        lines = [json.dumps(row).replace(entries[0].session_id, "") for row in rows]
        return lines, recording.lanes().tobytes(), report

    first, second = run(), run()
    assert len(first[0]) > 50
    assert first == second


def test_a_reminder_behind_the_answer_is_heard_out_and_has_its_own_turn():
    async def remind(session):
        async for entry in session.entries():
            if isinstance(entry.event, ReplyDone):
                await asyncio.sleep(0.2)
                session.post(ReminderDue(reminder_id="m1", text="Your tea is ready now."))
                return

    recording, _, report = converse(["what time is it"], during=remind)
    first, second = report["turns"][:2]
    assert (second["user"], second["heard"]) == ("", "Your tea is ready now.")
    assert second["first_audio_ms"] > first["first_audio_ms"] + 14 * 200
    assert recording.duration_ms > second["first_audio_ms"] + 5 * 200
