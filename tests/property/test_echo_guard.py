"""The echo guard on any audio at any times: it never fails, and where nothing is played it does nothing."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.hearing.echo import EchoGuard
from agent.hearing.history import History
from agent.settings import EchoSettings

SEEDS = st.integers(0, 2**16)
LOUDNESS = st.sampled_from((0, 1, 30, 3_000, 32_767))
LATE_US = st.sampled_from((0, 0, 0, 1_000, 30_000, 150_000, 3_000_000, -40_000))
FRAMES = st.lists(st.tuples(LOUDNESS, LOUDNESS, st.booleans(), LATE_US, SEEDS), min_size=1, max_size=40)
SIZES = st.sampled_from((160, 320, 480))


def loud(seed: int, samples: int, loudness: int) -> np.ndarray:
    if loudness == 32_767:
        return np.full(samples, -32_768, dtype=np.int16)
    return np.random.default_rng(seed).integers(-loudness, loudness + 1, samples, dtype=np.int16)


@settings(max_examples=60, deadline=None)
@given(FRAMES, SIZES, st.integers(50, 1_000), st.integers(1, 30))
def test_any_audio_gets_a_verdict(
    frames: list[tuple[int, int, bool, int, int]], size: int, max_delay_ms: int, margin_db: int
) -> None:
    guard, at_us = EchoGuard(EchoSettings(max_delay_ms=max_delay_ms, margin_db=margin_db)), 0
    for heard, played, speech, late_us, seed in frames * 3:
        at_us += 20_000
        guard.played(loud(seed, 960, played) if played else None, at_us + late_us)
        verdict = guard.judge(loud(seed + 1, size, heard), at_us + late_us // 2, speech=speech)
        assert verdict in ("near", "unsure", "echo")
        assert guard.delay is None or -800 <= guard.delay <= (max_delay_ms + 60) * 16


@settings(max_examples=40, deadline=None)
@given(FRAMES, SIZES)
def test_where_nothing_is_played_everything_is_near(frames: list[tuple[int, int, bool, int, int]], size: int) -> None:
    guard, at_us = EchoGuard(EchoSettings()), 0
    for heard, _, speech, late_us, seed in frames:
        at_us += 20_000
        guard.played(None, at_us)
        assert guard.judge(loud(seed, size, heard), at_us + late_us, speech=speech) == "near"


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(st.integers(1, 700), LATE_US), min_size=1, max_size=80),
    st.integers(-2_000, 200_000),
    st.integers(1, 3_000),
)
def test_a_history_has_every_window(frames: list[tuple[int, int]], end: int, samples: int) -> None:
    history, at = History(2_000), 0
    for size, late_us in frames:
        at += size
        history.append(np.ones(size, dtype=np.float32), at * 1_000_000 // 16_000 + late_us)
    assert history.window(end, samples).shape == (samples,)
    assert history.end is not None
    assert history.window(history.end, 1)[0] == 1.0
