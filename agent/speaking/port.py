"""What speaking needs from a synthesiser."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

MAX_TEXT_CHARS = 20_000
"""A longer text is refused."""


@dataclass(frozen=True, slots=True)
class SpokenWord:
    """Where a word lies. Samples count from the start of the synthesised text at the engine's
    rate; `text_end` is the index in that text just behind the word."""

    start_sample: int
    end_sample: int
    text_end: int


@dataclass(frozen=True, slots=True)
class Speech:
    """A piece of synthesised audio: int16 mono at `Tts.sample_rate`, and the words that begin in it."""

    pcm: NDArray[np.int16]
    words: tuple[SpokenWord, ...]
    estimated: bool = False
    """Whether the engine could not say where the words lie, and they are placed by their length."""


class Tts(Protocol):
    """A synthesiser shared by all sessions."""

    name: str
    sample_rate: int

    async def start(self) -> None:
        """Load and warm up. Raises `TtsError` saying what to do."""
        ...

    def synthesize(self, text: str, speed: float = 1.0) -> AsyncIterator[Speech]:
        """Stream the text as speech; `speed` 1.0 is the voice's own. Closing the iterator stops the
        engine at once. Raises `TtsError`."""
        ...

    async def close(self) -> None: ...
