"""A session in the terminal: its transcript, its latency waterfall, what a replay found."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from agent.conversation.events import Json
from agent.replay import Difference
from agent.timeline.entry import Entry
from agent.timeline.projections.latency import latency
from agent.timeline.projections.transcript import transcript

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
    """Who said what; what was not heard is struck through."""
    for turn in transcript(entries):
        if turn["user"]:
            console.print(Text.assemble((f"{turn['turn_id']:>4}  you    ", "bold cyan"), str(turn["user"])))
        replies = turn["agent"] if isinstance(turn["agent"], list) else []
        for reply in replies:
            if isinstance(reply, dict):
                cut = f" {reply['unheard']}" if reply["unheard"] else ""
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
        console.print(f"  at fact {difference.seq}: stored {difference.stored}, decided {difference.decided}")
