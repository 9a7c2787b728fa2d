"""Several sessions at once: each asks a short question, hears the answer out, and asks again."""

from __future__ import annotations

import asyncio
import math
import os
import random
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any

from agent.bench import machine
from agent.bench.caller import Caller, called
from agent.bench.floor import Floor, watched
from agent.bench.heard import Heard
from agent.bench.measures import voice_to_voice_ms
from agent.bench.plan import REQUESTS, Stage
from agent.bench.scenario import QUIET_S, Ask, ask
from agent.bench.server_process import Server
from agent.bench.voices import Voice
from agent.clock import Clock
from agent.errors import EngineError, WireError, first_of

STAGGER_S = 0.3
WARM_UPS = 3
"""Questions within which a new session has to be answered once; its recogniser starts meanwhile."""


@dataclass(frozen=True, slots=True)
class Crowd:
    """What was measured while so many sessions talked; setting up is over by then, but for `setup_worst_ms`.

    waits_ms        voice to voice of each question, at the packet's arrival; infinite without an answer or when
                    that was an apology
    lateness_ms     of every frame received
    playout         what the server said of its playout clocks over the window, one for each call
    window_s        how long that was, in whole seconds
    server_cpu_s    of the server and its workers; None where that cannot be told
    callers_cpu_s   of the process that all the callers share
    setup_worst_ms  the latest frame of any playout clock while calls were placed and first answered
    failure         why there is nothing of all that
    """

    sessions: int
    waits_ms: list[float]
    lateness_ms: list[float]
    playout: Sequence[dict[str, Any]]
    window_s: int
    floor: Floor
    server_cpu_s: float | None
    callers_cpu_s: float | None
    setup_worst_ms: float | None
    failure: str = ""

    @staticmethod
    def failed(sessions: int, failure: str) -> Crowd:
        """Nothing was measured: so many sessions were too many."""
        return Crowd(sessions, [], [], [], 1, Floor(), None, None, None, failure)


@dataclass(frozen=True, slots=True)
class _Window:
    """A crowd before its callers' recordings are looked at, which has to wait until nobody talks."""

    asks: list[list[Ask]]
    span_us: tuple[int, int]
    playout: Sequence[dict[str, Any]]
    floor: Floor
    cpu_s: tuple[float | None, float | None]
    setup_worst_ms: float | None

    def crowd(self, heard: Sequence[Heard]) -> Crowd:
        heard = heard[: len(self.asks)]
        waits_ms = [
            voice_to_voice_ms(one, recording) if one.answered else None
            for asks, recording in zip(self.asks, heard, strict=True)
            for one in asks
        ]  # fmt: skip
        late_ms = [float(late) for recording in heard for late in recording.lateness_ms(*self.span_us)]
        return Crowd(
            len(self.asks), [math.inf if wait is None else wait for wait in waits_ms], late_ms, self.playout,
            _whole_s(self.span_us), self.floor, *self.cpu_s, self.setup_worst_ms,
        )  # fmt: skip


async def crowds(
    server: Server, voice: Voice, clock: Clock, stages: Sequence[Stage], step: Callable[[str], None]
) -> list[Crowd]:
    """One crowd for each stage, which never has fewer sessions than the one before: calls stay up.

    `step` is told at the start of each. A stage whose calls cannot be placed or break off has failed; it is
    the last one.
    """
    callers: list[Caller] = []
    windows: list[_Window] = []
    failure = ""
    async with AsyncExitStack() as stack:
        for stage in stages:
            step(f"{stage.sessions} session{'s' if stage.sessions > 1 else ''} at once")
            try:
                worst_ms = await _grow(server, callers, voice, clock, stage.sessions, stack)
                windows.append(await _talk(server, callers, voice, stage.seconds, worst_ms))
            except* (WireError, EngineError) as errors:
                failure = str(first_of(errors))
            if failure:
                break
    heard = [caller.heard() for caller in callers]
    found = [window.crowd(heard) for window in windows]
    return [*found, Crowd.failed(stages[len(found)].sessions, failure)] if failure else found


async def _grow(
    server: Server, callers: list[Caller], voice: Voice, clock: Clock, sessions: int, stack: AsyncExitStack
) -> float | None:
    """Place calls until there are so many; the latest frame of any playout clock meanwhile, in ms."""
    began_us = clock.now_us()
    called_now = [
        await stack.enter_async_context(called(server.url, clock, stock=False, compare=False))
        for _ in range(sessions - len(callers))
    ]
    callers += called_now
    async with asyncio.TaskGroup() as tasks:
        for number, caller in enumerate(called_now):
            tasks.create_task(_warm_up(caller, voice, number))
    playout = (await server.health(_whole_s((began_us, clock.now_us())) + 1))["playout"]
    return max((float(jitter["max_ms"]) for jitter in playout), default=None)


async def _talk(
    server: Server, callers: Sequence[Caller], voice: Voice, seconds: float, setup_worst_ms: float | None
) -> _Window:
    """Let all talk for so long; questions begun by then are waited for, outside the window."""
    clock = callers[0].clock
    all_talk_us = clock.now_us() + round((QUIET_S + len(callers) * STAGGER_S) * 1e6)
    ends_us = all_talk_us + round(seconds * 1e6)
    async with asyncio.TaskGroup() as tasks:
        asking = [
            tasks.create_task(_keep_asking(caller, voice, number, ends_us)) for number, caller in enumerate(callers)
        ]
        await clock.sleep_until(all_talk_us)
        async with watched() as floor:
            began_us, before_s = clock.now_us(), _cpu_s(server)
            await clock.sleep_until(ends_us)
            span_us = (began_us, clock.now_us())
            playout = (await server.health(_whole_s(span_us)))["playout"]
            after_s = _cpu_s(server)
    used_s = [None if a is None or b is None else b - a for a, b in zip(before_s, after_s, strict=True)]
    return _Window([task.result() for task in asking], span_us, playout, floor, (used_s[0], used_s[1]), setup_worst_ms)


async def _warm_up(caller: Caller, voice: Voice, number: int) -> None:
    dice = random.Random(number)  # noqa: S311 - the same pauses in every run
    for _ in range(WARM_UPS):
        if (await ask(caller, voice, REQUESTS[0], dice)).answered:
            return


async def _keep_asking(caller: Caller, voice: Voice, number: int, ends_us: int) -> list[Ask]:
    dice = random.Random(number)  # noqa: S311 - the same pauses in every run
    await asyncio.sleep(number * STAGGER_S)
    asks: list[Ask] = []
    while caller.clock.now_us() < ends_us:
        asks.append(await ask(caller, voice, REQUESTS[(number + len(asks)) % len(REQUESTS)], dice))
    return asks


def _cpu_s(server: Server) -> tuple[float | None, float | None]:
    """Of the server's family and of this process with all others that it started."""
    served, together = machine.cpu_s(server.pid), machine.cpu_s(os.getpid())
    return served, None if served is None or together is None else together - served


def _whole_s(span_us: tuple[int, int]) -> int:
    return max((span_us[1] - span_us[0]) // 1_000_000, 1)
