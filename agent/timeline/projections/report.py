"""What a finished conversation amounts to: one row per turn, its words and its latencies."""

from __future__ import annotations

from collections.abc import Iterable

from agent.conversation.events import Json
from agent.timeline.entry import Entry
from agent.timeline.projections.latency import FIELDS, Latency
from agent.timeline.projections.transcript import Transcript


def report(entries: Iterable[Entry]) -> dict[str, Json]:
    """`{"turns": [{"turn_id", "user", "agent", "heard", "interrupted", …latency fields}]}`.

    `agent` and `heard` join the turn's replies by a space; `user` is empty for what the agent
    said unasked.
    """
    words, times = Transcript(), Latency()
    for entry in entries:
        words.apply(entry)
        times.apply(entry)
    waterfalls = {_key(turn["turn_id"], turn["reply_ids"]): turn for turn in times.turns()}
    rows: list[Json] = []
    for turn in words.turns():
        replies = [reply for reply in _list(turn["agent"]) if isinstance(reply, dict)]
        waterfall = waterfalls.get(_key(turn["turn_id"], [reply["reply_id"] for reply in replies]), {})
        rows.append(
            {
                "turn_id": turn["turn_id"],
                "user": turn["user"],
                "agent": _joined(replies, "text"),
                "heard": _joined(replies, "heard"),
                "interrupted": bool(waterfall.get("interrupted", False)),
                **{name: waterfall.get(name) for name in FIELDS},
            }
        )
    return {"turns": rows}


def _key(turn_id: Json, reply_ids: Json) -> str:
    """What both projections know a turn by: what was said unasked has only its reply."""
    return str(turn_id) or str(next(iter(_list(reply_ids)), ""))


def _list(value: Json) -> list[Json]:
    return value if isinstance(value, list) else []


def _joined(replies: list[dict[str, Json]], name: str) -> str:
    return " ".join(str(reply[name]) for reply in replies if reply[name])
