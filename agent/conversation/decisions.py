"""Decisions: what the core wants done, or wants to be known. They are its only output.

Each one goes on the timeline, with the fact that caused it as its parent, and then to the loop
that carries it out (the driver's dispatch table says which; some are only a record). A
decision's `event_id` is its cause's id and a counter: `e17.2`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar, Literal

from agent.conversation.events import Event, Json, Phase


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision(Event):
    """Base. `turn_id` and `reply_id` are empty where a decision belongs to none."""

    turn_id: str = ""
    reply_id: str = ""


# ── devices ──────────────────────────────────────────────────────────────────────────────

Why = Literal["joined", "takeover", "speech", "left"]


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceFocused(Decision):
    """The microphone and the loudspeaker of this device are live, no other's; of none when it is empty.

    It joined, asked for it, was spoken to, or the one before it `left` or lost all sound.
    """

    type: ClassVar[str] = "device.focused"
    device_id: str
    why: Why


# ── the user's turn ──────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True, kw_only=True)
class TurnStart(Decision):
    """`continues`: a turn that ended too early; unless this one takes it back, its text begins with that one's."""

    type: ClassVar[str] = "turn.start"
    feature: str = ""
    continues: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class TurnEnd(Decision):
    """The user has said what there was to say. `evidence` says what ended it.

    `text` is empty for a false turn (noise, nothing recognised). `joins`: the turn that was ended too early and is
    one with this one, whose text holds the words of both.
    """

    type: ClassVar[str] = "turn.end"
    text: str
    understood: bool
    evidence: dict[str, Json]
    feature: str = ""
    joins: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class AsrFinalize(Decision):
    """Hearing: give the final text of the turn's audio so far, now."""

    type: ClassVar[str] = "asr.finalize"


@dataclass(frozen=True, slots=True, kw_only=True)
class AsrReset(Decision):
    """Hearing: the turn is over; the next utterance starts with empty audio."""

    type: ClassVar[str] = "asr.reset"


# ── the agent's work ─────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentStatus(Decision):
    """The confidence channel: what the agent is doing, before there is content."""

    type: ClassVar[str] = "agent.status"
    status: Literal["listening", "thinking", "working", "speaking", "interrupted", "not_understood", "failed"]
    detail: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelStart(Decision):
    """Thinking: run the brain for this reply. Step 1, or a further one once tools answered.

    The prompt is a function of this decision: the events of `context` (timeline event ids,
    oldest first; an earlier `model.start` in front stands for what its own were), then `text`,
    the user's words, which are not yet on the timeline as a finished turn while `speculative`,
    then the events of `results`: the calls and results of this reply's earlier steps.
    """

    type: ClassVar[str] = "model.start"
    step: int
    text: str
    understood: bool
    context: tuple[str, ...]
    results: tuple[str, ...]
    speculative: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolStart(Decision):
    """Thinking: run a tool without side effects."""

    type: ClassVar[str] = "tool.start"
    call_id: str
    name: str
    arguments: dict[str, Json]


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplyCommitted(Decision):
    """The turn that this speculative reply answers has ended: it may be spoken and may act."""

    type: ClassVar[str] = "reply.committed"


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplyDone(Decision):
    """The reply has ended, exactly once. `discarded`: it never was part of the conversation."""

    type: ClassVar[str] = "reply.done"
    outcome: Literal["completed", "interrupted", "discarded", "failed"]


# ── actions: tools with side effects ─────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True, kw_only=True)
class ActionProposed(Decision):
    """`ask`: it waits for the user, who is told `proposal`; else policy confirms it."""

    type: ClassVar[str] = "action.proposed"
    action_id: str
    name: str
    arguments: dict[str, Json]
    call_id: str = ""
    ask: bool = False
    proposal: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ActionConfirmed(Decision):
    """`by`: `policy`, `voice`, `typed`, or the device whose card was answered."""

    type: ClassVar[str] = "action.confirmed"
    action_id: str
    by: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ActionRejected(Decision):
    """It will not start: withdrawn by an interruption, or not allowed."""

    type: ClassVar[str] = "action.rejected"
    action_id: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ActionStarted(Decision):
    """Thinking: run it. Dispatched only once it is durable; never killed afterwards."""

    type: ClassVar[str] = "action.started"
    action_id: str
    name: str
    arguments: dict[str, Json]
    idempotency_key: str
    call_id: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ActionCommitted(Decision):
    """`late`: its reply was cancelled meanwhile; the user is told in the next one."""

    type: ClassVar[str] = "action.committed"
    action_id: str
    late: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class ActionFailed(Decision):
    type: ClassVar[str] = "action.failed"
    action_id: str
    error_class: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ActionReverted(Decision):
    """It was committed, and has been undone by `by_action_id`."""

    type: ClassVar[str] = "action.reverted"
    action_id: str
    by_action_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ActionUnknown(Decision):
    """Started in an earlier life of the process, or long ago, and nothing says how it ended."""

    type: ClassVar[str] = "action.unknown"
    action_id: str


# ── output ───────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True, kw_only=True)
class TtsSay(Decision):
    """Speaking: synthesise this behind what the reply already has.

    `rests_on` names the tool results that the text claims from.
    """

    type: ClassVar[str] = "tts.say"
    chunk: int
    text: str
    phase: Phase
    rests_on: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class PlaybackRelease(Decision):
    """Speaking: the reply may be played; before this its audio is only kept."""

    type: ClassVar[str] = "playback.release"


@dataclass(frozen=True, slots=True, kw_only=True)
class PlaybackPause(Decision):
    type: ClassVar[str] = "playback.pause"


@dataclass(frozen=True, slots=True, kw_only=True)
class PlaybackResume(Decision):
    """Speaking: play on from `sample`."""

    type: ClassVar[str] = "playback.resume"
    sample: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PlaybackStop(Decision):
    """Speaking: drop what is left. Ends every reply that had something to say.

    `method` says how the heard part was measured: all of it was sent (`complete`), up to the
    last sample sent (`sent`), up to where the device says that it silenced itself (`device`, or `device_stats`
    where that follows from its statistics: at least so much, or `device_player` where its own player counts), or,
    where it cannot say, the last sample sent less its output latency (`device_cut`). `shown`: no device has a
    loudspeaker, so all of it was read.
    """

    type: ClassVar[str] = "playback.stop"
    heard_ms: int
    heard_text: str
    unheard_text: str
    method: Literal[
        "complete", "shown", "sent", "device", "device_stats", "device_player", "device_cut", "never_started"
    ]


# ── steering ─────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True, kw_only=True)
class SteeringQueued(Decision):
    """A typed message waits behind what is being said: until the sentence ends, or the reply."""

    type: ClassVar[str] = "steering.queued"
    text: str
    when: Literal["sentence", "after"]
    queued_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SteeringApplied(Decision):
    """It is the user's turn now. Each queued message is applied exactly once, in order."""

    type: ClassVar[str] = "steering.applied"
    queued_id: str


# ── interruption and cancellation ────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True, kw_only=True)
class InterruptionSuspected(Decision):
    type: ClassVar[str] = "interruption.suspected"
    by: str


@dataclass(frozen=True, slots=True, kw_only=True)
class InterruptionConfirmed(Decision):
    type: ClassVar[str] = "interruption.confirmed"
    evidence: str


@dataclass(frozen=True, slots=True, kw_only=True)
class InterruptionDismissed(Decision):
    type: ClassVar[str] = "interruption.dismissed"
    evidence: str


@dataclass(frozen=True, slots=True, kw_only=True)
class InterruptionRecorded(Decision):
    """Rung 5: who interrupted, what was heard, what was in flight. `going_on`: the names of
    actions that had started; they are not killed, and later prompts must know of them."""

    type: ClassVar[str] = "interruption.recorded"
    by: str
    heard_text: str
    in_flight: tuple[str, ...]
    going_on: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class CancelRequested(Decision):
    """To the loop that owns `target`: `playback`, `tts`, `model`, or `tool:<call_id>`."""

    type: ClassVar[str] = "cancel.requested"
    target: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Complaint(Decision):
    """An `error` found by the core itself (a deadline passed, a limit was hit)."""

    type: ClassVar[str] = "core.error"
    code: str
    message: str
    related: tuple[str, ...] = field(default=())
