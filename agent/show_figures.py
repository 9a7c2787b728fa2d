"""The figures of a session in the terminal."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from agent.timeline.entry import Entry
from agent.timeline.projections.figures import figures

GOOD, BAD = "green", "bold red"


def show_figures(console: Console, entries: Iterable[Entry]) -> None:
    """How the session was interrupted, and whether anything happened that must not; bad news is red."""
    found: Any = figures(entries)
    table = Table.grid(padding=(0, 2))
    table.add_column()
    table.add_column(overflow="fold")
    for name, value in _rows(found):
        table.add_row(name, value)
    console.print(table)
    if found["cancels"]:
        console.print()
        console.print(_cancels(found["cancels"]))


def _rows(found: dict[str, Any]) -> list[tuple[str, Text]]:
    turns, graded, ghost = found["turns"], found["interruptions"], found["ghost_speech"]
    late = found["late_commits"]
    wrong = {kind: count for kind, count in found["mismatches"].items() if count}
    spoken = f"{ghost['ms']:.0f} ms after {ghost['cuts']} cut{'' if ghost['cuts'] == 1 else 's'}"
    spoken += f", {ghost['max_ms']:.0f} ms at most" if ghost["ms"] else ""
    dismissed = _share(graded["dismissed"], graded["suspected"], graded["false_rate"], " suspected")
    return [
        ("turns interrupted", Text(_share(turns["interrupted"], turns["ended"], turns["share"]))),
        ("false interruptions", Text(dismissed)),
        ("ghost speech", _judged(spoken, bad=ghost["ms"] > 0)),
        ("ghost actions", _judged(str(found["ghost_actions"]), bad=found["ghost_actions"] > 0)),
        ("late commits", _judged(f"{late['count']}, told {late['told']}", bad=late["told"] < late["count"])),
        ("mismatches", _judged(_counts(wrong), bad=bool(wrong))),
    ]


def _share(part: int, whole: int, share: float | None, of: str = "") -> str:
    return f"{part} of {whole}{of}" + (f" ({share:.0%})" if share is not None else "")


def _judged(text: str, *, bad: bool) -> Text:
    return Text(text, style=BAD if bad else GOOD)


def _counts(wrong: dict[str, int]) -> str:
    return ", ".join(f"{kind.replace('_', ' ')} {count}" for kind, count in wrong.items()) or "none"


def _cancels(targets: dict[str, Any]) -> Table:
    table = Table(
        "cancelled", "times", "acked", "p50", "p99", "max", "freed", "p50", "p99", "max", box=None, pad_edge=False
    )
    for column in table.columns[1:]:
        column.justify = "right"
    for name, target in targets.items():
        acked = _judged(str(target["acked"]), bad=target["acked"] < target["requested"])
        ack, freed = _times(target["ack_ms"]), _times(target["freed_ms"])
        table.add_row(name, str(target["requested"]), acked, *ack, str(target["freed"]), *freed)
    table.caption, table.caption_justify = "times in ms since the request", "left"
    return table


def _times(spread: dict[str, float] | None) -> list[str]:
    return [f"{spread[name]:.1f}" if spread else "–" for name in ("p50", "p99", "max")]
