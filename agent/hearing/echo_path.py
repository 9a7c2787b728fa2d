"""How loud the loudspeaker comes back in each band of the microphone, and what exceeds it.

Powers, not waveforms: loudspeakers distort, browsers suppress echo and stretch what they play, and clocks
drift. What was played some 10 ms ago still rings in the room, so the expected echo falls by
`RING_DB_PER_S` at most. A person's speech is sparse in time and frequency as the agent's is,
and so exceeds the expected echo by far in some bands even when both are equally loud.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from agent.hearing.port import HEARING_RATE

WINDOW_SAMPLES = 512
RING_DB_PER_S = 120.0
MOST_DB = 15.0
"""A single band counts no more than this."""
LOUDEST_DB = 10.0
FIRST_GAIN_DB = -10.0
LEAK = 0.001
"""Share of everything played that a loudspeaker's distortion may add to each band."""
UPWARD = 5.0
"""A gain rises so much more readily than it falls, and so lies above the mean (an expectile): the
more an echo varies, in rooms that ring and through loudspeakers that distort, the further above."""
_AUDIBLE = 4.0
_FAINT = 10.0
_FADED_FRAMES = 200
_LEARNED_FRAMES = 60
"""The gain of a band is the mean of about so many frames."""
_EDGES_HZ = (
    *(100, 200, 300, 400, 510, 630, 770, 920, 1_080, 1_270, 1_480, 1_720),
    *(2_000, 2_320, 2_700, 3_150, 3_700, 4_400, 5_300, 6_400, 7_700),
)
"""Critical bands (Zwicker, 1961)."""

BANDS = len(_EDGES_HZ) - 1
_NOISE_BLOCKS = 8
_NOISE_BLOCK_MS = 250
_MINIMUM_BIAS = 2.0
_STEADY_BLOCK_MS = 200
_STEADY_SPREAD = 3.0
"""A band that stays within this factor for two such blocks is a machine's: voices, and their echoes, do not."""
_BINS = np.array([round(edge * WINDOW_SAMPLES / HEARING_RATE) for edge in _EDGES_HZ])
_WINDOW = np.hanning(WINDOW_SAMPLES + 2)[1:-1].astype(np.float32)
_LEAST_NOISE = np.diff(_BINS) * 16.0 * 0.375
"""White noise of 4 RMS."""

Audio = NDArray[np.float32]
Bands = NDArray[np.float64]


def band_powers(windows: Audio) -> Bands:
    """Power of each band of `WINDOW_SAMPLES` samples, shape (BANDS,); of several such windows at once, (n, BANDS)."""
    spectrum = np.fft.rfft(windows * _WINDOW)
    power = np.square(spectrum.real, dtype=np.float64) + np.square(spectrum.imag, dtype=np.float64)
    return np.add.reduceat(power, _BINS, axis=-1)[..., :BANDS] / WINDOW_SAMPLES + 1e-3


class EchoPath:
    """The gain from what is played to what the microphone hears, by band."""

    def __init__(self) -> None:
        self._ringing: Bands = np.zeros(BANDS)
        self._minima: Bands = np.full((_NOISE_BLOCKS, BANDS), np.inf)
        self._block = self._block_ms = 0
        self._noise = _LEAST_NOISE
        self._lows: Bands = np.zeros((2, BANDS))
        self._highs: Bands = np.full((2, BANDS), np.inf)
        self._steady_block_ms = 0
        self.reset()

    def reset(self) -> None:
        """Forget the gains: the echo comes another way."""
        self._gain_db: Bands = np.full(BANDS, FIRST_GAIN_DB)
        self._frames: Bands = np.zeros(BANDS)

    def step(self, heard: Bands, played: Bands, frame_ms: int) -> None:
        """One frame: the powers heard, and those played that would come back now."""
        self._heard = heard
        played = played + LEAK * float(played.sum())
        self._ringing = np.maximum(played, self._ringing * 10.0 ** (-RING_DB_PER_S * frame_ms / 10_000))
        self._returned_db = 10.0 * np.log10(heard / np.maximum(self._ringing, 1e-3))
        self._note_noise(heard, frame_ms)

    def _note_noise(self, heard: Bands, frame_ms: int) -> None:
        """Minimum statistics (Martin, 2001), with the bias of a minimum taken away."""
        if self._block_ms >= _NOISE_BLOCK_MS:
            self._block, self._block_ms = (self._block + 1) % _NOISE_BLOCKS, 0
            self._minima[self._block] = np.inf
        self._block_ms += frame_ms
        self._minima[self._block] = np.minimum(heard, self._minima[self._block])
        self._noise = np.maximum(_MINIMUM_BIAS * np.minimum.reduce(self._minima), _LEAST_NOISE)
        low = self._steady_low(heard, frame_ms)
        self._noise = np.maximum(self._noise, _MINIMUM_BIAS * low)

    def _steady_low(self, heard: Bands, frame_ms: int) -> Bands:
        """The level of the bands that are steady, 0 in the others: a hum that begins is noise at once."""
        if self._steady_block_ms >= _STEADY_BLOCK_MS:
            self._lows[1], self._highs[1], self._steady_block_ms = self._lows[0], self._highs[0], 0
            self._lows[0], self._highs[0] = heard, heard
        self._steady_block_ms += frame_ms
        self._lows[0], self._highs[0] = np.minimum(self._lows[0], heard), np.maximum(self._highs[0], heard)
        low: Bands = np.minimum(*self._lows)
        return np.where(np.maximum(*self._highs) < _STEADY_SPREAD * low, low, 0.0)

    def excess_db(self, margin_db: float) -> float:
        """How far this frame lies above the expected echo and noise with `margin_db` added: mean of the bands."""
        over_db = 10.0 * np.log10(self._heard / (self._expected() + self._noise))
        return float(np.minimum(np.maximum(over_db - margin_db, 0.0), MOST_DB).sum()) / BANDS

    def learn(self, surely: float = 1.0) -> None:
        """This frame is echo and nothing else, as sure as that is, 0…1."""
        audible = (self._heard > _AUDIBLE * self._noise) & (self._ringing > 1.0)
        self._frames = np.minimum(self._frames + audible, _LEARNED_FRAMES)
        self._approach(surely * audible / np.maximum(self._frames, 1))

    def fade(self) -> None:
        """Whatever this frame is: where it is far below the expected echo, less may come back than did."""
        faint = self._expected() > _FAINT * self._heard
        self._approach(faint / _FADED_FRAMES)

    def _expected(self) -> Bands:
        return self._ringing * 10.0 ** (self._gain_db / 10)

    def _approach(self, weight: Bands) -> None:
        off_db = self._returned_db - self._gain_db
        weight = np.minimum(np.where(off_db > 0.0, UPWARD * weight, weight), 1.0)
        self._gain_db = np.minimum(self._gain_db + weight * off_db, LOUDEST_DB)
