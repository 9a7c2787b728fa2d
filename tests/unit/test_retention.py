"""Old conversations go, those that are held stay."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from agent.clock import Clock, run_virtual
from agent.config.load import load
from agent.errors import SettingsError, Unavailable
from agent.recordings import Recordings
from agent.retention import DAY_S, retain
from agent.timeline.memory import MemoryStore
from tests.conformance.store_backends import entries


def kept(days: int, check: Callable[[MemoryStore, Recordings], Any], folder: Path) -> None:
    """Two sessions, the second one held all the time, both with audio, last written to at the very beginning."""

    async def main() -> None:
        clock = Clock()
        store, recordings = MemoryStore(clock=clock), Recordings(folder)
        for name in ("old", "held"):
            await store.append(entries(1, 2, name))
            recordings.new(name, 0).write_bytes(b"")
        lease = await store.acquire("held", "a", 100 * DAY_S)
        task = asyncio.create_task(retain(store, recordings, lambda: days, clock))
        await check(store, recordings)
        assert (await store.renew(lease)).epoch == lease.epoch
        task.cancel()

    run_virtual(main())


async def left(store: MemoryStore) -> list[str]:
    return sorted(one.session_id for one in await store.sessions())


def test_what_is_older_goes_the_day_after_with_its_audio(tmp_path: Path) -> None:
    async def check(store: MemoryStore, recordings: Recordings) -> None:
        await asyncio.sleep(3.5 * DAY_S)
        assert await left(store) == ["held", "old"]
        await asyncio.sleep(DAY_S)
        assert await left(store) == ["held"]
        assert (recordings.delete("old"), recordings.delete("held")) == (False, True)

    kept(3, check, tmp_path)


def test_for_ever_is_the_default(tmp_path: Path) -> None:
    async def check(store: MemoryStore, recordings: Recordings) -> None:
        await asyncio.sleep(10 * DAY_S)
        assert await left(store) == ["held", "old"]

    kept(load(None, {}).settings.sessions.keep_days, check, tmp_path)
    with pytest.raises(SettingsError, match="0 to 36500"):
        load(None, {}, ["sessions.keep_days=-1"])


def test_a_store_that_cannot_today_is_asked_tomorrow(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def check(store: MemoryStore, recordings: Recordings) -> None:
        able = store.retain

        async def refuses(*_: Any) -> list[str]:
            raise Unavailable("the disk is busy")

        monkeypatch.setattr(store, "retain", refuses)
        with caplog.at_level(logging.WARNING, "agent"):
            await asyncio.sleep(1.5 * DAY_S)
        assert "not deleted yet: the disk is busy" in caplog.text
        monkeypatch.setattr(store, "retain", able)
        await asyncio.sleep(DAY_S)
        assert await left(store) == ["held"]

    kept(1, check, tmp_path)
