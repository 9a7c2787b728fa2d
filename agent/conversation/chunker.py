"""Cuts a stream of text into pieces worth speaking.

Speech should start on the first clause and sound natural after it: the first piece may end at
a comma, later ones end with a sentence. A stop inside a number, a time or an abbreviation is
no end, and the last character of the stream is only judged once more text or its end is known.
"""

from __future__ import annotations

import re

_SENTENCE_END = re.compile(r"[.!?…]+[\"')\]]*\s+|\n+")
_CLAUSE_END = re.compile(r"[,;:—–]\s+|[.!?…]+[\"')\]]*\s+|\n+")
_TIME_OF_DAY = re.compile(r"\b[ap]\.m\.\s+$", re.IGNORECASE)
"""Ends a sentence only where a capital follows."""
_ABBREVIATION = re.compile(r"(?:^|\s)(?:mr|mrs|ms|dr|st|prof|vs|etc|no|approx|e\.g|i\.e|[a-z])\.\s+$", re.IGNORECASE)


class Chunker:
    """Collects deltas; hands out whole clauses and sentences."""

    def __init__(self, first_clause_chars: int, max_chunk_chars: int) -> None:
        self._first_clause_chars = first_clause_chars
        self._max_chunk_chars = max_chunk_chars
        self._text = ""
        self._first = True

    def push(self, text: str) -> list[str]:
        """Add a delta; return the pieces that are complete now."""
        self._text += text
        pieces = []
        while (cut := self._cut()) is not None:
            pieces += self._take(cut)
        return pieces

    def flush(self) -> list[str]:
        """The stream ended: return what is left."""
        pieces = []
        while len(self._text) > self._max_chunk_chars and (cut := self._cut()) is not None:
            pieces += self._take(cut)
        return pieces + self._take(len(self._text))

    def _take(self, cut: int) -> list[str]:
        piece, self._text = self._text[:cut].strip(), self._text[cut:]
        if not piece:
            return []
        self._first = False
        return [piece]

    def _cut(self) -> int | None:
        pattern = _CLAUSE_END if self._first else _SENTENCE_END
        for match in pattern.finditer(self._text):
            end = match.end()
            if end > self._max_chunk_chars:
                break
            if _ABBREVIATION.search(self._text[:end]):
                continue
            if _TIME_OF_DAY.search(self._text[:end]) and not self._text[end : end + 1].isupper():
                continue
            sentence = _SENTENCE_END.fullmatch(match.group()) is not None
            if sentence or len(self._text[:end].strip()) >= self._first_clause_chars:
                return end
        if len(self._text) <= self._max_chunk_chars:
            return None
        space = self._text.rfind(" ", 1, self._max_chunk_chars + 1)
        return space + 1 if space > 0 else self._max_chunk_chars
