"""A session in the terminal: its transcript, its latency waterfall, what a replay found."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from rich.console import Console
from rich.table import Table
from rich.text import Text

from agent.conversation.events import Json
from agent.errors import StoreError, WireError
from agent.redecide import Redecided, redecide
from agent.replay import Difference, replay
from agent.settings import Settings
from agent.show_figures import show_figures
from agent.show_redecided import redecided_json, show_redecided
from agent.show_turns import show_turns
from agent.stored import named, stored_timelines
from agent.timeline.codec import loads
from agent.timeline.entry import Entry
from agent.timeline.projections.figures import figures
from agent.timeline.projections.intent import intent
from agent.timeline.projections.latency import latency
from agent.timeline.projections.transcript import transcript
from agent.timeline.projections.turn_records import turn_records
from agent.timeline.reading import read_all

STAGES = (
    ("turn_end_ms", "turn end"),
    ("model_first_token_ms", "first token"),
    ("tool_call_ms", "tool call"),
    ("tool_result_ms", "tool result"),
    ("first_audio_ms", "first audio"),
    ("first_claim_ms", "first claim"),
)
BAR_COLUMNS = 40


def show_transcript(console: Console, entries: Sequence[Entry]) -> None:
    """Who said what; what was not heard stands in brackets, struck through where the terminal can."""
    for turn in transcript(entries):
        if turn["user"]:
            console.print(Text.assemble((f"{turn['turn_id']:>4}  you    ", "bold cyan"), str(turn["user"])))
        replies = turn["agent"] if isinstance(turn["agent"], list) else []
        for reply in replies:
            if isinstance(reply, dict):
                cut = f" ‹not heard: {reply['unheard']}›" if reply["unheard"] else ""
                console.print(
                    Text.assemble(
                        ("      agent  ", "bold magenta"), str(reply["heard"]), (cut, "strike dim"),
                        (f"  [{reply['outcome']}]" if reply["outcome"] not in ("completed", "") else "", "yellow"),
                    )
                )  # fmt: skip


def show_waterfall(console: Console, entries: Sequence[Entry]) -> None:
    """Per turn, how long after the user's last sample each stage came."""
    table = Table("turn", "stage", "after ms", "", box=None, pad_edge=False)
    for turn in latency(entries):
        start = turn["user_end_ms"]
        if not isinstance(start, int | float):
            continue
        after = {label: _since(turn[name], start) for name, label in STAGES}
        longest = max((ms for ms in after.values() if ms is not None), default=0.0) or 1.0
        name = str(turn["turn_id"])
        for label, ms in after.items():
            if ms is not None:
                table.add_row(name, label, f"{ms:7.0f}", "█" * max(1, round(BAR_COLUMNS * max(ms, 0) / longest)))
                name = ""
    console.print(table)


def _since(at_ms: Json, start_ms: float) -> float | None:
    return at_ms - start_ms if isinstance(at_ms, int | float) else None


def show_differences(console: Console, differences: Sequence[Difference], facts: int) -> None:
    """Whether a fresh core decided the same."""
    if not differences:
        console.print(f"[green]Replayed {facts} facts: every decision is identical.[/green]")
        return
    console.print(f"[red]Replayed {facts} facts: {len(differences)} decisions differ.[/red]")
    for difference in differences[:20]:
        told = f"  at fact {difference.seq}: stored {difference.stored}, decided {difference.decided}"
        console.print(told, markup=False)


@dataclass(frozen=True, slots=True)
class ReplayRun:
    """What of a replay is shown, and where.

    `turns`: each turn's record instead of the plain transcript. `json_file`: where the figures, the
    intent at the end and the turn records go as JSON; `-` is standard output, and nothing else is shown.
    `changes`: settings of the core under which the facts are decided again.
    """

    session: str
    turns: bool = False
    json_file: str = ""
    changes: Mapping[str, Json] = field(default_factory=dict)


def replay_command(run: ReplayRun, settings: Settings, console: Console) -> bool:
    """Show a timeline file or a stored session; whether its replay decided the same. Raises `AgentError`."""
    entries = read_entries(run.session, settings)
    differences = replay(entries)
    again = redecide(entries, run.changes) if run.changes else None
    if run.json_file:
        write_json(run.json_file, entries, differences, again)
    if run.json_file == "-":
        return not differences
    if again is None:
        (show_turns if run.turns else show_transcript)(console, entries)
        console.print()
        show_waterfall(console, entries)
        console.print()
        show_figures(console, entries)
    else:
        show_redecided(console, again, run.changes)
    console.print()
    show_differences(console, differences, sum(entry.role == "fact" for entry in entries))
    return not differences


def write_json(
    path: str, entries: Sequence[Entry], differences: Sequence[Difference], again: Redecided | None = None
) -> None:
    """What was folded from the timeline, as JSON. Raises `StoreError` if it cannot be written."""
    found: dict[str, Json] = {
        "identical": not differences,
        "figures": figures(entries),
        "intent": intent(entries),
        "turns": list[Json](turn_records(entries)),
    }
    if again is not None:
        found["redecided"] = redecided_json(again)
    text = json.dumps(found, indent=2, ensure_ascii=False) + "\n"
    if path == "-":
        sys.stdout.write(text)
        return
    try:
        Path(path).write_text(text, encoding="utf-8")
    except OSError as error:
        raise StoreError(f"{path} cannot be written: {error.strerror}") from error


def read_entries(session: str, settings: Settings) -> list[Entry]:
    """A timeline from a JSON-lines file, or from the store by (the beginning of) its id.

    Raises `StoreError` or `WireError`.
    """
    path = Path(session)
    if path.is_file():
        try:
            return [loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
        except (OSError, UnicodeDecodeError, WireError) as error:
            raise WireError(f"{path} is not a timeline of JSON lines: {error}") from error
    if not settings.timeline.path.is_file():
        raise StoreError(f"{session} is no file, and there is no stored timeline at {settings.timeline.path}")
    return asyncio.run(_stored(session, settings))


async def _stored(session: str, settings: Settings) -> list[Entry]:
    async with stored_timelines(settings.timeline) as store:
        found = await named(store, session)
        return await read_all(store, found.session_id, found.first_seq - 1)
