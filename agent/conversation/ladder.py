"""The cancellation ladder: what a confirmed interruption does to a reply, rung by rung.

0  the device cut its own playback       (already done, or not: this end does not rely on it)
1  playout drops what is left            playback.stop
2  the text freezes at what was heard    in the same decision
3  playback, speech, model: cancelled    cancel.requested, acked each
4  tools: reads cancelled, actions that have not started withdrawn, started ones left alone
5  the record: who, what was heard, what was in flight
"""

from __future__ import annotations

from typing import Literal

from agent.conversation.decisions import (
    ActionRejected,
    CancelRequested,
    Decision,
    InterruptionRecorded,
    PlaybackStop,
    ReplyDone,
)
from agent.conversation.playback import samples_to_ms
from agent.conversation.reply import Reply

Heard = Literal["complete", "shown", "sent", "device", "device_stats", "device_player", "device_cut"]
"""How the heard part of a reply is known: see `PlaybackStop`."""


def in_flight(reply: Reply, *, speech_too: bool = True) -> tuple[str, ...]:
    """Targets of a reply that a cancellation has to reach, in the order of the ladder."""
    targets = ["playback", "tts"] if speech_too and reply.playback.said else []
    if reply.model_running:
        targets.append("model")
    started = [a for a in reply.calls.values() if a.state == "started" and not a.write]
    return (*targets, *(action.target for action in started))


def stop_playback(reply: Reply, heard_samples: int, method: Heard) -> PlaybackStop:
    """Rungs 1 and 2: what was heard of the reply is now fixed."""
    if method in ("complete", "shown"):
        heard, unheard = reply.playback.said_text, ""
    else:
        heard, unheard = reply.playback.heard(heard_samples)
    return PlaybackStop(
        turn_id=reply.turn_id,
        reply_id=reply.reply_id,
        heard_ms=samples_to_ms(heard_samples),
        heard_text=heard,
        unheard_text=" ".join(filter(None, (unheard, reply.playback.lost_text))),
        method=method if reply.playback.begun or method == "shown" else "never_started",
    )


def cancel(reply: Reply, reason: str, *, speech_too: bool) -> list[Decision]:
    """Rungs 3 and 4."""
    ids = {"turn_id": reply.turn_id, "reply_id": reply.reply_id}
    targets = in_flight(reply, speech_too=speech_too)
    rungs: list[Decision] = [CancelRequested(target=target, **ids) for target in targets]
    withdrawn = [a for a in reply.calls.values() if a.write and a.state == "requested"]
    return rungs + [ActionRejected(action_id=action.action_id, reason=reason, **ids) for action in withdrawn]


def record(reply: Reply, by: str, heard_text: str, targets: tuple[str, ...]) -> list[Decision]:
    """Rung 5, and the end of the reply."""
    ids = {"turn_id": reply.turn_id, "reply_id": reply.reply_id}
    going_on = tuple(a.call.name for a in reply.calls.values() if a.write and a.state == "started")
    return [
        InterruptionRecorded(by=by, heard_text=heard_text, in_flight=targets, going_on=going_on, **ids),
        ReplyDone(outcome="interrupted", **ids),
    ]
