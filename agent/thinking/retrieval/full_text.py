"""Passages in SQLite's full-text search (FTS5, words by their stems, best first by bm25)."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterable

from agent.conversation.reports import Passage

TABLE = """
CREATE VIRTUAL TABLE IF NOT EXISTS passages USING fts5 (
    text, document, place UNINDEXED, tokenize = 'porter unicode61 remove_diacritics 2'
)
"""
MAX_WORDS = 24
"""Of a query; those behind them are left out."""

_WORD = re.compile(r"\w+")
_COMMON = frozenset(
    "a about an and any are as at be by can did do does for from had has have how i in is it its me my of on or our "
    "say says said so tell than that the their them then there these they this to was we were what when where which "
    "who whom why will with you your".split()
)


def add(db: sqlite3.Connection, passages: Iterable[Passage]) -> None:
    rows = ((one.text, one.document, one.place) for one in passages)
    db.executemany("INSERT INTO passages (text, document, place) VALUES (?, ?, ?)", rows)


def ranked(db: sqlite3.Connection, query: str, limit: int) -> list[Passage]:
    """Passages with all of the query's words, or, where there are none, with any."""
    words = [word for word in _WORD.findall(query.lower())[:MAX_WORDS] if word not in _COMMON]
    for joint in (" AND ", " OR "):
        sought = joint.join(f'"{word}"' for word in words)
        found = db.execute(
            "SELECT document, place, text FROM passages WHERE passages MATCH ? ORDER BY bm25(passages), rowid LIMIT ?",
            (sought, limit),
        ).fetchall() if words else []  # fmt: skip
        if found:
            return [Passage(document, place, text) for document, place, text in found]
    return []
