"""Metrics of a session, derived from its timeline.

voice_agent.turns            counter   outcome; one that was ended too early and went on is one turn
voice_agent.response         ms        the user's last sample → the first sample out
voice_agent.interruptions    counter   verdict: suspected, confirmed, dismissed
voice_agent.cancel.ack       ms        target: cancel.requested → cancel.ack
voice_agent.ghost_actions    counter   must stay at 0
voice_agent.late_commits     counter
voice_agent.errors           counter   code
"""

from __future__ import annotations

from opentelemetry.metrics import Histogram, Meter

from agent.conversation import decisions as d
from agent.conversation import events as e
from agent.telemetry.turns import EndedTurn, Turns
from agent.timeline.entry import Entry
from agent.timeline.projections.bounded import remember
from agent.timeline.projections.effects import Effects

KEPT = 256
BUCKETS_MS = (1, 2, 5, 10, 20, 50, 100, 200, 350, 500, 750, 1_000, 2_000, 5_000)


class Instruments:
    """Shared by the sessions of a process."""

    def __init__(self, meter: Meter) -> None:
        self.turns = meter.create_counter("voice_agent.turns")
        self.response = _milliseconds(meter, "voice_agent.response")
        self.interruptions = meter.create_counter("voice_agent.interruptions")
        self.ack = _milliseconds(meter, "voice_agent.cancel.ack")
        self.ghost_actions = meter.create_counter("voice_agent.ghost_actions")
        self.late_commits = meter.create_counter("voice_agent.late_commits")
        self.errors = meter.create_counter("voice_agent.errors")


def _milliseconds(meter: Meter, name: str) -> Histogram:
    return meter.create_histogram(name, unit="ms", explicit_bucket_boundaries_advisory=BUCKETS_MS)


class Meters:
    """A fold over one session's entries, in order, which counts as it goes."""

    def __init__(self, instruments: Instruments) -> None:
        self._to = instruments
        self._effects = Effects()
        self._turns = Turns()
        self._user_end_us: int | None = None
        self._turn_end_us: dict[str, int] = {}
        """When the user had stopped, by turn, until its answer is heard."""
        self._turn_of: dict[str, str] = {}
        self._requested_us: dict[str, int] = {}

    def apply(self, entry: Entry) -> None:
        event, now_us = entry.event, entry.now_us
        self._count_effects(entry)
        self._time_response(event, now_us)
        self._time_cancel(event, now_us)
        self._count_turns(self._turns.apply(event))
        match event:
            case d.InterruptionSuspected() | d.InterruptionConfirmed() | d.InterruptionDismissed():
                self._to.interruptions.add(1, {"verdict": event.type.rpartition(".")[2]})
            case e.Fault() | d.Complaint():
                self._to.errors.add(1, {"code": event.code})

    def close(self) -> None:
        """The timeline is over, or not followed any further."""
        self._count_turns(self._turns.flush())

    def _count_turns(self, ended: list[EndedTurn]) -> None:
        for turn in ended:
            self._to.turns.add(1, {"outcome": turn.outcome})
            if turn.response_ms is not None:
                self._to.response.record(turn.response_ms)

    def _time_response(self, event: e.Event, now_us: int) -> None:
        match event:
            case e.SpeechStopped():
                self._user_end_us = event.end_us
            case e.TextInput():
                self._user_end_us = now_us
            case d.TurnEnd() if event.text and self._user_end_us is not None:
                remember(self._turn_end_us, event.turn_id, self._user_end_us, KEPT)
                self._user_end_us = None
            case d.ModelStart() | d.PlaybackRelease():
                remember(self._turn_of, event.reply_id, event.turn_id, KEPT)
            case e.PlaybackStarted():
                end_us = self._turn_end_us.pop(self._turn_of.get(event.reply_id, ""), None)
                if end_us is not None:
                    self._turns.responded(self._turn_of[event.reply_id], (now_us - end_us) / 1_000)

    def _time_cancel(self, event: e.Event, now_us: int) -> None:
        match event:
            case d.CancelRequested():
                remember(self._requested_us, f"{event.reply_id}|{event.target}", now_us, KEPT)
            case e.CancelAck():
                since_us = self._requested_us.pop(f"{event.reply_id}|{event.target}", None)
                if since_us is not None:
                    target = event.target.partition(":")[0]
                    self._to.ack.record((now_us - since_us) / 1_000, {"target": target})

    def _count_effects(self, entry: Entry) -> None:
        ghosts, late = self._effects.ghost_actions, self._effects.late_commits
        self._effects.apply(entry)
        if more := self._effects.ghost_actions - ghosts:
            self._to.ghost_actions.add(more)
        if more := self._effects.late_commits - late:
            self._to.late_commits.add(more)
