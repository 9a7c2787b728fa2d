"""Which words of a hypothesis that is made anew again and again will stay.

LocalAgreement-2 (Macháček, Dabre and Bojar, "Turning Whisper into Real-Time Transcription System",
2023): what two hypotheses in a row begin with is stable. AlignAtt (Papi, Turchi and Negri, 2023) needs
half the delay, because it stops the decoder where its attention reaches the newest audio; CTranslate2
shows no attention while it decodes and cannot be stopped, so agreement of texts is what can be had.

The newest word is held back while somebody speaks: it may be half a word, twice.
"""

from __future__ import annotations

from collections.abc import Sequence

MARKS = ".,!?;:…\"'"


def unmarked(text: str) -> str:
    """Without the punctuation at its end, which is known once more has been said."""
    return text.rstrip(MARKS + " ")


def plain(word: str) -> str:
    """A word as two hypotheses are compared by: without case and punctuation."""
    return word.strip(MARKS).casefold()


class LocalAgreement:
    """The words of one stretch of audio: `stable` ones, which stay (the punctuation behind them may change), and a
    volatile `tail`."""

    def __init__(self) -> None:
        self.stable: list[str] = []
        self.tail: list[str] = []

    @property
    def words(self) -> list[str]:
        return self.stable + self.tail

    def hear(self, words: Sequence[str], *, paused: bool = False) -> None:
        """A newer hypothesis, of the whole stretch. `paused`: its last word has been said to its end."""
        kept = len(self.stable)
        if kept and [plain(word) for word in words[:kept]] == [plain(word) for word in self.stable]:
            marks = words[kept - 1].removeprefix(unmarked(words[kept - 1]))
            self.stable[-1] = unmarked(self.stable[-1]) + marks
        tail = list(words[kept:])
        agreed = 0
        for older, newer in zip(self.tail, tail if paused else tail[:-1], strict=False):
            if plain(older) != plain(newer):
                break
            agreed += 1
        self.stable += tail[:agreed]
        self.tail = tail[agreed:]

    def drop(self, count: int) -> list[str]:
        """Take away the first `count` stable words: their audio is not kept any more."""
        gone, self.stable = self.stable[:count], self.stable[count:]
        return gone
