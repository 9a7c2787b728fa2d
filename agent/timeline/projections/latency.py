"""When things happened in each turn: the latency waterfall.

All times are milliseconds of the session (from `now_us`), `None` for what did not happen:

    user_end_ms               the user stopped: end of the last speech frame, typed text, "I'm done"
    turn_end_ms               turn.end
    model_first_token_ms      the first text of the model
    tool_call_ms              the model's first call
    tool_result_ms            the first result
    first_audio_ms            the first sample left the playout
    first_claim_ms            the first sample of a chunk that is a claim did
    voice_to_voice_ms         first_audio - user_end + what the output device adds
    cancel_request_to_ack_ms  by target: cancel.requested to cancel.ack
    interrupted               a reply of this turn was cut

Discarded replies leave no trace. Something that the agent says unasked is a turn with an empty
`turn_id`. A turn that goes on with one that was ended too early takes that one's place once it ends, with
the times of its own replies only; it counts as interrupted already if something of the earlier one was heard.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from agent.conversation.decisions import (
    CancelRequested,
    Decision,
    ModelStart,
    PlaybackRelease,
    PlaybackResume,
    PlaybackStop,
    ReplyDone,
    TurnEnd,
    TurnStart,
)
from agent.conversation.events import (
    REPLY_RATE,
    CancelAck,
    ControlDone,
    ControlTalk,
    DeviceJoined,
    DeviceLeft,
    Event,
    Json,
    ModelToken,
    PlaybackMark,
    PlaybackStarted,
    SpeechStarted,
    SpeechStopped,
    TextInput,
    ToolCall,
    ToolResult,
    TtsChunk,
)
from agent.timeline.entry import Entry

FIELDS = (
    *("user_end_ms", "turn_end_ms", "model_first_token_ms", "tool_call_ms", "tool_result_ms"),
    *("first_audio_ms", "first_claim_ms", "voice_to_voice_ms", "cancel_request_to_ack_ms"),
)
"""The latency fields of a turn, in the order of the waterfall."""


@dataclass(slots=True)
class _Reply:
    """Moments of one reply, in session microseconds."""

    first: dict[str, int] = field(default_factory=dict)
    """The first time of each field."""
    output_latency_ms: int = 0
    claim_sample: int | None = None
    """Where the first claim begins, in reply samples."""
    passed_us: int = 0
    """When the last mark, start or resume was."""
    requested_us: dict[str, int] = field(default_factory=dict)
    ack_ms: dict[str, float] = field(default_factory=dict)
    heard: bool = False

    def note(self, name: str, now_us: int) -> None:
        self.first.setdefault(name, now_us)

    def chunk(self, event: TtsChunk) -> None:
        if event.phase == "claim" and (self.claim_sample is None or event.start_sample < self.claim_sample):
            self.claim_sample = event.start_sample

    def started(self, now_us: int) -> None:
        self.note("first_audio_ms", now_us)
        self.passed_us = now_us
        if self.claim_sample == 0:
            self.note("first_claim_ms", now_us)

    def mark(self, sample: int, now_us: int) -> None:
        """Playout is paced, so the time at which a sample before `sample` left is known."""
        if self.claim_sample is not None and sample > self.claim_sample:
            since_us = (sample - self.claim_sample) * 1_000_000 // REPLY_RATE
            self.note("first_claim_ms", max(self.passed_us, now_us - since_us))
        self.passed_us = now_us

    def acked(self, target: str, now_us: int) -> None:
        if target in self.requested_us:
            self.ack_ms.setdefault(target, (now_us - self.requested_us[target]) / 1_000)


@dataclass(slots=True)
class _Turn:
    turn_id: str
    user_end_us: int | None = None
    end_us: int | None = None
    interrupted: bool = False
    cut_while_heard: bool = False
    """Interrupted, and not before the user heard anything."""
    replies: dict[str, _Reply] = field(default_factory=dict)

    def to_json(self) -> dict[str, Json]:
        audio_us = self._first("first_audio_ms")
        latency_ms = max((reply.output_latency_ms for reply in self.replies.values()), default=0)
        heard = audio_us is not None and self.user_end_us is not None
        voice_to_voice_us = audio_us - self.user_end_us + latency_ms * 1_000 if heard else None  # type: ignore[operator]
        return {
            "turn_id": self.turn_id,
            "reply_ids": list(self.replies),
            "user_end_ms": _ms(self.user_end_us),
            "turn_end_ms": _ms(self.end_us),
            "model_first_token_ms": _ms(self._first("model_first_token_ms")),
            "tool_call_ms": _ms(self._first("tool_call_ms")),
            "tool_result_ms": _ms(self._first("tool_result_ms")),
            "first_audio_ms": _ms(audio_us),
            "first_claim_ms": _ms(self._first("first_claim_ms")),
            "voice_to_voice_ms": _ms(voice_to_voice_us),
            "cancel_request_to_ack_ms": self._cancels(),
            "interrupted": self.interrupted,
        }

    def _first(self, name: str) -> int | None:
        return min((reply.first[name] for reply in self.replies.values() if name in reply.first), default=None)

    def _cancels(self) -> dict[str, Json]:
        return {target: reply.ack_ms.get(target) for reply in self.replies.values() for target in reply.requested_us}


def _ms(us: int | None) -> float | None:
    return None if us is None else us / 1_000


class Latency:
    """A fold over a session's entries, in order."""

    def __init__(self) -> None:
        self._turns: dict[str, _Turn] = {}
        """By turn id, or by reply id for what the agent says unasked; oldest first."""
        self._turn_of: dict[str, _Turn] = {}
        self._speaking = False
        self._user_end_us: int | None = None
        self._speakers: dict[str, int] = {}

    def apply(self, entry: Entry) -> None:
        event, now_us = entry.event, entry.now_us
        match event:
            case SpeechStarted():
                self._speaking, self._user_end_us = True, None
            case SpeechStopped():
                self._speaking, self._user_end_us = False, event.end_us
            case TextInput():
                self._user_end_us = now_us
            case ControlDone() | ControlTalk(on=False):
                # Silence did not end this turn: while still heard, the user ends it by the button.
                if self._speaking:
                    self._user_end_us = now_us
            case TurnStart():
                self._turn(event.turn_id)
            case TurnEnd():
                self._end(event, now_us)
            case DeviceJoined() if event.speaker:
                self._speakers[event.device_id] = event.output_latency_ms
            case DeviceLeft():
                self._speakers.pop(event.device_id, None)
            case _:
                self._on_reply(event, now_us)

    def turns(self) -> list[dict[str, Json]]:
        """The waterfall of every turn, oldest first (the module's docstring has the fields)."""
        return [turn.to_json() for turn in self._turns.values()]

    def _turn(self, turn_id: str) -> _Turn:
        if turn_id not in self._turns:
            self._turns[turn_id] = _Turn(turn_id)
        return self._turns[turn_id]

    def _end(self, event: TurnEnd, now_us: int) -> None:
        turn = self._turn(event.turn_id)
        turn.user_end_us, turn.end_us = self._user_end_us, now_us
        self._user_end_us = None
        first = self._turns.pop(event.joins, None)
        if first is not None:
            turn.interrupted = turn.cut_while_heard = first.cut_while_heard
        if not event.text:
            del self._turns[event.turn_id]

    def _on_reply(self, event: Event, now_us: int) -> None:
        if isinstance(event, ModelStart | PlaybackRelease):
            self._begin(event)
        reply_id: str = getattr(event, "reply_id", "")
        turn = self._turn_of.get(reply_id)
        if turn is None:
            return
        if isinstance(event, ReplyDone):
            self._finish(turn, event)
        elif reply_id in turn.replies:
            self._note(turn.replies[reply_id], event, now_us)

    def _begin(self, event: Decision) -> None:
        reply_id = event.reply_id
        if reply_id not in self._turn_of:
            turn = self._turn(event.turn_id) if event.turn_id else self._turns.setdefault(reply_id, _Turn(""))
            self._turn_of[reply_id] = turn
            turn.replies[reply_id] = _Reply()

    def _finish(self, turn: _Turn, event: ReplyDone) -> None:
        """Acks and results may still come; only a discarded reply is forgotten."""
        if event.outcome == "discarded":
            turn.replies.pop(event.reply_id, None)
            del self._turn_of[event.reply_id]
        if event.outcome == "interrupted":
            turn.interrupted = True
            turn.cut_while_heard |= turn.replies[event.reply_id].heard

    def _note(self, reply: _Reply, event: Event, now_us: int) -> None:
        match event:
            case ModelToken():
                reply.note("model_first_token_ms", now_us)
            case ToolCall():
                reply.note("tool_call_ms", now_us)
            case ToolResult():
                reply.note("tool_result_ms", now_us)
            case TtsChunk():
                reply.chunk(event)
            case PlaybackStarted():
                reply.output_latency_ms = max(self._speakers.values(), default=0)
                reply.started(now_us)
            case PlaybackMark():
                reply.mark(event.sample, now_us)
            case PlaybackResume():
                reply.passed_us = now_us
            case PlaybackStop():
                reply.heard = event.heard_text != ""
            case CancelRequested():
                reply.requested_us.setdefault(event.target, now_us)
            case CancelAck():
                reply.acked(event.target, now_us)


def latency(entries: Iterable[Entry]) -> list[dict[str, Json]]:
    """The waterfall of a whole timeline."""
    fold = Latency()
    for entry in entries:
        fold.apply(entry)
    return fold.turns()
