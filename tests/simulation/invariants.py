"""What must hold on every timeline, whatever happened. Shared by the core's simulator and the driver's.

`Invariants.see(event, seq)` takes facts and decisions in timeline order and raises
`Violation` at the first one that breaks a rule; `finish()` checks what must hold once all is quiet.
"""

from __future__ import annotations

from agent.conversation import decisions as d
from agent.conversation import events as e
from agent.conversation import reports as r
from agent.conversation.policy import Actions, Interruption
from tests.simulation.owed_word import OwedWord
from tests.simulation.reply_trace import ReplyTrace

TAKING_BACK = (*Interruption().stop_words, "")
"""How a turn may begin that does not go on with the one before."""
AFFIRMATIONS = Actions().affirmations


class Violation(AssertionError):
    """A rule of the conversation was broken."""


class Invariants:
    def __init__(self) -> None:
        self.replies: dict[str, ReplyTrace] = {}
        self.open_turn = ""
        self.continues = ""
        """The turn that the open one continues."""
        self.suspected = False
        self.paused = ""
        self.actions: dict[str, list[str]] = {}
        self.cancels: dict[tuple[str, str], int] = {}
        self.acked: dict[tuple[str, str], int] = {}
        self.results: set[str] = set()
        self.ended_turns: dict[str, str] = {}
        self.answered: set[str] = set()
        self.thinking: dict[str, int] = {}
        """The step that the model of a reply is at."""
        self.calls: dict[str, str] = {}
        """Event ids of calls, by reply and call id; and of results, the same way."""
        self.answers: dict[str, str] = {}
        self.told: set[str] = set()
        """Actions whose tool has answered; only its first answer counts."""
        self.unsettled: set[str] = set()
        """Actions whose result arrived and whose outcome has not been recorded."""
        self.asked: dict[str, bool] = {}
        """Actions that the user was asked to confirm; whether they answered yes."""
        self.keys: dict[str, str] = {}
        self.to_retry: set[str] = set()
        """Started actions that a restart may start once more, under the same key."""
        self.asked_by: dict[str, str] = {}
        self.asked_seq: dict[str, int] = {}
        """The replies that asked, by action, and where."""
        self.owners: dict[str, str] = {}
        """Actions by the reply and call under which their result comes."""
        self.speakers: set[str] = set()
        self.audible: set[str] = set()
        """Devices with a microphone or a loudspeaker."""
        self.focus = ""
        self.present: set[str] = set()
        self.half_dead: dict[str, e.DeviceLink] = {}
        """Devices that lost their commands or their audio."""
        self.by_hand: set[str] = set()
        """Turns that were typed."""
        self.queued: list[str] = []
        self.stop: e.ControlStop | None = None
        """The last one that came."""
        self.cut: e.DeviceCut | None = None
        self.typed: e.TextInput | None = None
        """The text that came last, or was taken from the queue last (`waited`)."""
        self.waited = False
        self.texts: dict[str, e.TextInput] = {}
        self.stopped: set[str] = set()
        """Actions behind whose question somebody who knew of it pressed stop."""
        self.begun: set[str] = set()
        self.heard_last = ""
        """Replies of which something was played, and the one of which something was heard last."""
        self.owed = OwedWord()
        self.counts: dict[str, int] = {}
        self._seq = 0

    # ── plumbing ─────────────────────────────────────────────────────────────────────────

    def see(self, event: e.Event, seq: int = 0) -> None:
        self._seq = seq
        if not isinstance(event, d.Decision):
            self._check_focus()
        self.counts[event.type] = self.counts.get(event.type, 0) + 1
        check = getattr(self, "on_" + event.type.replace(".", "_"), None)
        if check is not None:
            check(event)

    def require(self, condition: bool, message: str) -> None:
        if not condition:
            raise Violation(message)

    def live(self) -> list[str]:
        return [reply_id for reply_id, reply in self.replies.items() if not reply.done]

    def alive(self, reply_id: str, what: str) -> ReplyTrace:
        self.require(reply_id in self.replies, f"{what} for unknown reply {reply_id}")
        reply = self.replies[reply_id]
        self.require(not reply.done, f"{what} for reply {reply_id}, which is over ({reply.done})")
        return reply

    # ── replies ──────────────────────────────────────────────────────────────────────────

    def _new(self, reply_id: str, committed: bool) -> None:
        self.require(not self.live(), f"{reply_id} begins while {self.live()} is live")
        self.replies[reply_id] = ReplyTrace(committed)

    def on_model_start(self, event: d.ModelStart) -> None:
        if event.step == 1:
            if event.reply_id not in self.replies:  # one that is not speculative was released just before
                self._new(event.reply_id, not event.speculative)
            self.replies[event.reply_id].text = event.text
            self.require(
                event.speculative == (self.open_turn == event.turn_id), "speculative exactly while its turn is open"
            )
        self.alive(event.reply_id, "model.start")
        self.require((event.reply_id, "model") not in self.cancels, "a cancelled model starts again")
        self.thinking[event.reply_id] = event.step
        self._whole(event.context)
        self._whole(event.results)

    def _whole(self, ids: tuple[str, ...]) -> None:
        """No exchange is told by half, and nothing twice."""
        self.require(len(set(ids)) == len(ids), f"a prompt names an event twice: {ids}")
        for key, call_id in self.calls.items():
            result_id = self.answers.get(key)
            self.require((call_id in ids) == (result_id in ids), f"a prompt has half of {key}")

    def on_model_done(self, event: e.ModelDone) -> None:
        if self.thinking.get(event.reply_id) == event.step:
            del self.thinking[event.reply_id]

    def on_tool_call(self, event: e.ToolCall) -> None:
        self.calls.setdefault(f"{event.reply_id}:{event.call_id}", event.event_id)

    def on_reply_committed(self, event: d.ReplyCommitted) -> None:
        reply = self.alive(event.reply_id, "reply.committed")
        self.require(not reply.committed, "committed twice")
        self.require(not self.open_turn, "committed while its turn is open")
        self.require(reply.text == self.ended_turns.get(event.turn_id), "committed for other words than the turn's")
        reply.committed = True

    def on_tts_say(self, event: d.TtsSay) -> None:
        if event.reply_id not in self.replies and not event.turn_id:
            self._new(event.reply_id, True)
        reply = self.alive(event.reply_id, "tts.say")
        self.require(event.chunk == len(reply.said), f"chunk {event.chunk} of {event.reply_id} out of order")
        self.owed.said()
        for cause in event.rests_on:
            known = cause in self.results or (event.phase == "claim" and not event.turn_id)
            self.require(known, f"a claim rests on {cause}, which has not arrived")
        reply.said[event.chunk] = event.text

    def on_retrieve_done(self, event: r.RetrieveDone) -> None:
        self.results.update(f"{event.event_id}#{number}" for number in range(1, len(event.passages) + 1))

    def on_tts_chunk(self, event: e.TtsChunk) -> None:
        reply = self.replies.get(event.reply_id)
        if reply is not None and not reply.done:
            reply.chunks[event.chunk] = event

    def on_playback_mark(self, event: e.PlaybackMark) -> None:
        reply = self.replies.get(event.reply_id)
        if reply is not None and not reply.done:
            reply.sent = max(reply.sent, event.sample)

    def on_tts_failed(self, event: e.TtsFailed) -> None:
        reply = self.replies.get(event.reply_id)
        if reply is not None and not reply.done:
            broken = reply.chunks.get(event.chunk)
            reply.said[event.chunk] = broken.text if broken else ""

    def on_playback_release(self, event: d.PlaybackRelease) -> None:
        if event.reply_id not in self.replies:  # not speculative: it is released before it begins
            self._new(event.reply_id, True)
        reply = self.alive(event.reply_id, "playback.release")
        self.require(reply.committed, "a speculative reply was released")
        self.require(not reply.released, "released twice")
        self.require(not self.open_turn, "released while the user has the floor")
        reply.released, reply.since_seq = True, self._seq

    def on_playback_start(self, event: e.PlaybackStarted) -> None:
        reply = self.replies.get(event.reply_id)
        self.require(reply is not None and reply.released, f"{event.reply_id} plays without release")
        self.begun.add(event.reply_id)

    def on_playback_pause(self, event: d.PlaybackPause) -> None:
        self.alive(event.reply_id, "playback.pause")
        self.require(not self.paused, "paused twice")
        self.paused = event.reply_id

    def on_playback_resume(self, event: d.PlaybackResume) -> None:
        self.alive(event.reply_id, "playback.resume")
        self.require(self.paused == event.reply_id, "resumed without a pause")
        self.require(not self.suspected, "resumed under suspicion")
        self.require(0 <= event.sample <= self.replies[event.reply_id].sent, "resumed ahead of what was sent")
        self.paused = ""

    def on_playback_stop(self, event: d.PlaybackStop) -> None:
        reply = self.alive(event.reply_id, "playback.stop")
        self.require(not reply.stopped, "stopped twice")
        self.require(not (event.method == "complete" and self.suspected), "completed under suspicion")
        reply.stopped = True
        said = " ".join(reply.said[i] for i in sorted(reply.said))
        reply.heard = event.heard_text
        self.heard_last = event.reply_id if event.heard_text else self.heard_last
        heard = event.heard_text.replace(" ", "")
        if event.method == "shown":
            self.require(self.focus not in self.speakers, "the live device has a loudspeaker, so it was not only shown")
            return
        self.require(len(heard) <= len(reply.audible()), f"heard {event.heard_text!r}, sent {reply.audible()!r}")
        if event.method != "complete":
            self.require(
                said.replace(" ", "").startswith(heard),
                f"heard {event.heard_text!r} is no prefix of {said!r}",
            )
        if self.paused == event.reply_id:
            self.paused = ""

    def on_reply_done(self, event: d.ReplyDone) -> None:
        reply = self.alive(event.reply_id, "reply.done")
        reply.done = event.outcome
        stopped = event.reply_id not in self.thinking or (event.reply_id, "model") in self.cancels
        self.require(stopped, f"{event.reply_id} is over and its model was not cancelled")
        self.require((event.outcome == "discarded") == (not reply.committed), "discarded exactly if never committed")
        self.require(reply.stopped or event.outcome == "discarded", "done without playback.stop")
        if event.turn_id and event.outcome != "discarded":
            self.answered.add(event.turn_id)
        if self.paused == event.reply_id:
            self.paused = ""

    # ── turns ────────────────────────────────────────────────────────────────────────────

    def on_turn_start(self, event: d.TurnStart) -> None:
        self.require(not self.open_turn, f"{event.turn_id} starts inside {self.open_turn}")
        self.require(not self.live(), f"turn {event.turn_id} opens while reply {self.live()} is live")
        self.continues = event.continues
        if event.continues:
            self.counts["turn that continues"] = self.counts.get("turn that continues", 0) + 1
            answers = [x for x in self.replies.values() if x.text == self.ended_turns[event.continues]]
            self.require(not answers[-1].heard, f"{event.turn_id} continues a turn whose answer was heard")
        self.open_turn = event.turn_id

    def on_turn_end(self, event: d.TurnEnd) -> None:
        self.require(self.open_turn == event.turn_id, f"{event.turn_id} ends but {self.open_turn!r} is open")
        self.require(event.turn_id not in self.ended_turns, "a turn ended twice")
        self.open_turn = ""
        if event.evidence["control"] in ("typed", "card"):
            self.by_hand.add(event.turn_id)
        before, first = self.ended_turns.get(self.continues, ""), event.text.split(" ")[0]
        goes_on = event.text.startswith(before) or first in TAKING_BACK
        self.require(goes_on or event.evidence["control"] == "typed", f"{event.text!r} does not go on with {before!r}")
        if event.joins:
            self.require(event.joins == self.continues and event.text.startswith(before), "it joins another turn")
        elif self.continues:
            takes_back = first.lower().strip(".,!?") in TAKING_BACK
            self.require(takes_back, f"{event.text!r} does not say that it goes on")
        self.continues = ""
        self.ended_turns[event.turn_id] = event.text
        self.owed.turn_ended(event)

    # ── interruption and cancellation ────────────────────────────────────────────────────

    def on_asr_partial(self, event: e.AsrPartial) -> None:
        self.owed.heard(event.text)

    def on_interruption_suspected(self, event: d.InterruptionSuspected) -> None:
        self.alive(event.reply_id, "suspicion")
        self.require(not self.suspected, "suspected twice")
        self.suspected = True
        if event.by.startswith("device:") and self.cut is not None:
            self.require(self._meant(self.cut, event.reply_id), f"{event.reply_id} pauses for {self.cut}")

    def _meant(self, cut: e.DeviceCut, reply_id: str) -> bool:
        if cut.played is not None and cut.played.reply_id == reply_id:
            return True
        if cut.reply_id:
            return cut.reply_id == reply_id
        return not 0 < cut.seen_seq < self.replies[reply_id].since_seq

    def on_device_cut(self, event: e.DeviceCut) -> None:
        self.cut = event

    def on_interruption_confirmed(self, event: d.InterruptionConfirmed) -> None:
        reply, stop = self.alive(event.reply_id, "confirmation"), self.stop
        self.suspected = False
        self.owed.confirmed(event.evidence, answer=bool(reply.text))
        if event.evidence == "stop" and stop is not None:
            heard = stop.reply_id == event.reply_id or (stop.played and stop.played.reply_id == event.reply_id)
            saw = not stop.reply_id and not 0 < stop.seen_seq < reply.since_seq
            self.require(bool(heard) or saw, f"{event.reply_id} is stopped by {stop}, which means another one")
        if event.evidence == "typed" and self.typed is not None and not self.waited:
            late = event.reply_id in self.begun and 0 < self.typed.seen_seq < reply.since_seq
            self.require(not late, f"{event.reply_id} is cut off by {self.typed}, whose sender did not know of it")
        if event.evidence == "typed" and self.waited:
            self.require(bool(reply.said), f"{event.reply_id} is cut off by what waited, before it said anything")

    def on_control_stop(self, event: e.ControlStop) -> None:
        self.stop = event
        open_ones = [key for key, steps in self.actions.items() if steps[-1] == "proposed" and key in self.asked]
        if not event.reply_id:
            self.stopped.update(key for key in open_ones if not 0 < event.seen_seq < self.asked_seq[key])

    def on_interruption_dismissed(self, event: d.InterruptionDismissed) -> None:
        self.require(self.suspected, "dismissed without suspicion")
        self.suspected = False
        if event.evidence == "undo" and self.cut is not None:
            self.require(self._meant(self.cut, event.reply_id), f"{event.reply_id} goes on for {self.cut}")

    def on_cancel_requested(self, event: d.CancelRequested) -> None:
        key = (event.reply_id, event.target)
        self.cancels[key] = self.cancels.get(key, 0) + 1
        self.require(self.cancels[key] == 1, f"{key} cancelled twice")

    def on_cancel_ack(self, event: e.CancelAck) -> None:
        key = (event.reply_id, event.target)
        self.acked[key] = self.acked.get(key, 0) + 1

    def on_core_error(self, event: d.Complaint) -> None:
        if event.code == "cancel.timeout":
            key = (event.reply_id, event.message.split()[0])
            self.acked.setdefault(key, 1)

    # ── tools and actions ────────────────────────────────────────────────────────────────

    def on_tool_result(self, event: e.ToolResult) -> None:
        self.results.add(event.event_id)
        key = f"{event.reply_id}:{event.call_id}"
        if not event.corrects and key in self.calls:
            self.answers.setdefault(key, event.event_id)
            action_id = self.owners.get(key, key)
            last = self.actions.get(action_id, [""])[-1]
            if action_id not in self.told and (last == "started" or (last, event.error_class) == ("unknown", "")):
                self.unsettled.add(action_id)
            if last in ("started", "unknown"):
                self.told.add(action_id)

    def on_tool_start(self, event: d.ToolStart) -> None:
        self.alive(event.reply_id, "tool.start")
        self.require((event.reply_id, "model") not in self.cancels, "a tool starts for a cancelled model")

    def _action(self, action_id: str, step: str, allowed_after: tuple[str, ...]) -> None:
        steps = self.actions.setdefault(action_id, [])
        last = steps[-1] if steps else ""
        self.require(last in allowed_after, f"action {action_id} goes from {last!r} to {step!r}")
        steps.append(step)

    def on_action_proposed(self, event: d.ActionProposed) -> None:
        self.require(self.alive(event.reply_id, "proposal").committed, "a speculative reply proposed an action")
        self._action(event.action_id, "proposed", ("",))
        if event.ask:
            self.asked[event.action_id] = False
            self.asked_by[event.action_id] = event.reply_id
            self.asked_seq[event.action_id] = self._seq
            self.answers.setdefault(f"{event.reply_id}:{event.call_id}", event.event_id)

    def on_control_confirm(self, event: e.ControlConfirm) -> None:
        known = event.action_id in self.asked and not 0 < event.seen_seq < self.asked_seq[event.action_id]
        if event.accept and known:
            self.asked[event.action_id] = True

    def on_action_confirmed(self, event: d.ActionConfirmed) -> None:
        if event.action_id in self.asked:
            words = self.ended_turns.get(event.turn_id, "")
            self.require(event.by != "policy", "policy confirmed what the user is asked about")
            said_yes = words.lower().replace(",", "").strip(".") in AFFIRMATIONS
            self.require(self.asked[event.action_id] or said_yes, f"confirmed by {words!r}")
            asking = self.replies[self.asked_by[event.action_id]]
            heard = asking.done == "completed"
            if event.by == "typed" and self.typed is not None:
                knew = not 0 < self.typed.seen_seq < self.asked_seq[event.action_id]
                self.require(knew, f"confirmed by {self.typed}, whose sender did not know of the question")
            self.require(heard or event.by not in ("voice", "typed"), "confirmed in words before it was heard")
            self.require(event.action_id not in self.stopped, "confirmed behind a stop")
            before = self.replies[self.heard_last].said.values() if self.heard_last else ()
            answers = any(text.endswith(Actions().question) for text in before)
            self.require(answers or event.by not in ("voice", "typed"), f"{words!r} answers something else")
        else:
            self.require(not self.out_of_control(event.turn_id), "policy confirmed what nobody could have stopped")
        self._action(event.action_id, "confirmed", ("proposed",))

    def on_action_rejected(self, event: d.ActionRejected) -> None:
        self._action(event.action_id, "rejected", ("", "proposed", "confirmed"))

    def on_action_started(self, event: d.ActionStarted) -> None:
        first_key = self.keys.setdefault(event.action_id, event.idempotency_key)
        self.require(first_key == event.idempotency_key, "an action starts again under another key")
        if self.actions.get(event.action_id, [""])[-1] == "started":
            self.require(event.action_id in self.to_retry, f"{event.action_id} starts twice")
            self.to_retry.discard(event.action_id)
            return
        reply = self.alive(event.reply_id, "ghost action")
        self.require(reply.committed, "ghost action of a speculative reply")
        self.require(not self.suspected, "an action started while an interruption was suspected")
        self.require((event.reply_id, "model") not in self.cancels, "an action starts for a cancelled model")
        self._action(event.action_id, "started", ("confirmed",))
        if event.action_id in self.asked:
            key = f"{event.reply_id}:{event.call_id}"
            self.owners[key] = event.action_id
            self.calls.setdefault(key, event.event_id)

    def on_action_committed(self, event: d.ActionCommitted) -> None:
        self._action(event.action_id, "committed", ("started", "unknown"))
        self.unsettled.discard(event.action_id)
        self.require(event.late or not self.replies[event.reply_id].done, "the end of an orphan is not called late")

    def on_action_failed(self, event: d.ActionFailed) -> None:
        self._action(event.action_id, "failed", ("started", "unknown"))
        self.unsettled.discard(event.action_id)

    def on_action_unknown(self, event: d.ActionUnknown) -> None:
        self._action(event.action_id, "unknown", ("started",))
        self.unsettled.discard(event.action_id)

    # ── steering and devices ─────────────────────────────────────────────────────────────

    def on_steering_queued(self, event: d.SteeringQueued) -> None:
        self.queued.append(event.queued_id)

    def on_text_input(self, event: e.TextInput) -> None:
        self.texts[event.event_id], self.typed, self.waited = event, event, False

    def on_steering_applied(self, event: d.SteeringApplied) -> None:
        self.typed, self.waited = self.texts[event.queued_id], True
        self.require(self.queued[:1] == [event.queued_id], "steering applied out of order or twice")
        self.queued.pop(0)

    def on_session_closed(self, event: e.SessionClosed) -> None:
        self.queued.clear()
        self._nobody()

    def on_session_resumed(self, event: e.SessionResumed) -> None:
        self._nobody()
        self.to_retry = {action_id for action_id, steps in self.actions.items() if steps[-1] == "started"}

    def _nobody(self) -> None:
        self.speakers.clear()
        self.audible.clear()
        self.focus = ""
        self.present.clear()
        self.half_dead.clear()

    def out_of_control(self, turn_id: str) -> bool:
        dead = {key for key, link in self.half_dead.items() if not link.control or turn_id not in self.by_hand}
        return bool(self.present) and self.present <= dead

    def on_device_link(self, event: e.DeviceLink) -> None:
        self.half_dead[event.device_id] = event
        if event.control and event.media:
            del self.half_dead[event.device_id]

    def on_device_joined(self, event: e.DeviceJoined) -> None:
        self.present.add(event.device_id)
        (self.speakers.add if event.speaker else self.speakers.discard)(event.device_id)
        (self.audible.add if event.speaker or event.microphone else self.audible.discard)(event.device_id)

    def on_device_left(self, event: e.DeviceLeft) -> None:
        self.speakers.discard(event.device_id)
        self.audible.discard(event.device_id)
        self.present.discard(event.device_id)
        self.half_dead.pop(event.device_id, None)

    def on_device_focused(self, event: d.DeviceFocused) -> None:
        self.require(event.device_id != self.focus, f"{self.focus} has the focus, and gets it")
        self.focus = event.device_id

    def _check_focus(self) -> None:
        """Between two facts: a device with sound is live whenever there is one."""
        if self.audible:
            self.require(self.focus in self.audible, f"{self.focus or 'nobody'} is live, of {self.audible}")
        else:
            self.require(not self.focus, f"{self.focus} is live without sound")

    def open_actions(self) -> list[str]:
        """Actions that wait for something or go on."""
        return [key for key, steps in self.actions.items() if steps[-1] in ("proposed", "confirmed", "started")]

    # ── the end ──────────────────────────────────────────────────────────────────────────

    def finish(self) -> None:
        """Nothing is under way any more: nothing may be left hanging."""
        self.require(not self.live(), f"replies {self.live()} never ended")
        self.require(not self.open_turn, f"turn {self.open_turn} never ended")
        self.require(not self.suspected, "a suspicion was never resolved")
        self.require(not self.paused, "playback stays paused for ever")
        self.require(not self.owed.turn_id or self.focus not in self.speakers, "who broke in waits in silence")
        self.require(not self.unsettled, f"the outcome of {self.unsettled} is not recorded")
        self.require(not self.queued, f"steering {self.queued} was never applied")
        missing = [key for key in self.cancels if key not in self.acked]
        self.require(not missing, f"never acked: {missing}")
        self.require(not self.open_actions(), f"actions {self.open_actions()} are in progress for ever")
        for turn_id, text in self.ended_turns.items():
            self.require(not text or turn_id in self.answered, f"turn {turn_id} ({text!r}) was never answered")
