"""What a Whisper model says although nobody did: on silence, on noise, and in loops.

The first two thresholds are those of Whisper's own transcription (Radford et al., 2022, section
4.5): on audio without speech the model is unsure of what it says. The others know what speech is.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Sequence

from agent.hearing.agreement import plain
from agent.hearing.port import HeardWord
from agent.hearing.whisper_protocol import Transcript

NO_SPEECH = 0.6
UNSURE = -1.0
COMPRESSION = 2.4
"""A text that zlib shortens by more than this repeats itself."""
WORDS_PER_S = 7
SPARE_WORDS = 2
LOOP_TIMES = 4
LOOP_WORDS = 6


def believed(transcript: Transcript, sound_ms: int) -> tuple[HeardWord, ...]:
    """The words of it that were said, if any; `sound_ms` of its audio are not silence."""
    if transcript.no_speech > NO_SPEECH and transcript.log_probability < UNSURE:
        return ()
    words = without_loop(transcript.words)
    if len(words) > SPARE_WORDS + math.ceil(WORDS_PER_S * sound_ms / 1_000):
        return ()
    text = " ".join(word.text for word in words).encode()
    return () if len(text) > COMPRESSION * len(zlib.compress(text)) else words


def without_loop(words: Sequence[HeardWord]) -> tuple[HeardWord, ...]:
    """Up to the first time round, where the same few words are said over and over."""
    said = [plain(word.text) for word in words]
    for start in range(len(said)):
        for size in range(1, LOOP_WORDS + 1):
            stretch = said[start : start + size * LOOP_TIMES]
            if len(stretch) == size * LOOP_TIMES and stretch == stretch[:size] * LOOP_TIMES:
                return tuple(words[: start + size])
    return tuple(words)
