"""What memory holds under an idempotency key."""

from __future__ import annotations

import json
import sqlite3

from agent.conversation.events import Json
from agent.thinking.memory import FORGOTTEN


def answer_of(db: sqlite3.Connection, key: str) -> Json:
    """The answer kept under `key`, None if nothing was done under it or it was forgotten."""
    found = db.execute("SELECT answer FROM done WHERE key = ?", (key,)).fetchone()
    answer: Json = json.loads(found[0]) if found is not None and found[0] != FORGOTTEN else None
    return answer


def keep(db: sqlite3.Connection, key: str, answer: Json) -> None:
    """Have `answer` stand for what is done under `key`, unless something does already."""
    db.execute("INSERT OR IGNORE INTO done (key, answer) VALUES (?, ?)", (key, json.dumps(answer)))
