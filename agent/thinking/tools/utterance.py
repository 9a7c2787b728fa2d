"""What the user said, brought into one shape: lower case, no punctuation, no contractions.

Free text that goes into notes and lists keeps its original spelling: every normalised word
remembers which part of the original it came from.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

MAX_CHARS = 2_000
"""Longer texts are cut before parsing."""

_CONTRACTIONS = {
    "what's": "what is", "whats": "what is", "it's": "it is", "i'm": "i am", "that's": "that is", "there's": "there is",
    "how's": "how is", "where's": "where is", "who's": "who is", "when's": "when is", "let's": "let us",
    "don't": "do not", "can't": "can not", "cannot": "can not", "didn't": "did not", "i've": "i have",
    "i'd": "i would", "i'll": "i will", "you're": "you are", "o'clock": "oclock", "to-do": "to do",
    "todo": "to do", "todos": "to dos", "e-mail": "email", "a.m": "am", "p.m": "pm", "=": "",
    "per cent": "percent",
}  # fmt: skip
_EDGES = "\"'`.,!?;:…“”‘’()[]{}<>"
_SPLITS = re.compile(r"(?<=\d)(?=(?:am|pm|km|kg|cm|mm|m|ft|lb|lbs|mi|g|oz|l|ml|h|min|s|c|f|°c|°f|gb|mb|kb|tb|mph)$)")
_ARITHMETIC = re.compile(r"[-+*/^%()×÷\d.,]+")
"""Brackets and signs of such a word are kept."""
_TOKEN = re.compile(r"\S+")


@dataclass(frozen=True, slots=True)
class Utterance:
    """`text` is normalised; `starts[i]` is where its word i begins; `spans[i]` where that word
    lies in `original`."""

    original: str
    text: str
    starts: tuple[int, ...]
    spans: tuple[tuple[int, int], ...]

    @property
    def words(self) -> list[str]:
        return self.text.split()

    def original_of(self, start: int, end: int) -> str:
        """The original spelling of `text[start:end]`, which must begin and end at word edges."""
        spans = [span for at, span in zip(self.starts, self.spans, strict=True) if start <= at < end]
        if not spans:
            return ""
        return self.original[spans[0][0] : spans[-1][1]].strip().strip(".,!?;:")

    def part(self, start: int, end: int) -> Utterance:
        """The words that begin in `text[start:end]`."""
        kept = [
            (word, span)
            for at, word, span in zip(self.starts, self.words, self.spans, strict=True)
            if start <= at < end
        ]
        return _joined(self.original, kept)


def normalise(original: str) -> Utterance:
    """Never raises; text beyond `MAX_CHARS` is ignored."""
    original = original[:MAX_CHARS].replace("’", "'").replace("‘", "'")
    kept: list[tuple[str, tuple[int, int]]] = []
    for found in _TOKEN.finditer(original):
        piece = found.group().lower().rstrip("?!,;:…")
        if not _ARITHMETIC.fullmatch(piece):
            piece = piece.strip(_EDGES)
        piece = piece.rstrip(".")
        piece = _CONTRACTIONS.get(piece, piece)
        kept.extend((word, found.span()) for part in piece.split() for word in _SPLITS.split(part) if word)
    return _joined(original, kept)


def _joined(original: str, kept: list[tuple[str, tuple[int, int]]]) -> Utterance:
    starts: list[int] = []
    length = 0
    for word, _ in kept:
        starts.append(length)
        length += len(word) + 1
    text = " ".join(word for word, _ in kept)
    return Utterance(original, text, tuple(starts), tuple(span for _, span in kept))
