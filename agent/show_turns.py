"""The turn records of a session in the terminal."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from agent.timeline.entry import Entry
from agent.timeline.projections.turn_records import turn_records

OUTCOMES_BAD = ("failed", "unknown")


def show_turns(console: Console, entries: Iterable[Entry]) -> None:
    """Per turn what was said, understood, written, spoken and done; what does not fit together is red."""
    table = Table.grid(padding=(0, 2))
    table.add_column(style="bold")
    table.add_column(style="dim", no_wrap=True)
    table.add_column(overflow="fold")
    for number, turn in enumerate(turn_records(entries)):
        if number:
            table.add_row()
        rows = _rows(turn)
        for at, (label, text) in enumerate(rows):
            table.add_row(str(turn["turn_id"] or "–") if at == 0 else "", label, text)
    console.print(table)


def _rows(turn: dict[str, Any]) -> list[tuple[str, Text]]:
    rows: list[tuple[str, Text]] = [*_user(turn["user"])]
    for reply in turn["replies"]:
        rows += _reply(reply)
    rows += [("tool", _tool(tool)) for tool in turn["tools"]]
    for flag in turn["mismatches"]:
        what = f"{flag['kind'].replace('_', ' ')} in {flag['reply_id']}: “{flag['expected']}” / “{flag['found']}”"
        rows.append(("mismatch", Text(what, style="bold red")))
    return rows


def _user(user: dict[str, Any]) -> list[tuple[str, Text]]:
    if not user["said"]:
        return []
    rows = [("typed" if user["typed"] else "said", Text(user["said"], style="cyan"))]
    rows += [("cut off", _cut_off(part)) for part in user["cut_off"]]
    if user["revised"]:
        rows.append(("at first", Text(user["last_partial"], style="yellow")))
    if not user["understood"]:
        rows.append(("understood", Text("not understood", style="yellow")))
    return rows


def _cut_off(part: dict[str, Any]) -> Text:
    """Where the turn was ended too early, and by what silence."""
    silence = part["evidence"].get("silence_ms")
    behind = f", behind {silence} ms of silence" if silence is not None else ""
    return Text.assemble((part["said"], "yellow"), (f"  [{part['turn_id']}{behind}]", "dim"))


def _reply(reply: dict[str, Any]) -> list[tuple[str, Text]]:
    rows = [("understood", Text(_call(call["tool"], call["arguments"]))) for call in reply["understood_as"]]
    written, asked = reply["written"].strip(), reply["asked"]
    if written and written != asked:
        rows.append(("wrote", Text(written)))
    ended = Text(f"  [{reply['reply_id']} {reply['outcome'] or 'going on'}{_heard(reply)}]", style="dim")
    if reply["outcome"] == "discarded":
        return [*rows, ("began", Text(asked or written or "nothing", style="strike dim") + ended)]
    cut = f" {reply['unspoken']}" if reply["unspoken"] else ""
    spoken = Text.assemble((reply["spoken"], "magenta"), (cut, "strike dim"))
    return [*rows, ("spoken", (spoken if spoken.plain else Text("nothing")) + ended)]


def _heard(reply: dict[str, Any]) -> str:
    return f", {reply['heard_ms']} ms by {reply['method']}" if reply["outcome"] == "interrupted" else ""


def _tool(tool: dict[str, Any]) -> Text:
    text = Text(f"{tool['name']} {tool['outcome']}", style="red" if tool["outcome"] in OUTCOMES_BAD else "")
    text.append(" late" if tool["late"] else "")
    why = ": ".join(filter(None, (tool["error_class"], tool["message"] or tool["reason"])))
    return text.append(f" ({why})" if why else "")


def _call(name: str, arguments: dict[str, Any]) -> str:
    return f"{name}({', '.join(f'{key}={value!r}' for key, value in arguments.items())})"
