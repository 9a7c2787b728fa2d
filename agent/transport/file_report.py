"""The report of a headless conversation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from agent.conversation.decisions import Complaint
from agent.conversation.events import AsrFailed, Fault, Json, TtsFailed
from agent.settings import Settings
from agent.timeline.entry import Entry
from agent.timeline.projections.report import report
from agent.transport.recording import Recording

POSITIONS = (
    *("user_end_ms", "turn_end_ms", "model_first_token_ms", "tool_call_ms", "tool_result_ms"),
    *("first_audio_ms", "first_claim_ms"),
)
"""Fields of a turn that are moments; its other times are durations."""


def build_report(
    entries: Sequence[Entry],
    recording: Recording,
    settings: Settings,
    engines: Mapping[str, str],
    pending_timers: Sequence[Json] = (),
) -> dict[str, Json]:
    """The whole report, as JSON values. Every moment is in ms of the recording.

    `{"turns", "inputs": [{"file", "start_ms", "end_ms"}], "duration_ms", "settings", "engines",
    "pending_timers", "errors": [{"t_ms", "code", "message"}]}`; `turns` is the projection `report`.
    The settings of servers and pages are left out: they have no part in this, or hold secrets.
    """
    offset_ms = recording.offset_ms
    turns = report(entries)["turns"]
    return {
        "turns": [_moved(turn, offset_ms) for turn in turns] if isinstance(turns, list) else [],
        "inputs": [
            {"file": str(placed.path), "start_ms": placed.start_ms, "end_ms": placed.end_ms}
            for placed in recording.placed
        ],
        "duration_ms": recording.duration_ms,
        "settings": settings.model_dump(mode="json", exclude={"server", "browser", "mcp"}),
        "engines": dict(engines),
        "pending_timers": list(pending_timers),
        "errors": [error for entry in entries if (error := _error(entry, offset_ms)) is not None],
    }


def _moved(turn: Json, offset_ms: float) -> Json:
    if not isinstance(turn, dict):
        return turn
    moved = dict(turn)
    for name in POSITIONS:
        value = moved.get(name)
        if isinstance(value, int | float):
            moved[name] = round(value - offset_ms, 3)
    return moved


def _error(entry: Entry, offset_ms: float) -> dict[str, Json] | None:
    match entry.event:
        case Fault(code=code, message=message) | Complaint(code=code, message=message):
            pass
        case AsrFailed(message=message) as failed:
            code = failed.type
        case TtsFailed(message=message) as failed:
            code = failed.type
        case _:
            return None
    return {"t_ms": round(entry.now_us / 1_000 - offset_ms, 3), "code": code, "message": message}
