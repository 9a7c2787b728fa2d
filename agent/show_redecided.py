"""In the terminal: what another setting would have changed."""

from __future__ import annotations

from collections.abc import Mapping

from rich.console import Console
from rich.table import Table
from rich.text import Text

from agent.conversation.decisions import Decision
from agent.conversation.events import Json
from agent.moments import Key, Outcome, moments
from agent.redecide import Redecided
from agent.timeline.codec import payload_of

NONE = "–"
SHOWN_CHARS = 160
CAVEAT = (
    "From here on the stored facts are those that followed the stored decisions: what was played, what tools answered, "
    "what the user said to it. What differs later shows what the core makes of them, not what would have happened."
)


def show_redecided(console: Console, found: Redecided, changes: Mapping[str, Json]) -> None:
    """The first decision that differs, then every turn and interruption that ends otherwise."""
    with_them = ", ".join(f"{key} = {value}" for key, value in changes.items())
    parting = found.parting
    if parting is None:
        console.print(f"Decided again with {with_them}: every decision is the same.", highlight=False)
        return
    console.print(f"Decided again with {with_them}:", highlight=False, style="bold")
    console.print(f"the first difference is at {parting.now_us / 1e6:.3f} s", highlight=False)
    console.print(f"  stored   {_words(parting.before)}", highlight=False, markup=False)
    console.print(f"  with it  {_words(parting.after)}", highlight=False, markup=False)
    console.print(CAVEAT, style="yellow", highlight=False)
    console.print()
    rows = side_by_side(found)
    differing = {key: pair for key, pair in rows.items() if pair[0] != pair[1]}
    if differing:
        console.print(_table(differing))
    for kind in ("turn", "interruption"):
        of_kind = [key for key in rows if key[1] == kind]
        other = sum(key in differing for key in of_kind)
        console.print(f"{other} of {len(of_kind)} {kind}s differ.", highlight=False)


def side_by_side(found: Redecided) -> dict[Key, tuple[Outcome | None, Outcome | None]]:
    """Each turn and interruption as it was stored, and as it is decided again; None where it is not one."""
    before, after = moments(found.before), moments(found.after)
    return {key: (before.get(key), after.get(key)) for key in sorted(before.keys() | after.keys())}


def redecided_json(found: Redecided) -> dict[str, Json]:
    """`{"first_difference": null | {"t_ms", "stored", "decided"}, "moments": [{"t_ms", "what", "stored", "decided"}]}`,
    of the moments only those that differ."""
    parting = found.parting
    first: dict[str, Json] | None = None
    if parting is not None:
        first = {"t_ms": parting.now_us / 1e3, "stored": _words(parting.before), "decided": _words(parting.after)}
    return {
        "first_difference": first,
        "moments": [
            {"t_ms": at_us / 1e3, "what": kind, "stored": _text(before), "decided": _text(after)}
            for (at_us, kind), (before, after) in side_by_side(found).items()
            if before != after
        ],
    }


def _table(rows: Mapping[Key, tuple[Outcome | None, Outcome | None]]) -> Table:
    table = Table("at", "what", "stored", "", "with it", box=None, pad_edge=False)
    for (at_us, kind), (before, after) in rows.items():
        table.add_row(f"{at_us / 1e6:.3f} s", kind, Text(_text(before)), "→", Text(_text(after)))
    return table


def _text(outcome: Outcome | None) -> str:
    return NONE if outcome is None else str(outcome)


def _words(decision: Decision | None) -> str:
    if decision is None:
        return "nothing"
    told = {key: value for key, value in payload_of(decision, decision.turn_id).items() if value not in ("", [], None)}
    text = ", ".join(f"{key} {value}" for key, value in told.items())
    return f"{decision.type}  {text}"[:SHOWN_CHARS]
