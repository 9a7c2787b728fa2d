"""`voice-agent bench --load`: the table of sessions and waits."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table

from agent.bench.load import BUDGET_SESSIONS, Level, Load, measure_load
from agent.bench.output import check_folder, progress_bar, write_json
from agent.bench.plan import FULL_LOAD, QUICK_LOAD

COLUMNS = (
    "sessions", "questions", "unanswered", "voice to voice p50", "p95", "server CPU", "callers' CPU",
    "playout clock p99", "bare timer p99", "steal",
)  # fmt: skip


def run_load(*, quick: bool, overrides: Sequence[str], out: Path | None, console: Console, err: Console) -> None:
    """Measure, print the table, and write the JSON. Raises `AgentError`."""
    stages = QUICK_LOAD if quick else FULL_LOAD
    check_folder(out)
    with progress_bar(err, len(stages) + 2) as step:
        found = asyncio.run(measure_load(stages, overrides, step))
    show_load(found, console)
    write_json(out, found.to_json())


def show_load(found: Load, console: Console) -> None:
    """The machine, the table, and what it says."""
    console.print(f"Machine: {found.machine}.", highlight=False)
    console.print()
    table = Table(box=None, pad_edge=False, show_edge=False, padding=(0, 1))
    for name in COLUMNS:
        table.add_column(name, justify="right", overflow="fold")
    for level in found.levels:
        table.add_row(*_cells(level))
    console.print(table)
    console.print()
    console.print(verdict(found), highlight=False)
    for line in notes(found):
        console.print(line, style="dim", highlight=False)


def verdict(found: Load) -> str:
    """At how many sessions p95 has doubled, against the budget."""
    first, last = found.levels[0], found.levels[-1]
    budget = f"budget: not yet at {BUDGET_SESSIONS} sessions"
    if not math.isfinite(first.p95_ms):
        return f"Whether p95 doubles cannot be said: {_sessions(first)} already had questions without an answer."
    if found.doubled_at is None:
        return f"p95 has not doubled up to {_sessions(last)} ({_ms(first.p95_ms)} → {_ms(last.p95_ms)}; {budget})."
    level = next(level for level in found.levels if level.sessions == found.doubled_at)
    return f"p95 has doubled at {_sessions(level)} ({_ms(first.p95_ms)} → {_ms(level.p95_ms)}; {budget})."


def notes(found: Load) -> list[str]:
    """How it was measured."""
    lines = [
        f"Each session asks a short question, hears the answer out, and asks again; the caller's voice: {found.voice}.",
        "Voice to voice: last speech sample to the arrival of the first audible packet (-50 dBFS), as recorded.",
        "Unanswered: without an answer, or with the apology that the question was not understood in time.",
        "CPU: seconds a minute and session. The callers run on the server's cores: without them it would take more.",
        "Steal: time of the cores that the hypervisor gave to others. Playout clock: the server's worst call.",
    ]
    lines += [f"{_sessions(level)}: {level.failure}." for level in found.levels if level.failure]
    if found.misheard:
        said = "; ".join(f"{text!r} as {heard!r}" for text, heard in found.misheard.items())
        lines.append(f"The recogniser takes {said} with this voice.")
    return lines


def _cells(level: Level) -> tuple[str, ...]:
    return (
        str(level.sessions), str(level.asks), str(level.unanswered), _ms(level.p50_ms), _ms(level.p95_ms),
        _or_none(level.server_cpu_s, "{:.1f} s"), _or_none(level.callers_cpu_s, "{:.1f} s"),
        _or_none(level.playout_p99_ms, "{:.1f} ms"), _or_none(level.timer_p99_ms, "{:.1f} ms"),
        _or_none(level.stolen, "{:.0%}"),
    )  # fmt: skip


def _or_none(value: float | None, form: str) -> str:
    return "unknown" if value is None else form.format(value)


def _ms(value: float) -> str:
    return f"{value:.0f} ms" if math.isfinite(value) else "no answer"


def _sessions(level: Level) -> str:
    return "1 session" if level.sessions == 1 else f"{level.sessions} sessions"
