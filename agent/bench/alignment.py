"""Where a piece of speech lies in another recording of the same text.

A synthesiser never says a text twice with the same samples, so spectra are compared: log
energies in bands, every 10 ms.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from agent.bench.heard import AUDIBLE_RMS, RATE

Pcm = NDArray[np.int16]

HOP_MS = 10
HOP = RATE * HOP_MS // 1_000
WINDOW = RATE * 25 // 1_000
BANDS = 20
PIECE_MS = 400
"""What is looked up: long enough to lie in one place only."""
MIN_PIECE_MS = 150
GAP_MS = 60
"""Silence this long parts two segments."""
TRUSTED = 0.92
"""Correlation from which a place counts as found. Measured: right places 0.96 and more, wrong ones 0.88 and less."""
BACK_MS, AHEAD_MS = 1_500, 3_000
"""How far from where it should go on a reply is looked for: a word or two back, a sentence ahead."""
SLACK_MS = 40
"""Differences below this are the synthesiser's own."""


@dataclass(frozen=True, slots=True)
class Continuity:
    """How a reply went on around a sound. `None` where the two recordings could not be compared.

    paused_ms    the longest silence beyond the one that belongs there
    missing_ms   audible speech that was never heard
    repeated_ms  speech that was heard twice
    """

    paused_ms: float
    missing_ms: float | None
    repeated_ms: float | None


class Reference:
    """A text heard without interruption, 16 kHz."""

    def __init__(self, pcm: Pcm) -> None:
        self._features = features(pcm)
        self._audible = audible(pcm)

    def locate(self, piece: Pcm, near: int | None = None) -> int | None:
        """The hop at which the piece begins, None when nothing there is like it.

        With `near`, only places around that hop are looked at.
        """
        wanted = features(piece)
        size = len(wanted)
        low = 0 if near is None else max(near - BACK_MS // HOP_MS, 0)
        high = len(self._features) if near is None else near + AHEAD_MS // HOP_MS + size
        searched = self._features[low:high]
        if size < MIN_PIECE_MS // HOP_MS or len(searched) < size:
            return None
        windows = sliding_window_view(searched, size, axis=0).transpose(0, 2, 1).reshape(-1, size * BANDS)
        windows = windows - windows.mean(axis=1, keepdims=True)
        flat = wanted.reshape(-1) - wanted.mean()
        norms = np.linalg.norm(windows, axis=1) * np.linalg.norm(flat)
        scores = windows @ flat / np.maximum(norms, 1e-9)
        best = int(np.argmax(scores))
        return low + best if scores[best] >= TRUSTED else None

    def audible_ms(self, from_hop: int, to_hop: int) -> float:
        """Audible speech between two places."""
        return float(self._audible[max(from_hop, 0) : max(to_hop, 0)].sum()) * HOP_MS


def features(pcm: Pcm) -> NDArray[np.float32]:
    """Log energies, shape (hops, BANDS)."""
    if pcm.size < WINDOW:
        return np.zeros((0, BANDS), np.float32)
    frames = sliding_window_view(pcm.astype(np.float32), WINDOW)[::HOP] * np.hanning(WINDOW).astype(np.float32)
    power = np.abs(np.fft.rfft(frames, axis=1)) ** 2
    edges = np.unique(np.geomspace(3, power.shape[1], BANDS + 1).astype(int))
    edges = np.linspace(3, power.shape[1], BANDS + 1).astype(int) if len(edges) < BANDS + 1 else edges
    bands = np.add.reduceat(power, edges[:-1], axis=1)
    return np.log10(bands + 1e4).astype(np.float32)


def audible(pcm: Pcm) -> NDArray[np.bool_]:
    """Whether each hop is audible."""
    hops = pcm[: pcm.size // HOP * HOP].reshape(-1, HOP).astype(np.float64)
    return np.asarray(np.sqrt(np.mean(hops**2, axis=1)) >= AUDIBLE_RMS)


def segments(pcm: Pcm) -> list[tuple[int, int]]:
    """Audible stretches as (first hop, hop behind the last), parted by `GAP_MS` of silence or more."""
    loud = np.flatnonzero(audible(pcm))
    if not loud.size:
        return []
    breaks = np.flatnonzero(np.diff(loud) > GAP_MS // HOP_MS)
    firsts = [int(loud[0]), *(int(loud[index + 1]) for index in breaks)]
    lasts = [*(int(loud[index]) for index in breaks), int(loud[-1])]
    return [(first, last + 1) for first, last in zip(firsts, lasts, strict=True)]


def continuity(pcm: Pcm, reference: Reference) -> Continuity | None:
    """How the heard `pcm` follows the reference; None when it holds less than two segments' ends.

    Segments that are too short to be looked up count as heard: they are bridged.
    """
    found = segments(pcm)
    if not found:
        return None
    longest = max((after[0] - before[1] for before, after in pairwise(found)), default=0)
    places: list[tuple[int, int, int, int]] = []
    near: int | None = None
    for first, end in found:
        size = min(PIECE_MS // HOP_MS, end - first)
        expected = None if near is None else near + first - places[-1][1]
        head = reference.locate(pcm[first * HOP : (first + size) * HOP], expected)
        if head is None:
            continue
        tail = reference.locate(pcm[(end - size) * HOP : end * HOP], head + end - first - size)
        if tail is not None:
            near = tail + size
            places.append((first, end, head, near))
    if len(places) < min(len(found), 2):
        return Continuity(longest * HOP_MS, None, None)
    paused = missing = repeated = 0.0
    for first, end, head, tail in places:
        missing += _missing(reference, head + (end - first), tail)
    for (_, end, _, tail), (first, _, head, _) in pairwise(places):
        paused = max(paused, (first - end) * HOP_MS - max(head - tail, 0) * HOP_MS)
        missing += _missing(reference, tail, head, heard_hops=_heard(found, end, first))
        repeated += max((tail - head) * HOP_MS - SLACK_MS, 0)
    return Continuity(max(paused, 0.0), missing, repeated)


def _missing(reference: Reference, from_hop: int, to_hop: int, heard_hops: int = 0) -> float:
    lost = reference.audible_ms(from_hop, to_hop) - heard_hops * HOP_MS
    return lost if lost > SLACK_MS else 0.0


def _heard(found: list[tuple[int, int]], end: int, first: int) -> int:
    """Audible hops of the short segments between two places."""
    return sum(b - a for a, b in found if a >= end and b <= first)
