"""Figures of a session: how it was interrupted, and whether anything happened that must not.

    {"turns": {"ended": 4, "interrupted": 1, "share": 0.25},
     "interruptions": {"suspected": 3, "confirmed": 1, "dismissed": 2, "false_rate": 0.667},
     "cancels": {"tts": {…}},                       see `cancels`
     "ghost_speech": {"cuts": 1, "ms": 0.0, "max_ms": 0.0},
     "ghost_actions": 0,                            see `effects`
     "late_commits": {"count": 1, "told": 1},
     "mismatches": {"heard_not_said": 0, …}}        see `spoken`

A turn counts once a reply to it has ended; what the agent says unasked is a turn too. It counts
as interrupted if somebody cut a reply of it, not if a device, the session or the process went away.
One that was ended too early and goes on is one turn, and going on before anything of the reply was heard
does not count as cutting it (but as a confirmed interruption).
`false_rate` is dismissed / suspected; a suspicion that was not judged, as another device became live, is no false
alarm. Rates are null while there is nothing to divide by. The page folds the same figures, checked against the same
fixtures.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from agent.conversation.decisions import (
    Decision,
    InterruptionConfirmed,
    InterruptionDismissed,
    InterruptionSuspected,
    PlaybackPause,
    PlaybackResume,
    PlaybackStop,
    ReplyDone,
    TtsSay,
    TurnEnd,
)
from agent.conversation.events import (
    REPLY_RATE,
    ControlStop,
    DeviceCut,
    Json,
    PlaybackMark,
    PlaybackStarted,
    Played,
    TtsChunk,
    TtsFailed,
)
from agent.timeline.entry import Entry
from agent.timeline.projections.bounded import remember
from agent.timeline.projections.cancels import Cancels
from agent.timeline.projections.effects import Effects
from agent.timeline.projections.ghost_speech import GhostSpeech
from agent.timeline.projections.spoken import KINDS, Spoken

Sound = PlaybackStarted | PlaybackMark | PlaybackPause | PlaybackResume | PlaybackStop

KEPT = 64
"""Replies and turns that are remembered; the oldest are forgotten first."""
MOVED = "moved"
"""Evidence of a dismissal that judges nothing: another device became live."""
NOBODY = frozenset(("closed", "device_left", "restart"))
"""Evidence of an interruption that no person made."""


@dataclass(slots=True)
class _Reply:
    spoken: Spoken = field(default_factory=Spoken)
    ghost: GhostSpeech = field(default_factory=GhostSpeech)
    by_nobody: bool = False
    """What cut it was no person."""
    ghost_counted: int = 0


@dataclass(slots=True)
class _Turn:
    interrupted: bool = False
    heard: bool = False
    """Something was heard of a reply to it."""


class Figures:
    """A fold over a session's entries, in order."""

    def __init__(self) -> None:
        self._replies: dict[str, _Reply] = {}
        self._turns: dict[str, _Turn] = {}
        """By turn id, or by reply id for what was said unasked."""
        self._ended = 0
        self._interrupted = 0
        self._interruptions = {"suspected": 0, "confirmed": 0, "dismissed": 0}
        self._cancels = Cancels()
        self._effects = Effects()
        self._cuts = 0
        self._ghost_samples = 0
        self._longest_ghost = 0
        self._mismatches = dict.fromkeys(KINDS, 0)

    def apply(self, entry: Entry) -> None:
        event, now_us = entry.event, entry.now_us
        self._cancels.apply(event, now_us)
        self._effects.apply(entry)
        match event:
            case TurnEnd() if event.joins in self._turns:
                self._join(event.joins, event.turn_id)
            case InterruptionSuspected():
                self._interruptions["suspected"] += 1
            case InterruptionDismissed() if event.evidence != MOVED:
                self._interruptions["dismissed"] += 1
            case InterruptionConfirmed():
                self._interruptions["confirmed"] += 1
                self._reply(event.reply_id).by_nobody = event.evidence in NOBODY
            case ReplyDone():
                self._end(event)
            case TtsSay() | TtsChunk() | TtsFailed():
                self._reply(event.reply_id).spoken.apply(event)
            case PlaybackStarted() | PlaybackMark() | PlaybackPause() | PlaybackResume() | PlaybackStop():
                self._play(event, now_us)
            case DeviceCut(undo=False) if event.played is not None:
                self._report(event.played)
            case ControlStop() if event.played is not None and event.reply_id:  # else it may come long after the sound
                self._report(event.played)

    def figures(self) -> dict[str, Json]:
        """The figures as they stand (the module's docstring has the shape)."""
        suspected, dismissed = self._interruptions["suspected"], self._interruptions["dismissed"]
        return {
            "turns": {
                "ended": self._ended,
                "interrupted": self._interrupted,
                "share": _share(self._interrupted, self._ended),
            },
            "interruptions": {**self._interruptions, "false_rate": _share(dismissed, suspected)},
            "cancels": self._cancels.to_json(),
            "ghost_speech": {
                "cuts": self._cuts,
                "ms": self._ghost_samples * 1_000 / REPLY_RATE,
                "max_ms": self._longest_ghost * 1_000 / REPLY_RATE,
            },
            **self._effects.to_json(),
            "mismatches": dict(self._mismatches),
        }

    def _play(self, event: Sound, now_us: int) -> None:
        reply = self._reply(event.reply_id)
        was_cut = reply.ghost.cut
        reply.spoken.apply(event)
        reply.ghost.apply(event, now_us)
        self._cuts += reply.ghost.cut and not was_cut
        self._count_ghost(reply)

    def _report(self, played: Played) -> None:
        reply = self._reply(played.reply_id)
        reply.ghost.reported(played.sample)
        self._count_ghost(reply)

    def _count_ghost(self, reply: _Reply) -> None:
        if reply.ghost.cut and reply.ghost.ghost_samples > reply.ghost_counted:
            self._ghost_samples += reply.ghost.ghost_samples - reply.ghost_counted
            reply.ghost_counted = reply.ghost.ghost_samples
            self._longest_ghost = max(self._longest_ghost, reply.ghost_counted)

    def _end(self, event: ReplyDone) -> None:
        if event.outcome == "discarded":
            return
        reply = self._reply(event.reply_id)
        for mismatch in reply.spoken.mismatches():
            self._mismatches[mismatch.kind] += 1
        key = turn_key(event)
        if key not in self._turns:
            self._ended += 1
        turn = self._turns.get(key) or remember(self._turns, key, _Turn(), KEPT)
        turn.heard |= reply.spoken.stop is not None and reply.spoken.stop.heard_text != ""
        if event.outcome == "interrupted" and not reply.by_nobody and not turn.interrupted:
            self._interrupted += 1
            turn.interrupted = True

    def _join(self, before: str, turn_id: str) -> None:
        """The turn `before` was the first part of this one, which counts again if nothing was heard yet."""
        first = self._turns.pop(before)
        if first.heard:
            remember(self._turns, turn_id, first, KEPT)
        else:
            self._ended -= 1
            self._interrupted -= first.interrupted

    def _reply(self, reply_id: str) -> _Reply:
        found = self._replies.get(reply_id)
        return found or remember(self._replies, reply_id, _Reply(), KEPT)


def turn_key(event: Decision) -> str:
    """What projections know a turn by: what was said unasked has only its reply."""
    return event.turn_id or event.reply_id


def _share(part: int, whole: int) -> float | None:
    return part / whole if whole else None


def figures(entries: Iterable[Entry]) -> dict[str, Json]:
    """The figures of a whole timeline."""
    fold = Figures()
    for entry in entries:
        fold.apply(entry)
    return fold.figures()
