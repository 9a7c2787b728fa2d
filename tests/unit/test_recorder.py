"""What the recorder writes and what it leaves: never what was to be forgotten."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path

import numpy as np
import pytest

from agent.clock import Clock, run_virtual
from agent.recorder import Recorder
from agent.recordings import Recordings

SOUND = np.full(16_000, 5_000, np.int16)


def test_audio_that_is_on_its_way_to_the_disk_is_forgotten_too(tmp_path: Path) -> None:
    async def main() -> None:
        clock, recordings = Clock(), Recordings(tmp_path)
        recorder = Recorder(recordings, "s1", clock, clock.now_us)
        task = asyncio.create_task(recorder.run())
        recorder.hear(SOUND)
        await asyncio.sleep(2)
        recorder.hear(SOUND)
        on_its_way = recorder._taken(0)
        recorder.forget()
        recorder._write(on_its_way)
        await asyncio.sleep(2)
        assert recordings.parts("s1") == []
        recorder.hear(SOUND)
        await asyncio.sleep(2)
        [part] = recordings.parts("s1")
        assert part.start_ms == 4_000
        task.cancel()

    run_virtual(main())


def test_a_disk_that_fails_ends_the_recording_alone(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "audio").write_text("in the way")

    async def main() -> None:
        clock = Clock()
        recorder = Recorder(Recordings(tmp_path / "audio"), "s1", clock, clock.now_us)
        task = asyncio.create_task(recorder.run())
        for _ in range(3):
            recorder.hear(SOUND)
            await asyncio.sleep(2)
        assert not task.done()
        task.cancel()

    with caplog.at_level(logging.ERROR, "agent"):
        run_virtual(main())
    [said] = caplog.messages
    assert "s1 is not recorded any further" in said
