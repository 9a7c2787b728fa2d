"""Streaming sample-rate conversion of int16 mono audio by any rational ratio.

A windowed-sinc interpolator in polyphase form (J. O. Smith, "Digital Audio Resampling"; Kaiser's
window). With `L / M` the reduced ratio of the rates, output sample `n` lies at input position
`n * M / L`; its integer part chooses the input window, its fraction one of `L` filters. The
output is aligned with the input: nothing is delayed in the coordinate, only in its arrival,
by half a filter (0.7 ms from 22,050 Hz, 1 ms from 48,000 Hz).
"""

from __future__ import annotations

from functools import lru_cache
from math import ceil, gcd

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from agent.errors import AudioError

Pcm = NDArray[np.int16]

MIN_RATE = 4_000
MAX_RATE = 384_000
MAX_PHASES = 4_096

_HALF_TAPS = 16
"""Zero crossings of the sinc on each side."""
_KAISER_BETA = 8.0
"""Side lobes below -80 dB."""
_ROLLOFF = 0.92
"""The -6 dB point as a share of the lower Nyquist frequency; leaves room for the transition band."""
_FEW_PHASES = 8
"""Up to here one matrix-vector product per phase is cheaper than gathering every window."""
_LANES = 64
"""Outputs of one dense product: the fewer, the less of the matrix is zeros."""
_SLICE = 9_600
"""Output samples made at once: bounds memory and how long the interpreter is held."""


@lru_cache(maxsize=16)
def _filters(up: int, down: int) -> NDArray[np.float32]:
    """The polyphase filters, shape (up, taps): row `p` interpolates at fraction `p / up`."""
    cutoff = _ROLLOFF * min(1.0, up / down)
    half = ceil(_HALF_TAPS / min(1.0, up / down))
    offsets = np.arange(-half + 1, half + 1, dtype=np.float64)
    distance = offsets[None, :] - np.arange(up, dtype=np.float64)[:, None] / up
    window = np.i0(_KAISER_BETA * np.sqrt(np.clip(1.0 - (distance / half) ** 2, 0.0, None))) / np.i0(_KAISER_BETA)
    taps = cutoff * np.sinc(cutoff * distance) * window
    # Every phase has unit gain at 0 Hz, so a constant stays a constant.
    return np.ascontiguousarray(taps / taps.sum(axis=1, keepdims=True), dtype=np.float32)


@lru_cache(maxsize=16)
def _period_matrices(up: int, down: int) -> list[tuple[int, int, NDArray[np.float32]]]:
    """The filters of one period as (first output, first input, matrix of inputs by outputs)."""
    table = _filters(up, down)
    taps = table.shape[1]
    matrices = []
    for lane in range(0, up, _LANES):
        positions, phases = np.divmod(np.arange(lane, min(lane + _LANES, up)) * down, up)
        offset = int(positions[0])
        matrix = np.zeros((int(positions[-1]) - offset + taps, len(positions)), dtype=np.float32)
        for column, (position, phase) in enumerate(zip(positions - offset, phases, strict=True)):
            matrix[position : position + taps, column] = table[phase]
        matrices.append((lane, offset, matrix))
    return matrices


class Resampler:
    """Converts one stream. Blocks may have any length; the state is carried across them.

    All outputs together hold exactly `ceil(inputs * rate_out / rate_in)` samples once `flush`
    was called. Raises `AudioError` for rates it cannot convert.
    """

    def __init__(self, rate_in: int, rate_out: int) -> None:
        for rate in (rate_in, rate_out):
            if not MIN_RATE <= rate <= MAX_RATE:
                raise AudioError(f"a sample rate of {rate} Hz cannot be used; it must be {MIN_RATE} to {MAX_RATE} Hz")
        divisor = gcd(rate_in, rate_out)
        self._up, self._down = rate_out // divisor, rate_in // divisor
        if self._up > MAX_PHASES:
            raise AudioError(f"{rate_in} Hz to {rate_out} Hz has no small ratio; convert to a usual rate first")
        self._reset()

    def _reset(self) -> None:
        self._table = _filters(self._up, self._down)
        self._half = self._table.shape[1] // 2
        # Silence stands before the first sample; `_first` is the input index of `_buffer[0]`.
        self._buffer = np.zeros(self._half - 1, dtype=np.float32)
        self._first = 1 - self._half
        self._consumed = 0
        self._made = 0

    def push(self, pcm: Pcm) -> Pcm:
        """Convert a block, shape (samples,). Returns what can be computed so far."""
        if self._up == self._down:
            return pcm
        self._consumed += len(pcm)
        self._buffer = np.concatenate((self._buffer, pcm.astype(np.float32)))
        # Output n needs input up to floor(n * down / up) + half.
        return self._make((self._consumed - self._half - 1) * self._up // self._down + 1)

    def flush(self) -> Pcm:
        """The end of the stream: what was held back. The next `push` begins a new stream."""
        if self._up == self._down:
            return np.zeros(0, dtype=np.int16)
        total = -(-self._consumed * self._up // self._down)
        self._buffer = np.concatenate((self._buffer, np.zeros(self._half + 1, dtype=np.float32)))
        out = self._make(total)
        self._reset()
        return out

    def _make(self, until: int) -> Pcm:
        parts: list[Pcm] = []
        while self._made < until:
            count = min(_SLICE, until - self._made)
            parts.append(self._interpolate(self._made, count))
            self._made += count
        # The window of output n starts half - 1 samples before its input position.
        keep_from = self._made * self._down // self._up - self._half + 1
        if keep_from > self._first:
            self._buffer = self._buffer[keep_from - self._first :]
            self._first = keep_from
        return np.concatenate(parts) if parts else np.zeros(0, dtype=np.int16)

    def _interpolate(self, first: int, count: int) -> Pcm:
        out = np.empty(count, dtype=np.float32)
        if self._up <= _FEW_PHASES:
            self._by_phase(first, out)
        else:
            head = min(-first % self._up, count)
            whole = (count - head) // self._up * self._up
            self._singly(first, out[:head])
            self._by_period(first + head, out[head : head + whole])
            self._singly(first + head + whole, out[head + whole :])
        return np.clip(np.rint(out), -32_768, 32_767).astype(np.int16)

    def _windows(self, start: int, width: int) -> NDArray[np.float32]:
        """All runs of `width` input samples, the first of them at input index `start`."""
        return sliding_window_view(self._buffer[start - self._first :], width)

    def _by_phase(self, first: int, out: NDArray[np.float32]) -> None:
        for lane in range(min(self._up, len(out))):
            position, phase = divmod((first + lane) * self._down, self._up)
            lanes = len(range(lane, len(out), self._up))
            windows = self._windows(position - self._half + 1, 2 * self._half)
            out[lane :: self._up] = windows[:: self._down][:lanes] @ self._table[phase]

    def _by_period(self, first: int, out: NDArray[np.float32]) -> None:
        """Whole periods of `up` outputs, from one that begins a period: a few dense products."""
        periods = len(out) // self._up
        if not periods:
            return
        rows, start = out.reshape(periods, self._up), first * self._down // self._up - self._half + 1
        for lane, offset, matrix in _period_matrices(self._up, self._down):
            windows = self._windows(start + offset, len(matrix))
            rows[:, lane : lane + matrix.shape[1]] = windows[:: self._down][:periods] @ matrix

    def _singly(self, first: int, out: NDArray[np.float32]) -> None:
        if not len(out):
            return
        positions, phases = np.divmod(np.arange(first, first + len(out), dtype=np.int64) * self._down, self._up)
        windows = self._windows(int(positions[0]) - self._half + 1, 2 * self._half)
        np.einsum("ij,ij->i", windows[positions - positions[0]], self._table[phases], out=out)


def resample(pcm: Pcm, rate_in: int, rate_out: int) -> Pcm:
    """Convert a whole signal, shape (samples,), to `ceil(samples * rate_out / rate_in)` samples."""
    resampler = Resampler(rate_in, rate_out)
    return np.concatenate((resampler.push(pcm), resampler.flush()))
