"""Is what the domain decoder heard what was said? Its best path against the general one's.

Both decoders score the same frames with the same acoustic model. For a sentence of the domain
the domain's path is the better one by far (its words are likely there); for another sentence
the general decoder finds words that fit the sound better. The measure is the log ratio of the
path scores per frame of speech, with the share of frames on which both say the same word
(word confidence by a competing recogniser: Wessel et al., 2001, compare such measures).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from agent.hearing.language import FILLERS

SILENCES = frozenset({"<s>", "</s>", "<sil>", "[NOISE]", "[SPEECH]", "(NULL)"})

LONGEST_WORD_FRAMES = 120
BORDER = 4.0
"""Calibrated on 40 requests in five synthetic voices, 40 other sentences in the same voices, a
podcast and noises: right texts lie at 6.9 and above (median 17), other sentences at -1 and below."""
FILLER_BORDER = -10.0
"""A hesitation is a hesitation even if the general model, which has no "um", finds a word in it."""
AGREEMENT_GAIN = 4.0
SLOPE = 0.5


@dataclass(frozen=True, slots=True)
class Segment:
    """A word on frames `start` … `end`, both inclusive, 10 ms each."""

    word: str
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class BestPath:
    """A decoder's best path. `score`: log probability in the decoder's log base, per its own scale."""

    text: str
    score: float
    segments: Sequence[Segment]

    @property
    def plausible(self) -> bool:
        """It has words, and none of them lasts as long as only a hum, a horn or a babble can."""
        spoken = [segment for segment in self.segments if segment.word not in SILENCES]
        return bool(spoken) and max(s.end + 1 - s.start for s in spoken) <= LONGEST_WORD_FRAMES

    def words(self) -> list[str]:
        """The word of every frame, empty for silence."""
        frames: list[str] = []
        for segment in self.segments:
            word = "" if segment.word in SILENCES else segment.word.split("(")[0]
            frames += [word] * (segment.end + 1 - len(frames))
        return frames


def confidence(domain: BestPath, general: BestPath) -> float:
    """How sure it is that `domain` is what was said, 0…1; 0.5 is the calibrated border."""
    if not domain.plausible:
        return 0.0
    ours, theirs = domain.words(), general.words()
    frames = [(a, b) for a, b in zip(ours, theirs, strict=False) if a or b]
    if not frames:
        return 0.0  # one of the two heard nothing at all
    gain = (domain.score - general.score) / len(frames)
    agreement = sum(a == b for a, b in frames) / len(frames)
    border = FILLER_BORDER if set(domain.text.split()).issubset(FILLERS) else BORDER
    return 1.0 / (1.0 + math.exp(-SLOPE * (gain + AGREEMENT_GAIN * agreement - border)))
