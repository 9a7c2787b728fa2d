"""The headless transport against a call that beeps back, in virtual time."""

import asyncio
import json
import wave
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from agent.clock import VIRTUAL_EPOCH, Clock, run_virtual
from agent.conversation.decisions import PlaybackRelease, ReplyDone, TtsSay, TurnEnd, TurnStart
from agent.conversation.events import (
    AsrFailed,
    DeviceJoined,
    DeviceLeft,
    Fault,
    PlaybackMark,
    PlaybackStarted,
    SpeechStarted,
    SpeechStopped,
)
from agent.errors import LimitReached
from agent.settings import Settings
from agent.timeline.log import Timeline
from agent.timeline.memory import MemoryStore
from agent.transport.audio_file import Audio
from agent.transport.file_plan import AfterReply, At, Overlap, Utterance
from agent.transport.file_report import build_report
from agent.transport.file_script import CLOSING_MS, NO_ANSWER_MS
from agent.transport.files import run_files

BEGUN_US = 7_500
"""The session begins this long before its device joins."""
HANGOVER_MS = 100


class EchoCall:
    """Answers every sound with a beep, `think_ms` behind the end of the sound."""

    session_id = "echo"

    def __init__(self, clock: Clock, *, answer_ms: int = 400, think_ms: int = 60, undisturbed: bool = False):
        self.timeline = Timeline(self.session_id, VIRTUAL_EPOCH, MemoryStore(), 100_000)
        self.heard: list[np.ndarray] = []
        self.answer_ms, self.think_ms = answer_ms, think_ms
        self.undisturbed = undisturbed
        self._clock = clock
        self._base_us = clock.now_us() - BEGUN_US
        self._sound_ms: int | None = None
        self._answer_at_ms: int | None = None
        self._left_ms = 0
        self._replies = 0

    @property
    def now_ms(self) -> int:
        return round((self._clock.now_us() - self._base_us - BEGUN_US) / 1_000)

    def post(self, fact):
        fact = replace(fact, event_id=fact.event_id or f"e{self.timeline.last_seq + 1}")
        now_us = self._clock.now_us() - self._base_us
        self.timeline.record(fact, now_us=now_us, turn_id="t1", parent_event_id="")

    def entries(self, after: int = 0):
        return self.timeline.follow(after)

    def hear(self, pcm):
        assert pcm.shape == (320,)
        assert pcm.dtype == np.int16
        self.heard.append(pcm)
        if self.undisturbed and self._left_ms:
            return
        loud = np.abs(pcm.astype(int)).max() > 1_000
        if loud:
            if self._sound_ms is None:
                self.post(SpeechStarted(utterance=1, onset_us=0))
                self.post(TurnStart(turn_id="t1"))
                self.stop("interrupted")
            self._sound_ms = self.now_ms
        elif self._sound_ms is not None and self.now_ms - self._sound_ms >= HANGOVER_MS:
            self.post(SpeechStopped(utterance=1, end_us=self._sound_ms * 1_000 + BEGUN_US))
            self._answer_at_ms = self.now_ms + self.think_ms
            self._sound_ms = None

    def next_frame(self):
        if self._answer_at_ms is not None and self.now_ms >= self._answer_at_ms:
            self._answer_at_ms = None
            self.answer()
        if not self._left_ms:
            return None
        if self._left_ms == self.answer_ms:
            self.post(PlaybackStarted(reply_id=self.reply_id))
        self._left_ms -= 20
        if not self._left_ms:
            self.post(PlaybackMark(reply_id=self.reply_id, sample=self.answer_ms * 48))
            self.post(ReplyDone(reply_id=self.reply_id, outcome="completed"))
        return np.full(960, 5_000, dtype=np.int16)

    @property
    def reply_id(self) -> str:
        return f"r{self._replies}"

    def answer(self):
        self.post(TurnEnd(turn_id="t1", text="beep", understood=True, evidence={}))
        if self.answer_ms:
            self._replies += 1
            self._left_ms = self.answer_ms
            self.post(PlaybackRelease(turn_id="t1", reply_id=self.reply_id))
            say = {"chunk": 1, "text": "beep", "phase": "claim", "rests_on": ()}
            self.post(TtsSay(turn_id="t1", reply_id=self.reply_id, **say))

    def stop(self, outcome):
        if self._left_ms:
            self._left_ms = 0
            self.post(ReplyDone(reply_id=self.reply_id, outcome=outcome))


def sound(ms: int, silence_ms: int = 0, seed: int = 1) -> Audio:
    noise = np.random.default_rng(seed).integers(-9_000, 9_000, ms * 16).astype(np.int16)
    pcm = np.concatenate((noise, np.zeros(silence_ms * 16, dtype=np.int16)))
    return Audio(pcm, np.repeat(pcm, 3))


def say(audio: Audio, when=AfterReply()) -> Utterance:  # noqa: B008 - frozen
    return Utterance(Path("said.wav"), when, audio)


def talk(*utterances, during=None, answer_ms=400, undisturbed=False, **options):
    """Run a talk; returns the recording, the call, and the timeline's entries."""

    async def main():
        clock = Clock()
        call = EchoCall(clock, answer_ms=answer_ms, undisturbed=undisturbed)
        async with asyncio.TaskGroup() as tasks:
            aside = tasks.create_task(during(call)) if during else None
            recording = await run_files(call, clock, utterances, **options)
            if aside:
                aside.cancel()
        return recording, call, call.timeline.window()

    return run_virtual(main())


def sounding_ms(lane: np.ndarray) -> tuple[float, float]:
    """Where a lane's sound begins and ends."""
    loud = np.flatnonzero(lane)
    return loud[0] / 48, (loud[-1] + 1) / 48


def starts(recording) -> list[int]:
    return [placed.start_ms for placed in recording.placed]


def test_both_sides_are_recorded_where_they_sounded():
    recording, _, entries = talk(say(sound(600)), time_zone="Europe/Zurich")
    lanes = recording.lanes()
    assert lanes.shape == (recording.duration_ms * 48, 2)
    assert lanes.dtype == np.int16
    assert sounding_ms(lanes[:, 0]) == pytest.approx((500, 1_100), abs=0.1)
    first_us = next(entry.now_us for entry in entries if isinstance(entry.event, PlaybackStarted))
    start_ms, end_ms = sounding_ms(lanes[:, 1])
    assert start_ms == first_us / 1_000 - recording.offset_ms
    assert end_ms - start_ms == 400
    assert recording.duration_ms == pytest.approx(end_ms + CLOSING_MS, abs=20)
    assert recording.complete
    joined, left = entries[0].event, entries[-1].event
    assert isinstance(joined, DeviceJoined)
    assert (joined.device_id, joined.transport, joined.time_zone) == ("file", "file", "Europe/Zurich")
    assert joined.output_latency_ms == 0
    assert isinstance(left, DeviceLeft)


def test_hearing_gets_the_same_audio_in_order_and_when_its_last_sample_was_spoken():
    audio = sound(333)
    recording, call, entries = talk(say(audio, At(1_005)))
    heard = np.concatenate(call.heard)
    assert np.array_equal(heard[1_005 * 16 :][: len(audio.pcm_16k)], audio.pcm_16k)
    assert not heard[: 1_005 * 16].any()
    assert len(heard) == recording.duration_ms * 16
    onset = next(entry for entry in entries if isinstance(entry.event, SpeechStarted))
    assert onset.now_us / 1_000 - recording.offset_ms == 1_020


def test_the_next_file_waits_for_the_answer_and_a_pause():
    recording, _, _ = talk(say(sound(300)), say(sound(300)), say(sound(300), AfterReply(1_200)), answer_ms=2_000)
    lanes = recording.lanes()
    assert len(starts(recording)) == 3
    beeps = np.flatnonzero(np.diff(np.concatenate(([0], (lanes[:, 1] != 0).astype(int), [0]))))
    ends_ms = beeps[1::2] / 48
    # The mark of the end comes as the last frame is taken, 20 ms before that frame is over.
    assert starts(recording)[1] == ends_ms[0] - 20 + 500
    assert starts(recording)[2] == ends_ms[1] - 20 + 1_200
    assert not ((lanes[:, 0] != 0) & (lanes[:, 1] != 0)).any()


def test_silence_at_a_files_end_is_said_too():
    recording, _, _ = talk(say(sound(300, silence_ms=3_000)), say(sound(300)))
    assert starts(recording)[1] == 500 + 3_300 + 500


def test_a_file_that_gets_no_answer_is_not_waited_for_any_longer_than_the_bound():
    silent = Audio(np.zeros(1_600, dtype=np.int16), np.zeros(4_800, dtype=np.int16))
    recording, _, _ = talk(say(silent), say(sound(300)))
    assert starts(recording) == [500, 600 + NO_ANSWER_MS + 500]
    recording, _, _ = talk(say(sound(300)), answer_ms=0)
    assert recording.duration_ms == pytest.approx(1_000 + NO_ANSWER_MS + CLOSING_MS, abs=100)


def test_an_overlap_begins_with_the_answers_first_audio():
    recording, _, entries = talk(say(sound(300)), say(sound(300), Overlap(137)), answer_ms=3_000)
    started = [e.now_us / 1_000 - recording.offset_ms for e in entries if isinstance(e.event, PlaybackStarted)]
    assert len(started) == 2
    assert starts(recording)[1] == started[0] + 137
    outcomes = [e.event.outcome for e in entries if isinstance(e.event, ReplyDone)]
    assert outcomes == ["interrupted", "completed"]
    lanes = recording.lanes()
    assert ((lanes[:, 0] != 0) & (lanes[:, 1] != 0)).any()


def test_an_overlap_is_of_the_answer_to_the_file_before_it():
    recording, _, entries = talk(
        say(sound(300)), say(sound(300), Overlap(200)), say(sound(300), Overlap(200)), answer_ms=3_000
    )
    started = [e.now_us / 1_000 - recording.offset_ms for e in entries if isinstance(e.event, PlaybackStarted)]
    assert starts(recording)[1:] == [started[0] + 200, started[1] + 200]


def test_an_answer_in_the_middle_of_a_file_is_not_the_one_to_overlap():
    two = np.concatenate([sound(300).pcm_16k, np.zeros(16 * 1_500, dtype=np.int16), sound(300).pcm_16k])
    recording, _, entries = talk(say(Audio(two, np.repeat(two, 3))), say(sound(300), Overlap(100)), answer_ms=600)
    started = [e.now_us / 1_000 - recording.offset_ms for e in entries if isinstance(e.event, PlaybackStarted)]
    assert started[1] > 2_600
    assert starts(recording)[1] == started[1] + 100


def test_an_overlap_with_an_answer_that_never_comes_goes_on():
    recording, _, _ = talk(say(sound(300)), say(sound(300), Overlap(100)), answer_ms=0)
    assert starts(recording)[1] == pytest.approx(800 + NO_ANSWER_MS, abs=200)


def test_a_sound_that_does_not_interrupt_is_over_with_the_answer_it_fell_into():
    plan = (say(sound(300)), say(sound(300), Overlap(200)), say(sound(300), Overlap(100)))
    recording, _, entries = talk(*plan, answer_ms=3_000, undisturbed=True)
    done = [e.now_us / 1_000 - recording.offset_ms for e in entries if isinstance(e.event, ReplyDone)]
    assert starts(recording)[2] == pytest.approx(done[0], abs=20)


def test_files_at_positions_may_sound_together_and_are_mixed():
    recording, call, _ = talk(say(sound(500), At(200)), say(sound(500, seed=2), At(450)))
    first, second = sound(500).pcm_16k.astype(int), sound(500, seed=2).pcm_16k
    expected = np.zeros(750 * 16, dtype=int)
    expected[: len(first)] = first
    expected[250 * 16 :] += second
    heard = np.concatenate(call.heard)[200 * 16 :][: 750 * 16]
    assert np.array_equal(heard, expected)
    assert np.array_equal(recording.lanes()[200 * 48 :: 3, 0][: 750 * 16], expected)


def test_a_mix_that_is_too_loud_is_clipped_not_wrapped():
    loud = np.full(1_600, 30_000, dtype=np.int16)
    audio = Audio(loud, np.repeat(loud, 3))
    recording, _, _ = talk(say(audio, At(0)), say(audio, At(20)))
    assert recording.lanes()[:, 0].max() == 32_767
    assert recording.lanes()[:, 0].min() == 0


def test_a_position_that_has_passed_begins_at_once():
    recording, _, _ = talk(say(sound(300)), say(sound(300)), say(sound(300), At(600)))
    assert starts(recording)[2] == starts(recording)[1] // 20 * 20 + (20 if starts(recording)[1] % 20 else 0)


def test_an_endless_answer_is_cut_at_the_tail_limit():
    recording, _, _ = talk(say(sound(300)), answer_ms=600_000, tail_ms=4_000)
    assert recording.duration_ms == pytest.approx(800 + 4_000 + CLOSING_MS, abs=20)


def test_what_the_agent_says_meanwhile_is_waited_for():
    async def remind(call):
        await asyncio.sleep(1.2)
        call.stop("completed")
        call.answer()

    recording, _, _ = talk(say(sound(300)), during=remind, answer_ms=1_000)
    assert sounding_ms(recording.lanes()[:, 1])[1] == pytest.approx(2_200, abs=20)


def test_progress_never_falls_and_ends_at_one():
    seen: list[float] = []
    talk(say(sound(2_000)), say(sound(2_000)), progress=seen.append)
    assert seen[0] == 0.0
    assert seen == sorted(seen)
    assert seen[-1] == 1.0
    assert len(seen) > 5


def test_a_session_that_closes_ends_the_recording():
    async def close(call):
        await asyncio.sleep(0.7)
        call.timeline.close()

    recording, _, _ = talk(say(sound(3_000)), during=close)
    assert not recording.complete
    assert recording.duration_ms == pytest.approx(700, abs=40)
    assert np.any(recording.lanes()[:, 0])


def test_an_error_of_the_session_comes_out_as_it_is():
    async def main():
        clock = Clock()
        call = EchoCall(clock)

        def full(pcm):
            raise LimitReached("the store is behind")

        call.hear = full
        with pytest.raises(LimitReached, match="the store is behind"):
            await run_files(call, clock, [say(sound(300))])
        return call.timeline.window()

    entries = run_virtual(main())
    assert isinstance(entries[-1].event, DeviceLeft)


def test_the_same_talk_in_real_time():
    async def main():
        clock = Clock()
        call = EchoCall(clock, answer_ms=100, think_ms=20)
        recording = await run_files(call, clock, [say(sound(60), At(20))])
        return recording, call.timeline.window()

    recording, entries = asyncio.run(main())
    assert sounding_ms(recording.lanes()[:, 0]) == pytest.approx((20, 80), abs=0.1)
    assert [e.event.outcome for e in entries if isinstance(e.event, ReplyDone)] == ["completed"]


def test_the_recording_is_written_as_stereo_at_48_khz(tmp_path):
    recording, _, _ = talk(say(sound(300)))
    recording.write_wav(tmp_path / "reply.wav")
    with wave.open(str(tmp_path / "reply.wav")) as wav:
        assert (wav.getnchannels(), wav.getsampwidth(), wav.getframerate()) == (2, 2, 48_000)
        written = np.frombuffer(wav.readframes(wav.getnframes()), "<i2").reshape(-1, 2)
    assert np.array_equal(written, recording.lanes())


def test_the_reports_moments_are_positions_in_the_recording():
    async def complain(call):
        await asyncio.sleep(0.25)
        call.post(Fault(code="asr", message="a worker died"))
        call.post(AsrFailed(utterance=1, message="no text"))

    recording, _, entries = talk(say(sound(600)), during=complain)
    assert recording.offset_ms == BEGUN_US / 1_000
    settings = Settings.model_validate({"server": {"token": "secret"}})
    report = build_report(entries, recording, settings, {"asr": "echo"}, [{"text": "tea"}])
    assert "secret" not in json.dumps(report)
    (turn,) = report["turns"]
    lanes = recording.lanes()
    assert (turn["user"], turn["agent"], turn["interrupted"]) == ("beep", "beep", False)
    assert turn["first_audio_ms"] == sounding_ms(lanes[:, 1])[0]
    assert turn["user_end_ms"] == sounding_ms(lanes[:, 0])[1]
    assert turn["voice_to_voice_ms"] == turn["first_audio_ms"] - turn["user_end_ms"]
    assert report["inputs"] == [{"file": "said.wav", "start_ms": 500, "end_ms": 1_100}]
    assert report["engines"] == {"asr": "echo"}
    assert report["pending_timers"] == [{"text": "tea"}]
    assert report["settings"]["endpointing"]["floor_ms"] == Settings().endpointing.floor_ms
    assert report["errors"] == [
        {"t_ms": 250.0, "code": "asr", "message": "a worker died"},
        {"t_ms": 250.0, "code": "asr.failed", "message": "no text"},
    ]
