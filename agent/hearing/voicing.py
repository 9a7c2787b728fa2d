"""Voicing: is a stretch of audio periodic, as vowels are and clatter is not?

Normalised autocorrelation over a window of 40 ms at 8 kHz, its highest peak between 60 and
400 Hz; the classical pitch detector (Rabiner, "On the use of autocorrelation analysis for
pitch detection", 1977). Costs about 0.1 ms.
"""

from __future__ import annotations

import numpy as np

from agent.hearing.port import HEARING_RATE, Pcm

WINDOW_SAMPLES = HEARING_RATE * 40 // 1000
VOICED_FROM = 0.6
"""Peak from which a window counts as voiced: flite and espeak-ng speech has 70–90 % such
windows, white noise none, distant babble 1 %."""

_RATE = HEARING_RATE // 2
_SHORTEST_LAG = _RATE // 400
_LONGEST_LAG = _RATE // 60
_FFT_SIZE = 512  # at least window + longest lag at 8 kHz, so that the product does not wrap
_LAGS = np.arange(_SHORTEST_LAG, _LONGEST_LAG + 1)


def periodicity(window: Pcm) -> float:
    """The highest normalised autocorrelation, about 0…1, of `WINDOW_SAMPLES` samples."""
    signal = window.astype(np.float32).reshape(-1, 2).sum(axis=1)
    signal -= signal.mean()
    spectrum = np.fft.rfft(signal, _FFT_SIZE)
    products = np.fft.irfft(spectrum.real**2 + spectrum.imag**2, _FFT_SIZE)[_LAGS]
    energy = np.concatenate(([0.0], np.cumsum(signal.astype(np.float64) ** 2)))
    total = energy[-1]
    if total <= 0.0:
        return 0.0
    norms = np.sqrt(energy[signal.size - _LAGS] * (total - energy[_LAGS]))
    return float(np.max(products / np.maximum(norms, 1e-6)))
