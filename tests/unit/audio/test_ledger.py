"""The playout ledger: exact positions, nothing lost, word ends reported, silence when told."""

import numpy as np
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from agent.audio.ledger import FADE_SAMPLES, Ledger, fade_tail
from agent.errors import AudioError, LimitReached

FRAME = 960


def ramp(start: int, samples: int) -> np.ndarray:
    """Samples that tell where they come from, never near zero."""
    return ((np.arange(start, start + samples) % 20_000) + 5_000).astype(np.int16)


def filled(samples: int) -> Ledger:
    ledger = Ledger(10 * 48_000)
    ledger.append(ramp(0, samples))
    return ledger


def test_nothing_is_handed_out_before_the_release() -> None:
    ledger = filled(2_000)
    assert ledger.take(FRAME) is None
    ledger.release()
    taken = ledger.take(FRAME)
    assert taken is not None
    assert np.array_equal(taken.frame, ramp(0, FRAME))
    assert (taken.start, taken.samples, ledger.position) == (0, FRAME, FRAME)


def test_the_last_frame_is_padded_with_silence() -> None:
    ledger = filled(1_000)
    ledger.release()
    ledger.take(FRAME)
    assert ledger.take(FRAME, partial=False) is None
    taken = ledger.take(FRAME)
    assert taken is not None
    assert taken.samples == 40
    assert np.array_equal(taken.frame[:40], ramp(960, 40))
    assert not taken.frame[40:].any()
    assert ledger.ended
    assert ledger.take(FRAME) is None


def test_a_frame_may_span_many_pieces() -> None:
    ledger = Ledger(48_000)
    ledger.release()
    for start in range(0, 1_000, 7):
        ledger.append(ramp(start, 7))
    taken = ledger.take(FRAME)
    assert taken is not None
    assert np.array_equal(taken.frame, ramp(0, FRAME))


def test_word_ends_are_reported_when_crossed_and_again_after_going_back() -> None:
    ledger = filled(4_000)
    ledger.release()
    for end in (1_920, 100, 960, 3_999):
        ledger.mark_word(end)
    ends = [taken.word_ends for _ in range(5) if (taken := ledger.take(FRAME))]
    assert ends == [(100, 960), (1_920,), (), (), (3_999,)]
    ledger.seek(960)
    again = ledger.take(FRAME)
    assert again is not None
    assert again.word_ends == (1_920,)


def test_a_pause_keeps_the_position_and_a_resume_continues_softly() -> None:
    ledger = filled(5_000)
    ledger.release()
    ledger.take(FRAME)
    assert ledger.pause() == 960
    assert ledger.take(FRAME) is None
    ledger.resume()
    taken = ledger.take(FRAME)
    assert taken is not None
    assert taken.start == 960
    assert abs(int(taken.frame[0])) < 10
    assert np.array_equal(taken.frame[FADE_SAMPLES:], ramp(960 + FADE_SAMPLES, FRAME - FADE_SAMPLES))


def test_going_back_does_not_lower_what_was_played() -> None:
    ledger = filled(5_000)
    ledger.release()
    ledger.take(FRAME)
    ledger.take(FRAME)
    ledger.pause()
    ledger.resume(500)
    assert (ledger.position, ledger.played) == (500, 1_920)


def test_a_jump_within_the_reply_is_soft_too() -> None:
    ledger = filled(5_000)
    ledger.release()
    ledger.take(FRAME)
    ledger.seek(3_000)
    taken = ledger.take(FRAME)
    assert taken is not None
    assert abs(int(taken.frame[0])) < 10
    assert np.array_equal(taken.frame[FADE_SAMPLES:], ramp(3_000 + FADE_SAMPLES, FRAME - FADE_SAMPLES))


@pytest.mark.parametrize("sample", [-1, 5_001])
def test_positions_outside_the_reply_are_refused(sample: int) -> None:
    with pytest.raises(AudioError):
        filled(5_000).seek(sample)


def test_a_stopped_ledger_is_silent_for_ever() -> None:
    ledger = filled(5_000)
    ledger.release()
    ledger.take(FRAME)
    assert ledger.stop() == 960
    ledger.resume()
    ledger.append(ramp(0, 100))
    assert ledger.take(FRAME) is None


def test_a_reply_has_a_longest_length() -> None:
    ledger = Ledger(1_000)
    ledger.append(ramp(0, 1_000))
    with pytest.raises(LimitReached, match="max_reply_s"):
        ledger.append(ramp(0, 1))
    assert ledger.synthesised == 1_000


def test_the_tail_leads_to_silence_without_a_step() -> None:
    tail = fade_tail(-12_000, FRAME)
    assert tail is not None
    assert np.max(np.abs(np.diff(np.concatenate(([-12_000], tail)).astype(int)))) < 200
    assert not tail[FADE_SAMPLES:].any()
    assert fade_tail(5, FRAME) is None


class LedgerMachine(RuleBasedStateMachine):
    """Any sequence of operations, against a plain array as the model."""

    def __init__(self) -> None:
        super().__init__()
        self.ledger = Ledger(200_000)
        self.model = np.zeros(0, np.int16)
        self.next = 0
        self.soft = False
        self.gone = False

    @rule(samples=st.integers(0, 3_000))
    def append(self, samples: int) -> None:
        pcm = ramp(len(self.model), samples)
        self.ledger.append(pcm)
        if not self.gone:
            self.model = np.concatenate((self.model, pcm))

    @rule()
    def release(self) -> None:
        self.ledger.release()

    @rule()
    def pause(self) -> None:
        assert self.ledger.pause() == self.next

    @rule()
    def resume(self) -> None:
        self.ledger.resume()
        self.soft = True

    @precondition(lambda self: not self.gone)
    @rule(data=st.data())
    def seek(self, data: st.DataObject) -> None:
        self.next = data.draw(st.integers(0, len(self.model)))
        self.ledger.seek(self.next)
        self.soft = True

    @precondition(lambda self: not self.gone)
    @rule(data=st.data())
    def truncate(self, data: st.DataObject) -> None:
        sample = data.draw(st.integers(0, len(self.model)))
        self.ledger.truncate(sample)
        self.model = self.model[: max(sample, self.ledger.played, self.next)]

    @rule(data=st.data())
    def mark(self, data: st.DataObject) -> None:
        self.ledger.mark_word(data.draw(st.integers(0, 10_000)))

    @precondition(lambda self: len(self.model) > 5_000)
    @rule()
    def stop(self) -> None:
        assert self.ledger.stop() == self.next
        self.gone = True

    @rule(partial=st.booleans())
    def take(self, partial: bool) -> None:
        playing = self.ledger.playing
        taken = self.ledger.take(FRAME, partial=partial)
        left = len(self.model) - self.next
        if not playing or left == 0 or (left < FRAME and not partial):
            assert taken is None
            return
        assert taken is not None
        want = self.model[self.next : self.next + FRAME]
        assert (taken.start, taken.samples) == (self.next, len(want))
        exact = FADE_SAMPLES if self.soft else 0
        assert np.array_equal(taken.frame[exact : len(want)], want[exact:])
        assert np.all(np.abs(taken.frame[: len(want)]) <= want)
        assert not taken.frame[len(want) :].any()
        assert all(self.next < end <= self.next + len(want) for end in taken.word_ends)
        self.next += len(want)
        self.soft = False

    @invariant()
    def positions_are_sound(self) -> None:
        assert self.ledger.position == self.next
        assert 0 <= self.ledger.position <= self.ledger.synthesised == len(self.model)
        assert self.ledger.played <= self.ledger.synthesised
        if self.gone:
            assert not self.ledger.playing


TestLedgerMachine = LedgerMachine.TestCase
TestLedgerMachine.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
