"""A text cut into passages: whole paragraphs where they are short enough, under the heading that they stand below."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import PurePath

from agent.conversation.reports import Passage

MAX_PASSAGE_CHARS = 800
MIN_PASSAGE_CHARS = 200
"""Shorter paragraphs are joined with what follows, up to the next heading."""

_HEADING = re.compile(r"#{1,6}\s+(.+?)\s*#*$")


def passages_of(document: str, text: str) -> Iterator[Passage]:
    """The passages in their order. `place` is the line that one begins on, behind its heading if it has one."""
    headed = PurePath(document).suffix.lower() == ".md"
    heading, lines, first = "", list[str](), 1

    def cut() -> Iterator[Passage]:
        joined = " ".join(" ".join(lines).split())
        lines.clear()
        place = f"{heading}, line {first}" if heading else f"line {first}"
        while joined:
            end = _end(joined)
            yield Passage(document, place, joined[:end].strip())
            joined = joined[end:].strip()

    for number, line in enumerate(text.splitlines(), 1):
        found = _HEADING.match(line) if headed else None
        long_enough = sum(map(len, lines)) >= MIN_PASSAGE_CHARS
        if found or (not line.strip() and long_enough) or sum(map(len, lines)) >= MAX_PASSAGE_CHARS:
            yield from cut()
        if found:
            heading = found.group(1)[:100]
        if line.strip():
            first = number if not lines else first
            lines.append(f"{heading}." if found else line)  # as it is read out
    yield from cut()


def _end(text: str) -> int:
    """Where a passage that begins with this text ends: behind a sentence or at least a word, if it is too long."""
    if len(text) <= MAX_PASSAGE_CHARS:
        return len(text)
    for mark in (". ", "? ", "! ", " "):
        at = text.rfind(mark, MIN_PASSAGE_CHARS, MAX_PASSAGE_CHARS)
        if at > 0:
            return at + 1
    return MAX_PASSAGE_CHARS
