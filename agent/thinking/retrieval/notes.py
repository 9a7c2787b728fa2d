"""The user's notes as a corpus: few enough to be indexed anew, in memory, for each search."""

from __future__ import annotations

import sqlite3
from contextlib import closing

from agent.conversation.reports import Passage
from agent.thinking.memory import Memory
from agent.thinking.retrieval.full_text import TABLE, add, ranked


class Notes:
    """Implements the `Retriever` port over one owner's memory."""

    name = "notes"

    def __init__(self, memory: Memory) -> None:
        self._memory = memory

    async def prepare(self) -> None:
        """There is nothing to prepare."""

    async def check(self) -> str:
        return self._memory.problem

    async def find(self, query: str, limit: int) -> list[Passage]:
        """See `Retriever`. Raises `ToolError`."""
        return await self._memory.read(lambda db: _found(db, query, limit))

    async def close(self) -> None:
        """The memory is closed by whom it belongs to."""


def _found(db: sqlite3.Connection, query: str, limit: int) -> list[Passage]:
    rows = db.execute("SELECT text, created FROM notes ORDER BY id DESC").fetchall()
    with closing(sqlite3.connect(":memory:")) as index:
        index.execute(TABLE)
        add(index, (Passage("note", created[:10], text) for text, created in rows))
        return ranked(index, query, limit)
