"""`voice-agent bench`: every budget with its measured value."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table

from agent.bench.output import check_folder, progress_bar, write_json
from agent.bench.plan import FULL, QUICK
from agent.bench.rows import Row, rows
from agent.bench.run import Measured, measure
from agent.conversation.events import Json

MARKS = {True: "[green]✓[/green]", False: "[red]✗[/red]", None: ""}
BUSY_STALLS = 0.35


def run_bench(*, quick: bool, overrides: Sequence[str], out: Path | None, console: Console, err: Console) -> None:
    """Measure, print the table, and write the JSON. Raises `AgentError`."""
    plan = QUICK if quick else FULL
    check_folder(out)
    with progress_bar(err, plan.steps) as step:
        measured = asyncio.run(measure(plan, overrides, step))
    found = rows(measured)
    show(found, measured, console)
    write_json(out, to_json(found, measured))


def show(found: Sequence[Row], measured: Measured, console: Console) -> None:
    """The machine, the table, and what else has to be known to judge it."""
    for line in header(measured):
        console.print(line, highlight=False)
    console.print()
    table = Table(box=None, pad_edge=False, show_edge=False, padding=(0, 1))
    for name in ("", "stage", "budget", "measured", "n", "how measured"):
        table.add_column(name, justify="right" if name == "n" else "left", overflow="fold")
    for row in found:
        table.add_row(MARKS[row.within], row.stage, row.budget, row.measured, str(row.n), f"[dim]{row.how}[/dim]")
    console.print(table)
    console.print()
    for line in notes(measured):
        console.print(line, style="dim", highlight=False)


def header(measured: Measured) -> list[str]:
    """The machine, and how much of it there was."""
    shares = [(part, share) for part, share in measured.stolen.items() if share is not None]
    lines = [f"Machine: {measured.machine}."]
    if shares:
        told = ", ".join(f"{part} {share:.0%}" for part, share in shares)
        lines.append(f"Time of its cores that the hypervisor gave to others (steal): {told}.")
    return lines


def notes(measured: Measured) -> list[str]:
    """The voice, and whether the machine was busy with something else."""
    voice, stalls = measured.voice, [ask.stalled for ask in measured.single.talk.asks if ask.stalled is not None]
    lines = [f"The caller's voice: {voice.name}, made at run time."]
    if voice.misheard:
        said = "; ".join(f"{text!r} as {heard!r}" for text, heard in voice.misheard.items())
        lines.append(f"The recogniser takes {said} with this voice; flite has clearer ones (apt-get install flite).")
    lines.append("Caller and server run on the same cores. Audible: 20 ms frames of -50 dBFS or more.")
    apologies = sum(not ask.answered for ask in measured.single.talk.asks)
    if apologies:
        lines.append(
            f"{apologies} of {len(measured.single.talk.asks)} requests had no answer, or an apology because they were "
            "not understood or not in time; the voice-to-voice times of those are not an answer's."
        )
    busy = sum(stall >= BUSY_STALLS for stall in stalls)
    if busy:
        load = "" if measured.load is None else f", load average {measured.load:.1f} at the start"
        lines.append(
            f"The machine was busy in {busy} of {len(stalls)} requests (some task waited for a core in 35 % of the "
            f"wait or more{load}): distrust the latencies."
        )
    return lines


def to_json(found: Sequence[Row], measured: Measured) -> dict[str, Json]:
    """The same for programs."""
    return {
        "machine": measured.machine,
        "load": measured.load,
        "stolen": dict(measured.stolen),
        "voice": measured.voice.name,
        "misheard": dict(measured.voice.misheard),
        "stalled": [ask.stalled for ask in measured.single.talk.asks],
        "rows": [row.to_json() for row in found],
    }
