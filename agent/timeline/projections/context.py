"""The conversation as a brain is told it: only what the user said and what the user heard."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import takewhile

from agent.conversation.decisions import (
    ActionCommitted,
    ActionProposed,
    ActionStarted,
    InterruptionRecorded,
    ModelStart,
    PlaybackStop,
    TurnEnd,
)
from agent.conversation.events import Json, ToolCall, ToolResult
from agent.conversation.message import Message
from agent.timeline.entry import Entry

ASKED = "the user is asked to confirm it; it is done only if a later result says so"
"""True of a proposal also in the prompts that follow when it has gone stale."""

MAX_LINKS = 4
"""As far back as this a prompt goes through earlier ones."""

Find = Callable[[str], Entry | None]


def messages(find: Find, ids: Sequence[str]) -> list[Message]:
    """The messages of a prompt whose events have these `ids`, in their order.

    `turn.end`          a user message
    `playback.stop`     an agent message: `text` was heard, `cut` was not
    `tool.call`         a call; so is the `action.started` of one that the user confirmed
    `tool.result`       its result; so is the `action.proposed` of one that waits for the user
    `action.committed`  a note, if it was `late`: the reply that began it had been interrupted
    `interruption.recorded`  a note, if actions go on whose outcome is not known
    `model.start`       as the first: what its own prompt was made of, up to what stands behind it here

    Other events, and ids that `find` does not know (any more), are left out.
    """
    calls: dict[str, ToolCall | ActionStarted] = {}
    found: list[Message] = []
    for entry in _entries(find, ids):
        if isinstance(entry.event, ToolCall):
            calls[f"{entry.event.reply_id}:{entry.event.call_id}"] = entry.event
        elif isinstance(entry.event, ActionStarted):
            calls[f"{entry.event.reply_id}:{entry.event.call_id}"] = calls[entry.event.action_id] = entry.event
        message = _message(entry, calls)
        if message is not None:
            found.append(message)
    return found


def _entries(find: Find, ids: Sequence[str]) -> list[Entry]:
    """Those that are known. Of what is reached through a `model.start` all are, or none is told: prompts that lost
    their beginning bit by bit would each have to be read anew by a language model."""
    found = [entry for event_id in ids if (entry := find(event_id)) is not None]
    behind = set(ids)
    for _ in range(MAX_LINKS):
        start = found[0].event if found else None
        if not isinstance(start, ModelStart):
            break
        before = list(takewhile(lambda event_id: event_id not in behind, start.context))
        linked = [entry for event_id in before if (entry := find(event_id)) is not None]
        if len(linked) < len(before):
            break
        found[:1] = linked
        behind.update(before)
    return found


def _message(entry: Entry, calls: dict[str, ToolCall | ActionStarted]) -> Message | None:
    event = entry.event
    event_id = event.event_id
    match event:
        case TurnEnd() if event.text:
            return Message("user", event.text, event_id, understood=event.understood)
        case PlaybackStop() if event.heard_text or event.unheard_text:
            return Message("agent", event.heard_text, event_id, cut=event.unheard_text)
        case ToolCall() | ActionStarted():
            return Message("call", "", event_id, call_id=event.call_id, name=event.name, arguments=event.arguments)
        case ActionProposed():
            asked: Json = {"status": ASKED, "proposal": event.proposal}
            return Message("result", "", event_id, call_id=event.call_id, name=event.name, content=asked)
        case ToolResult():
            return _result(event, calls)
        case ActionCommitted() if event.late:
            call = calls.get(event.action_id)
            done = call.name.replace("_", " ") if call else f"the action {event.action_id}"
            return Message("note", f"{done} was done although you interrupted", event_id)
        case InterruptionRecorded() if event.going_on:
            names = " and ".join(name.replace("_", " ") for name in event.going_on)
            return Message(
                "note", f"{names} had been started when you interrupted; how it ends is not known yet", event_id
            )
        case _:
            return None


def _result(event: ToolResult, calls: dict[str, ToolCall | ActionStarted]) -> Message:
    call = calls.get(f"{event.reply_id}:{event.call_id}")
    return Message(
        "result",
        event.message,
        event.event_id,
        call_id=event.call_id,
        name=call.name if call else "",
        content=event.content,
        error_class=event.error_class,
    )
