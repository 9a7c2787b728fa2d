"""What became of a command: it is on the timeline for good, and this is what the conversation said to it."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from agent.conversation.decisions import Complaint
from agent.conversation.events import Fault
from agent.errors import Indeterminate, SessionGone
from agent.timeline.log import Timeline

DURABLE_S = 5.0


@dataclass(frozen=True, slots=True)
class Receipt:
    """`seq`: its place, None once that is forgotten or has left memory. `code` and `message`: why it changed nothing,
    empty where it did."""

    seq: int | None
    code: str = ""
    message: str = ""


async def receipt(timeline: Timeline, event_id: str) -> Receipt:
    """Wait until the entry of this id cannot be lost any more. Raises `SessionGone` where there is none,
    `Indeterminate` when the store does not answer in time."""
    if not timeline.has(event_id):
        raise SessionGone("this conversation has ended: the command came too late")
    entry = timeline.get(event_id)
    try:
        async with asyncio.timeout(DURABLE_S):
            await timeline.durable(entry.seq if entry else timeline.last_seq)
    except TimeoutError as error:
        raise Indeterminate(f"command {event_id} may be lost yet: send it again, under the same event_id") from error
    if entry is None:  # what was said up to then is forgotten, or so long ago that memory has only the id
        return Receipt(None)
    number = 1
    said = entry.event
    while not isinstance(said, Fault | Complaint):
        decision = timeline.get(f"{event_id}.{number}")
        if decision is None:
            return Receipt(entry.seq)
        said, number = decision.event, number + 1
    return Receipt(entry.seq, said.code, said.message)
