"""Which of the passages that were looked up a claim rests on: those that it shares its words with."""

from __future__ import annotations

import re

from agent.conversation.reports import RetrieveDone

MIN_WORD_CHARS = 4
"""Shorter words stand in every text."""
NEAR = 0.6
"""Of the words that the best passage shares with the claim, another must share this part to be named, too."""
MAX_PASSAGES = 64
"""Of one reply."""

_WORD = re.compile(r"\w+")


class Grounds:
    """The passages of one reply, by the names that claims give them."""

    def __init__(self) -> None:
        self._words: dict[str, frozenset[str]] = {}

    def found(self, fact: RetrieveDone) -> None:
        for number, passage in enumerate(fact.passages, 1):
            if len(self._words) < MAX_PASSAGES:
                self._words[f"{fact.event_id}#{number}"] = _words(f"{passage.document} {passage.text}")

    def of(self, claim: str) -> tuple[str, ...]:
        """Names of the passages behind a claim; all of them, if it shares words with none: then nobody knows."""
        said = _words(claim)
        shared = {name: len(said & words) for name, words in self._words.items()}
        most = max(shared.values(), default=0)
        return tuple(name for name, count in shared.items() if count >= NEAR * most)


def _words(text: str) -> frozenset[str]:
    return frozenset(word for word in _WORD.findall(text.lower()) if len(word) >= MIN_WORD_CHARS)
