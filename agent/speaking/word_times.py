"""Makes words with honest times out of an engine's stream of audio and word starts.

An engine reports a word start for what it *says*: "2026" gives four, "of the" may give one, a dash
none. What is needed is one entry for each whitespace-separated token of the text.
"""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections import deque
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from agent.speaking.port import Speech, SpokenWord

_LOUD = 60
"""Samples below this (-55 dB) are silence."""
_LEAD_MS = 2
_TAIL_MS = 15
"""Silence kept before the first and behind the last sound."""


@dataclass(frozen=True, slots=True)
class WordStart:
    """The engine begins to say what stands at character `char` of the text, at sample `sample`."""

    char: int
    sample: int


class WordTimer:
    """Collects the audio of one text and hands it out in pieces that end where a token ends.

    Silence at both ends is trimmed. Tokens are in order, do not overlap, and the last one ends
    with the audio. One that is not pronounced has no length; where several are said as one, they
    share its time by their letters. A pause behind a token does not belong to it.
    """

    def __init__(self, text: str, sample_rate: int) -> None:
        self._tokens = [(match.start(), match.end()) for match in re.finditer(r"\S+", text)]
        self._spoken = [any(map(str.isalnum, text[start:end])) for start, end in self._tokens]
        self._firsts = [start for start, _ in self._tokens]
        self._lead = sample_rate * _LEAD_MS // 1_000
        self._tail = sample_rate * _TAIL_MS // 1_000
        self._starts: deque[WordStart] = deque()
        self._held: list[NDArray[np.int16]] = []
        self._released = 0
        self._received = 0
        self._position = 0
        """Samples handed out so far; less than released by what was trimmed."""
        self._sounded = False
        self._done = 0
        """Tokens that have a word already."""
        self._open = False
        """Whether the token `_done` has begun."""

    def push(self, pcm: NDArray[np.int16], starts: list[WordStart]) -> list[Speech]:
        """Add audio. `starts` count characters and samples of the whole text."""
        self._held.append(pcm)
        self._received += len(pcm)
        self._starts.extend(starts)
        pieces = []
        while self._starts and self._starts[0].sample <= self._received:
            start = self._starts.popleft()
            token = bisect_right(self._firsts, start.char) - 1
            if token > self._done or (token == self._done and not self._open):
                pieces += self._close(token, start.sample)
                self._open = True
        return pieces

    def pause(self, char: int) -> list[Speech]:
        """Everything before character `char` has been said: its audio, but for the silence behind it. Nothing
        where `char` lies within a token."""
        until = bisect_left(self._firsts, char)
        if until and self._tokens[until - 1][1] > char:
            return []
        held = np.concatenate(self._held) if self._held else np.zeros(0, dtype=np.int16)
        loud = np.flatnonzero(np.abs(held.astype(np.int32)) >= _LOUD)
        if not len(loud):
            return []
        audio = self._take(self._released + min(int(loud[-1]) + 1 + self._tail, len(held)))
        return self._piece(audio, until, len(audio))

    def finish(self) -> list[Speech]:
        """The engine is done: the rest, without the silence behind it."""
        audio = self._take(self._received)
        loud = np.flatnonzero(np.abs(audio.astype(np.int32)) >= _LOUD)
        audio = audio[: loud[-1] + 1 + self._tail] if len(loud) else audio[:0]
        return self._piece(audio, len(self._tokens), len(audio))

    def _close(self, until: int, sample: int) -> list[Speech]:
        """The tokens before `until` are over by `sample`."""
        audio = self._take(max(sample, self._released))
        loud = np.flatnonzero(np.abs(audio.astype(np.int32)) >= _LOUD)
        return self._piece(audio, until, int(loud[-1]) + 1 if len(loud) else 0)

    def _take(self, until: int) -> NDArray[np.int16]:
        audio = np.concatenate(self._held) if self._held else np.zeros(0, dtype=np.int16)
        cut = until - self._released
        self._held = [audio[cut:]]
        self._released = until
        return audio[:cut]

    def _piece(self, audio: NDArray[np.int16], until: int, sound_end: int) -> list[Speech]:
        """Speech of `audio`, which was taken last and sounds up to `sound_end`."""
        start = self._position
        if not self._sounded:
            first = int(np.argmax(np.abs(audio.astype(np.int32)) >= _LOUD)) if sound_end else len(audio)
            cut = max(0, first - self._lead) if sound_end else len(audio)
            audio, sound_end = audio[cut:], max(0, sound_end - cut)
            self._sounded = len(audio) > 0
        words = self._words(until, start, start + sound_end)
        self._position = start + len(audio)
        return [Speech(audio, words)] if len(audio) or words else []

    def _words(self, until: int, start: int, end: int) -> tuple[SpokenWord, ...]:
        tokens = range(self._done, until)
        weights = [self._tokens[t][1] - self._tokens[t][0] if self._spoken[t] else 0 for t in tokens]
        if weights and self._open and not weights[0]:
            weights[0] = 1  # a sign that is said, such as "&"
        total, past, words = sum(weights), 0, []
        for token, weight in zip(tokens, weights, strict=True):
            begin = start + (end - start) * past // total if total else start
            past += weight
            finish = start + (end - start) * past // total if total else start
            words.append(SpokenWord(begin, finish, self._tokens[token][1]))
        self._done, self._open = max(self._done, until), False
        return tuple(words)
