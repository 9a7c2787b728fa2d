"""Headless: a transport whose microphone and loudspeaker are files, and whose clock is the audio.

Frame n of the recording is the 20 ms from n · 20 ms on. At that moment the agent's frame n is taken,
and the user's frame n - 1, which has just been spoken, is heard. In virtual time (`run_virtual`)
that is as fast as the engines compute; in real time it lasts as long as the talk.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from agent.clock import Clock
from agent.conversation.events import DeviceJoined, DeviceLeft
from agent.errors import AgentError
from agent.transport.answer_watch import AnswerWatch
from agent.transport.file_plan import Utterance
from agent.transport.file_script import FRAME_MS, Script
from agent.transport.port import Call
from agent.transport.recording import Recording

DEVICE_ID = "file"
TAIL_MS = 200_000
"""How long behind a file's end its answer may last."""
_PROGRESS_FRAMES = 25


async def run_files(
    call: Call,
    clock: Clock,
    utterances: Sequence[Utterance],
    *,
    time_zone: str = "",
    tail_ms: int = TAIL_MS,
    progress: Callable[[float], None] | None = None,
) -> Recording:
    """Say the utterances to a session and record both sides, until the last answer is over.

    The session must be running; it stays open. It sees one device, `file`, join and leave.
    An answer that goes on `tail_ms` behind its file is not waited for, nor are pending timers.
    `progress` is told the share of the files that was said, up to 1. A session that closes
    meanwhile ends the recording, which is then not `complete`. Raises `AgentError` as the session's own methods do.
    """
    watch = AnswerWatch(DEVICE_ID)
    script = Script(utterances, watch, tail_ms)
    recording = Recording(script.placed)
    try:
        async with asyncio.TaskGroup() as tasks:
            follower = tasks.create_task(_follow(call, watch), name="files: timeline")
            origin_us = clock.now_us()
            call.post(DeviceJoined(source=DEVICE_ID, device_id=DEVICE_ID, transport="file", time_zone=time_zone))
            try:
                await _talk(call, clock, origin_us, script, recording, watch, progress)
            finally:
                call.post(DeviceLeft(source=DEVICE_ID, device_id=DEVICE_ID, reason="the files are over"))
                follower.cancel()
    except ExceptionGroup as group:
        raise next((error for error in group.exceptions if isinstance(error, AgentError)), group) from group
    recording.offset_ms = watch.offset_us / 1_000
    recording.complete = not watch.closed
    return recording


async def _talk(
    call: Call,
    clock: Clock,
    origin_us: int,
    script: Script,
    recording: Recording,
    watch: AnswerWatch,
    progress: Callable[[float], None] | None,
) -> None:
    frame = 0
    while True:
        now_ms = frame * FRAME_MS
        await clock.sleep_until(origin_us + now_ms * 1_000)
        await asyncio.sleep(0)  # a clock that runs late must not keep the session's tasks waiting
        if frame:
            call.hear(recording.heard(frame - 1))
        if watch.closed or script.over(now_ms):
            break
        recording.agent.append(call.next_frame())
        script.advance(now_ms)
        if progress and frame % _PROGRESS_FRAMES == 0:
            progress(script.progress(now_ms))
        frame += 1
    if progress:
        progress(1.0)


async def _follow(call: Call, watch: AnswerWatch) -> None:
    async for entry in call.entries():
        watch.apply(entry)
    watch.closed = True
