"""From the playout's 48 kHz to hearing's 16 kHz, cheaply: good enough to compare, not to listen to."""

from __future__ import annotations

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

_FACTOR = 3
_TAPS = 36
_BEFORE = _TAPS - _FACTOR


def _low_pass() -> NDArray[np.float32]:
    """Windowed sinc: -3 dB at 6.6 kHz, -28 dB at 9 kHz."""
    at = np.arange(_TAPS) - (_TAPS - 1) / 2
    taps = np.sinc(0.9 * at / _FACTOR) * np.kaiser(_TAPS, 6.0)
    return np.asarray(taps / taps.sum(), dtype=np.float32)


class Decimator:
    """Converts one stream of blocks, each a multiple of 3 samples long. Delays it by 0.4 ms."""

    _taps = _low_pass()

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Silence comes before the next block."""
        self._joined = np.zeros(_BEFORE, dtype=np.float32)
        """What came before the newest block, and that block."""

    def push(self, pcm: NDArray[np.int16]) -> NDArray[np.float32]:
        """int16 at 48 kHz, shape (samples,), as float32 at 16 kHz, shape (samples / 3,)."""
        if self._joined.size != _BEFORE + pcm.size:
            self._fit(pcm.size)
        self._joined[:_BEFORE] = self._joined[-_BEFORE:]
        self._joined[_BEFORE:] = pcm
        return np.asarray(self._windows @ self._taps, dtype=np.float32)

    def _fit(self, samples: int) -> None:
        """Blocks are of one length as a rule, and making the view takes longer than the filter."""
        joined = np.zeros(_BEFORE + samples, dtype=np.float32)
        joined[-_BEFORE:] = self._joined[-_BEFORE:]
        self._joined, self._windows = joined, sliding_window_view(joined, _TAPS)[::_FACTOR]
