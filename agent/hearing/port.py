"""What hearing needs from its engines.

Audio here is 16 kHz mono int16 (`HEARING_RATE`), as numpy arrays of shape (samples,).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

HEARING_RATE = 16_000

Pcm = NDArray[np.int16]


@dataclass(frozen=True, slots=True)
class HeardWord:
    """A word, and where it lies in the turn's audio."""

    text: str
    start_ms: int
    end_ms: int


@dataclass(frozen=True, slots=True)
class Hypothesis:
    """Text for all audio of the turn so far.

    `understood`: the audio parses whole as something in the recogniser's domain; true for any
    text of a recogniser without a domain. `confidence` is 0…1, comparable within one engine only.
    `words` is empty where the engine does not tell when they were said.
    """

    text: str
    understood: bool = True
    confidence: float = 1.0
    words: tuple[HeardWord, ...] = ()


class Vad(Protocol):
    """A voice-activity detector with the state of one microphone."""

    name: str
    frame_samples: int
    """Samples of one frame at `HEARING_RATE`."""

    def probability(self, frame: Pcm) -> float:
        """Speech probability of one frame, 0…1; binary engines say 0.0 or 1.0."""
        ...

    def reset(self) -> None: ...


class AsrStream(Protocol):
    """One microphone's recogniser. It hears a turn: audio is pushed while there is speech.

    After `settle` more audio may be pushed; the text then covers the turn from its start. A stream
    may adapt to its speaker from turn to turn, but the same turns give the same words in any stream.
    """

    def push(self, pcm: Pcm) -> None:
        """Hand over audio. Never blocks; when the decoder falls behind by more than its bound
        the oldest unheard audio is dropped and `on_error` is told."""
        ...

    async def settle(self) -> Hypothesis:
        """The best text for everything pushed so far. Raises `AsrError`."""
        ...

    def reset(self) -> None:
        """Forget the turn's audio; the next push begins a new one."""
        ...

    async def close(self) -> None: ...


class OnPartial(Protocol):
    """Told the hypothesis of the turn so far, when it or what is stable of it changed."""

    def __call__(self, text: str, stable: int = 0) -> None:
        """The first `stable` characters of `text` stay as they are until the turn is reset, in its final too; 0 where
        the recogniser cannot tell."""
        ...


class Asr(Protocol):
    """An engine that opens streams. `start` loads what is slow, before anyone speaks."""

    name: str

    async def start(self) -> None: ...

    async def open(self, on_partial: OnPartial, on_error: Callable[[str], None]) -> AsrStream:
        """`on_error` gets `code: what happened`, such as `asr.worker_died: …`, for people to know.

        Raises `LimitReached` when the pool is used up, `AsrError` when it cannot start.
        """
        ...

    async def close(self) -> None: ...
