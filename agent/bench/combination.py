"""One combination of engines, talked to with recordings in a process of its own: `python -m agent.bench.combination`.

Settings and files come as JSON on standard input; what was measured goes to standard output.
"""

from __future__ import annotations

import json
import math
import os
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path

from agent.app import App
from agent.bench.machine import cpu_s
from agent.bench.voices import loud_windows
from agent.clock import run_virtual
from agent.conversation.events import Json
from agent.errors import AgentError
from agent.settings import Settings
from agent.transport.file_plan import Utterance, plan_files
from agent.transport.file_report import build_report
from agent.transport.files import run_files
from agent.transport.recording import Recording


@dataclass(frozen=True, slots=True)
class Exchange:
    """A recording and its answer. `turn_end_ms`: from its last loud sample to the end of the turn; `first_audio_ms`:
    from there to the first sample of the answer, None if there was none; `voice_to_voice_ms`: both."""

    heard: str = ""
    turn_end_ms: float | None = None
    first_audio_ms: float | None = None
    voice_to_voice_ms: float | None = None


@dataclass(frozen=True, slots=True)
class Talk:
    """`cpu_s_per_minute`: processor seconds a minute of conversation, loading left out; None where nothing tells."""

    exchanges: tuple[Exchange, ...]
    cpu_s_per_minute: float | None


async def talk(settings: Settings, plan: Sequence[Utterance]) -> Talk:
    """Say the recordings, each behind the answer to the one before. Raises `AgentError`."""
    async with App(settings) as app:
        call = await app.open()
        before_s = cpu_s(os.getpid())
        recording = await run_files(call, app.clock, plan)
        after_s = cpu_s(os.getpid())
        report = build_report(call.session.timeline.window(), recording, settings, app.engines.names)
        await app.close(call.session_id, "the files are over")
    share = None
    if before_s is not None and after_s is not None:
        share = (after_s - before_s) * 60_000 / recording.duration_ms
    return Talk(exchanges(report["turns"], spoken(plan, recording)), share)


def spoken(plan: Sequence[Utterance], recording: Recording) -> list[tuple[float, float]]:
    """When the speech of each recording begins and ends, in ms."""
    found = []
    for utterance, placed in zip(plan, recording.placed, strict=True):
        loud = loud_windows(utterance.audio.pcm_48k)
        first, last = (int(loud[0]), int(loud[-1]) + 1) if loud.size else (0, 0)
        found.append((placed.start_ms + first * 10.0, placed.start_ms + last * 10.0))
    return found


def exchanges(turns: Json, spoken_ms: Sequence[tuple[float, float]]) -> tuple[Exchange, ...]:
    """The last turn of words that ended between the beginning of each recording's speech and that of the next one.

    `turns`: those of a headless report.
    """
    rows = [turn for turn in turns if isinstance(turn, dict) and turn["user"]] if isinstance(turns, list) else []
    begins = [*(begin for begin, _ in spoken_ms), math.inf]
    found = []
    for (begin, following), (_, end) in zip(pairwise(begins), spoken_ms, strict=True):
        of_it = [row for row in rows if begin < _ms(row["turn_end_ms"]) < following]
        if not of_it:
            found.append(Exchange())
            continue
        turn_end, first = _ms(of_it[-1]["turn_end_ms"]), _ms(of_it[-1]["first_audio_ms"])
        answered = (None, None) if math.isnan(first) else (first - turn_end, first - end)
        found.append(Exchange(str(of_it[-1]["user"]), turn_end - end, *answered))
    return tuple(found)


def _ms(value: Json) -> float:
    return float(value) if isinstance(value, int | float) else math.nan


def main() -> None:
    """Failures are told, too: whoever asked goes on with the next combination."""
    asked = json.load(sys.stdin)
    try:
        settings = Settings.model_validate(asked["settings"])
        found = run_virtual(talk(settings, plan_files([Path(path) for path in asked["inputs"]])), charge_compute=True)
        json.dump(asdict(found), sys.stdout)
    except AgentError as error:
        json.dump({"failure": str(error)}, sys.stdout)


if __name__ == "__main__":
    main()
