"""Resampling: exact lengths, alignment, fidelity, and no dependence on how blocks are cut."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.audio.resample import Resampler, resample
from agent.errors import AudioError

RATIOS = [(22_050, 48_000), (16_000, 48_000), (8_000, 16_000), (44_100, 16_000), (48_000, 16_000), (11_025, 16_000)]


def tone(rate: int, hz: float, samples: int) -> np.ndarray:
    return np.rint(12_000 * np.sin(2 * np.pi * hz * np.arange(samples) / rate)).astype(np.int16)


@pytest.mark.parametrize(("rate_in", "rate_out"), RATIOS)
@pytest.mark.parametrize("hz", [200, 1_000, 3_000])
def test_a_sine_stays_that_sine_at_the_same_place(rate_in: int, rate_out: int, hz: int) -> None:
    out = resample(tone(rate_in, hz, rate_in), rate_in, rate_out).astype(float)
    want = 12_000 * np.sin(2 * np.pi * hz * np.arange(len(out)) / rate_out)
    middle = slice(rate_out // 10, -rate_out // 10)
    noise = out[middle] - want[middle]
    assert 10 * np.log10(np.mean(want[middle] ** 2) / np.mean(noise**2)) > 50


def test_what_the_lower_rate_cannot_hold_is_removed() -> None:
    out = resample(tone(48_000, 11_000, 48_000), 48_000, 16_000).astype(float)
    assert np.sqrt(np.mean(out[800:-800] ** 2)) < 12_000 / 1_000


@pytest.mark.parametrize(("rate_in", "rate_out"), RATIOS)
@pytest.mark.parametrize("samples", [0, 1, 2, 147, 960, 5_001])
def test_total_length_is_exact(rate_in: int, rate_out: int, samples: int) -> None:
    out = resample(np.ones(samples, np.int16), rate_in, rate_out)
    assert len(out) == -(-samples * rate_out // rate_in)
    assert out.dtype == np.int16


@settings(max_examples=60, deadline=None)
@given(ratio=st.sampled_from(RATIOS), cuts=st.lists(st.integers(0, 700), max_size=8), seed=st.integers(0, 9))
def test_blocks_make_no_difference(ratio: tuple[int, int], cuts: list[int], seed: int) -> None:
    pcm = np.random.default_rng(seed).integers(-20_000, 20_000, 1_500).astype(np.int16)
    streamed = Resampler(*ratio)
    pieces = [streamed.push(piece) for piece in np.split(pcm, sorted(min(cut, 1_500) for cut in cuts))]
    out = np.concatenate([*pieces, streamed.flush()]).astype(int)
    whole = resample(pcm, *ratio).astype(int)
    assert len(out) == len(whole)
    assert np.max(np.abs(out - whole)) <= 1  # the order of additions may differ by a rounding


def test_a_flushed_resampler_starts_a_new_stream() -> None:
    pcm = tone(22_050, 440, 2_000)
    resampler = Resampler(22_050, 48_000)
    first = np.concatenate((resampler.push(pcm), resampler.flush()))
    again = np.concatenate((resampler.push(pcm), resampler.flush()))
    assert np.array_equal(first, again)


def test_long_streams_do_not_gather_state() -> None:
    resampler = Resampler(48_000, 16_000)
    made = sum(len(resampler.push(np.zeros(960, np.int16))) for _ in range(500))
    assert 500 * 320 - 40 <= made <= 500 * 320
    assert len(resampler._buffer) < 500


def test_loud_input_is_clipped_not_wrapped() -> None:
    square = np.where(np.arange(4_000) // 40 % 2 == 0, 32_767, -32_768).astype(np.int16)
    out = resample(square, 22_050, 48_000).astype(int)
    assert np.max(np.abs(np.diff(out))) < 60_000


def test_equal_rates_pass_through() -> None:
    pcm = tone(48_000, 440, 960)
    assert np.array_equal(resample(pcm, 48_000, 48_000), pcm)


@pytest.mark.parametrize("rates", [(0, 48_000), (48_000, -1), (48_000, 47_999)])
def test_impossible_rates_are_refused(rates: tuple[int, int]) -> None:
    with pytest.raises(AudioError):
        Resampler(*rates)
