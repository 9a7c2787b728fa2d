"""How long an append to the durable timeline takes."""

from __future__ import annotations

from pathlib import Path

from agent.clock import Clock
from agent.conversation.events import AsrPartial
from agent.timeline.entry import Entry
from agent.timeline.sqlite import SqliteStore


async def append_ms(folder: Path, clock: Clock, count: int) -> list[float]:
    """Milliseconds of each of `count` appends of one entry, one after the other, in a file there."""
    store = SqliteStore(folder / "append.sqlite3", clock)
    found = []
    try:
        for seq in range(1, count + 1):
            event = AsrPartial(event_id=f"e{seq}", source="bench", utterance=1, text="what time is it in tokyo")
            entry = Entry("bench", seq, "2026-01-01T00:00:00.000Z", seq, seq * 1_000, "fact", "t1", "", event)
            began_us = clock.now_us()
            await store.append([entry])
            found.append((clock.now_us() - began_us) / 1_000)
    finally:
        await store.close()
    return found
