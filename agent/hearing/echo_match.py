"""Where in the played audio does a stretch of the microphone's audio lie, and how alike are they?

Generalised cross-correlation (Knapp and Carter, "The generalized correlation method for
estimation of time delay", 1976), with both sides half whitened: plain correlation finds the next vowel
of the same pitch, a fully whitened one mostly noise. Computed at 8 kHz.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from agent.hearing.port import HEARING_RATE

_STEP = 2
"""Input samples per sample compared."""
_SMOOTH_HZ = 60.0
_QUIET = 0.02
"""Stretches of the reference quieter than this share of its mean energy do not count as alike."""

Audio = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Match:
    """`score` is the normalised correlation, 0…1, at the best `lag`: samples at 16 kHz from the end
    of the stretch in the reference to the reference's end."""

    score: float
    lag: int


def match(heard: Audio, played: Audio) -> Match:
    """Find `heard`, 16 kHz, in `played`, which is at least as long. Takes about 0.5 ms for 600 ms."""
    ours, theirs = _prepared(heard), _prepared(played)
    size = _good_size(theirs.size)
    ours_spectrum, theirs_spectrum = _half_whitened(ours, size), _half_whitened(theirs, size)
    lags = theirs.size - ours.size + 1
    products = np.abs(np.fft.irfft(theirs_spectrum * ours_spectrum.conj(), size)[:lags])
    energy = np.concatenate(([0.0], np.cumsum(np.square(np.fft.irfft(theirs_spectrum, size)[: theirs.size]))))
    stretches = energy[ours.size :] - energy[:lags]
    least = _QUIET * energy[-1] * ours.size / theirs.size
    own = float(np.sum(np.square(np.fft.irfft(ours_spectrum, size)[: ours.size])))
    if own <= 0.0 or energy[-1] <= 0.0:
        return Match(0.0, 0)
    scores = products / np.sqrt(own * np.maximum(stretches, least))
    best = int(np.argmax(scores))
    return Match(float(scores[best]), (lags - 1 - best) * _STEP)


def _prepared(audio: Audio) -> Audio:
    """Halve the rate and take away the fall of speech towards high frequencies."""
    halved = audio[: audio.size // _STEP * _STEP].reshape(-1, _STEP).sum(axis=1)
    return np.diff(halved, prepend=halved[:1])


def _half_whitened(audio: Audio, size: int) -> NDArray[np.complexfloating]:
    """The spectrum of `audio`, `size` samples of it, its envelope's root divided out."""
    spectrum = np.fft.rfft(audio, size)
    power = np.square(spectrum.real) + np.square(spectrum.imag)
    reach = max(1, round(_SMOOTH_HZ * 2 * (power.size - 1) * _STEP / HEARING_RATE))
    sums = np.cumsum(np.pad(power, (reach + 1, reach)), dtype=np.float64)
    smooth = (sums[2 * reach + 1 :] - sums[: -2 * reach - 1]) / (2 * reach + 1)
    return spectrum / np.maximum(smooth, 1e-3).astype(np.float32) ** 0.25


@cache
def _good_size(least: int) -> int:
    """The next length with small factors only, on which a Fourier transform is fast."""
    size = least
    while True:
        rest = size
        for factor in (2, 3, 5):
            while rest % factor == 0:
                rest //= factor
        if rest == 1 and size % 2 == 0:
            return size
        size += 1
