"""Everything a benchmark measures, in order: the server, its caller, a crowd, a browser, the disk."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agent.bench import machine
from agent.bench.append import append_ms
from agent.bench.caller import called
from agent.bench.clock_map import ClockMap
from agent.bench.crowd import Crowd, crowds
from agent.bench.floor import Floor, watched
from agent.bench.heard import Heard
from agent.bench.page import PageCuts, page_cuts
from agent.bench.plan import HESITATION, REQUESTS, STOP, Plan
from agent.bench.recognition import Recognition, recognitions
from agent.bench.scenario import Interview, Talk
from agent.bench.server_process import Server, running
from agent.bench.speech_cost import SpeechCost, speech_costs
from agent.bench.steal import Steal
from agent.bench.voices import Voice, choose_voice
from agent.clock import Clock
from agent.config.load import load as load_settings
from agent.timeline.entry import Entry
from agent.timeline.sqlite import SqliteStore

MAX_ENTRIES = 1_000_000


@dataclass(frozen=True, slots=True)
class Single:
    """One session alone: what was done and heard, its timeline, and the server's CPU seconds."""

    talk: Talk
    heard: Heard
    clocks: ClockMap
    entries: Sequence[Entry]
    cpu_s: float | None
    wall_s: float
    playout: Sequence[dict[str, Any]]
    """What the server said of its playout clocks over the last `playout_s` seconds, one for each call."""
    playout_s: int
    floor: Floor


@dataclass(frozen=True, slots=True)
class Measured:
    """All raw results of a run. `stolen`: the share of the cores' time that the hypervisor gave to others,
    of the whole run (first) and of its parts; None where that cannot be told."""

    machine: str
    load: float | None
    voice: Voice
    ready_s: float
    single: Single
    crowd: Crowd
    page: PageCuts
    append_ms: list[float]
    recognitions: list[Recognition]
    stolen: Mapping[str, float | None]
    speech: Sequence[SpeechCost] = ()


async def measure(plan: Plan, overrides: Sequence[str], step: Callable[[str], None]) -> Measured:
    """Run the whole benchmark. `step` is told at the start of each part. Raises `AgentError`."""
    clock = Clock()
    load, steal = machine.load(), Steal()
    step("choosing a voice")
    voice = await choose_voice((*REQUESTS, STOP), (HESITATION,))
    with tempfile.TemporaryDirectory(prefix="voice-agent-bench-") as name:
        folder = Path(name)
        step("writing to the timeline")
        appended = await append_ms(folder, clock, plan.appends)
        settings = load_settings(None, {}, overrides).settings
        step("speaking")
        speech = await speech_costs(settings, clock, plan.sentences)
        step("listening with each recogniser")
        requests = {request: voice.lines[request] for request in REQUESTS}
        heard = await recognitions(settings, requests, clock)
        step("starting the server")
        async with running(folder, overrides, clock) as server:
            single = await _single(server, voice, plan, clock, step)
            crowd = (await crowds(server, voice, clock, [plan.crowd], step))[0]
            step("barging in on the page")
            page_steal = Steal()
            page = await page_cuts(server.url, voice.lines[STOP], folder, plan.page_s)
            stolen = {
                "the whole run": steal.share(), "1 session": single.floor.stolen,
                f"{crowd.sessions} sessions": crowd.floor.stolen, "the page": page_steal.share(),
            }  # fmt: skip
            ready_s = server.ready_s
    return Measured(machine.describe(), load, voice, ready_s, single, crowd, page, appended, heard, stolen, speech)


async def _single(server: Server, voice: Voice, plan: Plan, clock: Clock, step: Callable[[str], None]) -> Single:
    async with called(server.url, clock, stock=True) as caller:
        cpu_before_s, began_us = machine.cpu_s(server.pid), clock.now_us()
        async with watched() as floor:
            talk = await Interview(caller, voice, plan, step).run()
        cpu_after_s, wall_s = machine.cpu_s(server.pid), (clock.now_us() - began_us) / 1e6
        playout_s = max(min(int(wall_s), 60), 1)
        playout = (await server.health(playout_s))["playout"]
    known = cpu_before_s is not None and cpu_after_s is not None
    cpu_s = cpu_after_s - cpu_before_s if known else None  # type: ignore[operator]
    entries = await _stored(server.timeline, caller.session_id)
    return Single(talk, caller.heard(), caller.clocks, entries, cpu_s, wall_s, playout, playout_s, floor)


async def _stored(timeline: Path, session_id: str) -> list[Entry]:
    store = SqliteStore(timeline)
    try:
        return await store.read(session_id, 0, MAX_ENTRIES)
    finally:
        await store.close()
