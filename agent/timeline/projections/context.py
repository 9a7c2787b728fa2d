"""The conversation as a brain is told it: only what the user said and what the user heard."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Literal

from agent.conversation.decisions import ActionCommitted, PlaybackStop, TurnEnd
from agent.conversation.events import Json, ToolCall, ToolResult
from agent.timeline.entry import Entry


@dataclass(frozen=True, slots=True)
class ContextMessage:
    """One entry of a prompt, made from the timeline event `event_id`. The fields are those of the
    thinking port's `Message`."""

    role: Literal["user", "agent", "call", "result", "note"]
    text: str = ""
    event_id: str = ""
    understood: bool = True
    cut: str = ""
    call_id: str = ""
    name: str = ""
    arguments: dict[str, Json] = field(default_factory=dict)
    content: Json = None
    error_class: str = ""


def messages(find: Callable[[str], Entry | None], ids: Sequence[str]) -> list[ContextMessage]:
    """The messages of a prompt whose events have these `ids`, in their order.

    `turn.end`          a user message
    `playback.stop`     an agent message: `text` was heard, `cut` was not
    `tool.call`         a call
    `tool.result`       its result
    `action.committed`  a note, if it was `late`: the reply that began it had been interrupted

    Other events, and ids that `find` does not know (any more), are left out.
    """
    calls: dict[str, ToolCall] = {}
    found: list[ContextMessage] = []
    for event_id in ids:
        entry = find(event_id)
        if entry is None:
            continue
        if isinstance(entry.event, ToolCall):
            calls[f"{entry.event.reply_id}:{entry.event.call_id}"] = entry.event
        message = _message(entry, calls)
        if message is not None:
            found.append(message)
    return found


def _message(entry: Entry, calls: dict[str, ToolCall]) -> ContextMessage | None:
    event = entry.event
    event_id = event.event_id
    match event:
        case TurnEnd() if event.text:
            return ContextMessage("user", event.text, event_id, understood=event.understood)
        case PlaybackStop() if event.heard_text or event.unheard_text:
            return ContextMessage("agent", event.heard_text, event_id, cut=event.unheard_text)
        case ToolCall():
            return ContextMessage(
                "call", "", event_id, call_id=event.call_id, name=event.name, arguments=event.arguments
            )
        case ToolResult():
            return _result(event, calls)
        case ActionCommitted() if event.late:
            call = calls.get(event.action_id)
            done = call.name.replace("_", " ") if call else f"the action {event.action_id}"
            return ContextMessage("note", f"{done} was done although you interrupted", event_id)
        case _:
            return None


def _result(event: ToolResult, calls: dict[str, ToolCall]) -> ContextMessage:
    call = calls.get(f"{event.reply_id}:{event.call_id}")
    return ContextMessage(
        "result",
        event.message,
        event.event_id,
        call_id=event.call_id,
        name=call.name if call else "",
        content=event.content,
        error_class=event.error_class,
    )
