"""Text as an engine may have it: without commands, and in parts that it says in one go."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator

_CUTS = ((". ", "! ", "? "), ("; ", ": ", ", "), (" ",))
"""Where to end a segment, the best places first."""


def plain(text: str) -> str:
    """`text` with every character that an engine could take for a command, or that cannot be
    encoded, replaced by a space; positions stay as they are."""
    return "".join(" " if unicodedata.category(char) in ("Cc", "Cs", "Co", "Cn") else char for char in text)


def segments(text: str, most_chars: int) -> Iterator[tuple[int, str]]:
    """`text` in parts of at most `most_chars`, with their positions; cut where a pause fits best."""
    at = 0
    while at < len(text):
        part = text[at : at + most_chars]
        if at + len(part) < len(text):
            ends = (max(part.rfind(mark) + len(mark) for mark in marks) for marks in _CUTS)
            part = part[: next((end for end in ends if end > most_chars // 3), len(part))]
        yield at, part
        at += len(part)
