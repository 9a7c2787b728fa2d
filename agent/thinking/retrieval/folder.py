"""A folder of documents, found by their words: .txt and .md files in an index of their own.

The index is a cache: what is new, changed or gone in the folder is found out before each search, by the files' times
and sizes, and only that is read again. All of it happens in one thread, a file at a time, and what nobody waits for
any more is broken off between two of them.
"""

from __future__ import annotations

import asyncio
import os
import sqlite3
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

from agent.clock import Clock
from agent.conversation.reports import Passage
from agent.errors import ToolError
from agent.thinking.retrieval.full_text import TABLE, add, ranked
from agent.thinking.retrieval.splitting import passages_of

T = TypeVar("T")

SUFFIXES = (".txt", ".md")
MAX_FILES = 5_000
MAX_FILE_BYTES = 2_000_000
"""Larger ones are left out."""
VERSION = 1
BUSY_TIMEOUT_S = 2.0

_FILES = """
CREATE TABLE IF NOT EXISTS files (
    path TEXT PRIMARY KEY, stamp TEXT NOT NULL, first INTEGER NOT NULL, last INTEGER NOT NULL
)
"""


class _BrokenOff(Exception):
    """Nobody waits for the work any more."""


class DocumentFolder:
    """Implements the `Retriever` port. `index` may be `:memory:`; it is made anew when it cannot be used."""

    name = "fts5"

    def __init__(self, folder: Path, index: Path | str) -> None:
        self._folder = folder
        self._missing = f"The folder of documents {folder} is not there. Set documents.folder."
        self._index = index
        self._db: sqlite3.Connection | None = None
        self._executor = ThreadPoolExecutor(max_workers=1, thread_name_prefix="documents")

    async def prepare(self) -> None:
        """See `Retriever`: read what has changed."""
        with suppress(ToolError):
            await self.find("", 1)

    async def check(self) -> str:
        """See `Retriever`."""
        return "" if self._folder.is_dir() else self._missing

    async def find(self, query: str, limit: int) -> list[Passage]:
        """See `Retriever`. Raises `ToolError` when the folder or the index cannot be read."""
        return await self._in_thread(lambda wanted: self._find(query, limit, wanted))

    async def close(self) -> None:
        await self._in_thread(lambda _: self._close())
        self._executor.shutdown(wait=False)

    async def _in_thread(self, work: Callable[[Callable[[], bool]], T]) -> T:
        wanted = True
        try:
            async with Clock().external():
                return await asyncio.get_running_loop().run_in_executor(self._executor, work, lambda: wanted)
        finally:
            wanted = False

    def _find(self, query: str, limit: int, wanted: Callable[[], bool]) -> list[Passage]:
        if not self._folder.is_dir():
            raise ToolError(self._missing, "not_found")
        try:
            db = self._db = self._db or self._opened()
            self._refresh(db, wanted)
            return ranked(db, query, limit)
        except (sqlite3.Error, OSError) as error:
            self._close()
            if not isinstance(error, sqlite3.OperationalError | OSError):
                self._discard()
            raise ToolError(f"The index of the documents {self._index} cannot be used: {error}.", "crash") from error
        except _BrokenOff:
            return []

    def _opened(self) -> sqlite3.Connection:
        """The index, made where there is none that can be used."""
        if str(self._index) != ":memory:":
            Path(self._index).parent.mkdir(parents=True, exist_ok=True)
        db = self._connected()
        try:
            if _ready(db):
                return db
        except sqlite3.OperationalError:
            db.close()
            raise
        except sqlite3.DatabaseError:
            pass  # damaged: it is only a cache
        db.close()
        self._discard()
        db = self._connected()
        _ready(db)
        return db

    def _connected(self) -> sqlite3.Connection:
        return sqlite3.connect(self._index, timeout=BUSY_TIMEOUT_S, isolation_level=None)

    def _discard(self) -> None:
        """Make room for a new index."""
        if str(self._index) != ":memory:":
            for suffix in ("", "-wal", "-shm"):
                Path(f"{self._index}{suffix}").unlink(missing_ok=True)

    def _close(self) -> None:
        if self._db is not None:
            self._db.close()
        self._db = None

    # ── what is new ──────────────────────────────────────────────────────────────────────

    def _refresh(self, db: sqlite3.Connection, wanted: Callable[[], bool]) -> None:
        known = dict(db.execute("SELECT path, stamp FROM files").fetchall())
        there = dict(self._files())
        for path in known.keys() - there.keys():
            self._replace(db, path, None, "")
        for path, stamp in there.items():
            if known.get(path) != stamp:
                if not wanted():
                    raise _BrokenOff
                self._replace(db, path, self._text(path), stamp)

    def _files(self) -> Iterator[tuple[str, str]]:
        """Path from the folder, and time and size; nothing hidden, nothing that is only linked to."""
        count = 0
        for where, folders, names in os.walk(self._folder):
            folders[:] = sorted(one for one in folders if not one.startswith("."))
            for name in sorted(names):
                path = Path(where, name)
                if name.startswith(".") or path.suffix.lower() not in SUFFIXES or path.is_symlink():
                    continue
                try:
                    stat = path.stat()
                except OSError:
                    continue  # gone meanwhile
                if stat.st_size > MAX_FILE_BYTES:
                    continue
                count += 1
                if count > MAX_FILES:
                    return
                yield str(path.relative_to(self._folder)), f"{stat.st_mtime_ns} {stat.st_size}"

    def _text(self, path: str) -> str | None:
        try:
            return (self._folder / path).read_bytes()[:MAX_FILE_BYTES].decode(errors="replace")
        except OSError:
            return None

    def _replace(self, db: sqlite3.Connection, path: str, text: str | None, stamp: str) -> None:
        """In one transaction, so that whoever breaks off leaves whole files."""
        db.execute("BEGIN IMMEDIATE")
        try:
            gone = db.execute("SELECT first, last FROM files WHERE path = ?", (path,)).fetchall()
            db.executemany("DELETE FROM passages WHERE rowid BETWEEN ? AND ?", gone)
            db.execute("DELETE FROM files WHERE path = ?", (path,))
            if text is not None:
                first = _last(db) + 1
                add(db, passages_of(path, text))
                db.execute(
                    "INSERT INTO files (path, stamp, first, last) VALUES (?, ?, ?, ?)", (path, stamp, first, _last(db))
                )
            db.execute("COMMIT")
        except BaseException:
            db.execute("ROLLBACK")
            raise


def _ready(db: sqlite3.Connection) -> bool:
    """Whether the index is one of ours; an empty one becomes one."""
    db.execute("PRAGMA journal_mode = WAL")
    db.execute("PRAGMA synchronous = NORMAL")
    if not db.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]:
        db.executescript(f"{TABLE};{_FILES};PRAGMA user_version = {VERSION}")
    return bool(db.execute("PRAGMA user_version").fetchone()[0] == VERSION)


def _last(db: sqlite3.Connection) -> int:
    """The number of the last passage; 0 if there is none."""
    found = db.execute("SELECT rowid FROM passages ORDER BY rowid DESC LIMIT 1").fetchone()
    return int(found[0]) if found else 0
