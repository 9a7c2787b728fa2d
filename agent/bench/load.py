"""How many sessions talk at once before the answers come late."""

from __future__ import annotations

import math
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from agent.bench import machine
from agent.bench.crowd import Crowd, crowds
from agent.bench.measures import percentile
from agent.bench.plan import REQUESTS, Stage
from agent.bench.server_process import running
from agent.bench.voices import choose_voice
from agent.clock import Clock
from agent.config.load import load
from agent.conversation.events import Json

BUDGET_SESSIONS = 12
"""At so many the 95th percentile shall not have doubled."""


@dataclass(frozen=True, slots=True)
class Level:
    """Figures of one number of sessions. The waits in ms, infinite where too many had no answer or an apology;
    CPU in seconds a minute and session; None for what could not be measured; `failure`: why nothing was."""

    sessions: int
    asks: int
    unanswered: int
    p50_ms: float
    p95_ms: float
    server_cpu_s: float | None
    callers_cpu_s: float | None
    playout_p99_ms: float | None
    timer_p99_ms: float | None
    stolen: float | None
    failure: str = ""

    @staticmethod
    def of(crowd: Crowd) -> Level:
        per_session = 60 / crowd.window_s / crowd.sessions
        cpu_s = [None if used is None else used * per_session for used in (crowd.server_cpu_s, crowd.callers_cpu_s)]
        return Level(
            sessions=crowd.sessions,
            asks=len(crowd.waits_ms),
            unanswered=sum(map(math.isinf, crowd.waits_ms)),
            p50_ms=percentile(crowd.waits_ms or [math.inf], 50),
            p95_ms=percentile(crowd.waits_ms or [math.inf], 95),
            server_cpu_s=cpu_s[0],
            callers_cpu_s=cpu_s[1],
            playout_p99_ms=max((float(jitter["p99_ms"]) for jitter in crowd.playout), default=None),
            timer_p99_ms=percentile(crowd.floor.late_ms, 99) if crowd.floor.late_ms else None,
            stolen=crowd.floor.stolen,
            failure=crowd.failure,
        )

    def to_json(self) -> dict[str, Json]:
        """JSON knows no infinity; that becomes null."""
        return {
            "sessions": self.sessions, "asks": self.asks, "unanswered": self.unanswered,
            "p50_ms": _finite(self.p50_ms), "p95_ms": _finite(self.p95_ms),
            "server_cpu_s_per_min_and_session": self.server_cpu_s,
            "callers_cpu_s_per_min_and_session": self.callers_cpu_s, "playout_p99_ms": self.playout_p99_ms,
            "bare_timer_p99_ms": self.timer_p99_ms, "stolen": self.stolen,
            "failure": self.failure,
        }  # fmt: skip


@dataclass(frozen=True, slots=True)
class Load:
    """The result: a level for each stage that the settings allow."""

    machine: str
    voice: str
    misheard: Mapping[str, str]
    levels: Sequence[Level]

    @property
    def doubled_at(self) -> int | None:
        """The fewest sessions whose 95th percentile is twice the first level's or more; None when none's is,
        or when that one is infinite."""
        limit_ms = 2 * self.levels[0].p95_ms
        if math.isinf(limit_ms):
            return None
        return next((level.sessions for level in self.levels[1:] if level.p95_ms >= limit_ms), None)

    def to_json(self) -> dict[str, Json]:
        return {
            "machine": self.machine, "voice": self.voice, "misheard": dict(self.misheard),
            "levels": [level.to_json() for level in self.levels], "p95_doubled_at_sessions": self.doubled_at,
        }  # fmt: skip


async def measure_load(stages: Sequence[Stage], overrides: Sequence[str], step: Callable[[str], None]) -> Load:
    """Run the stages up to the server's `limits.sessions`, which the most sessions of them are unless the
    overrides say otherwise. `step` is told at the start of each part. Raises `AgentError`."""
    most = max(stage.sessions for stage in stages)
    overrides = (f"limits.sessions={most}", f"asr.workers={most}", *overrides)
    limit = load(None, {}, overrides).settings.limits.sessions
    clock = Clock()
    step("choosing a voice")
    voice = await choose_voice(REQUESTS, ())
    with tempfile.TemporaryDirectory(prefix="voice-agent-bench-") as name:
        step("starting the server")
        async with running(Path(name), overrides, clock) as server:
            allowed = [stage for stage in stages if stage.sessions <= limit]
            found = await crowds(server, voice, clock, allowed, step)
    return Load(machine.describe(), voice.name, voice.misheard, [Level.of(crowd) for crowd in found])


def _finite(value_ms: float) -> float | None:
    return value_ms if math.isfinite(value_ms) else None
