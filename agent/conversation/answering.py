"""The agent's side of the conversation: its one reply, the tools it runs, what it cancels.

There is at most one live reply: speculative while the user's turn is still open, committed
afterwards. Facts about any other reply are recorded by the driver and ignored here, except
the outcome of an action that had started: that is always told.
"""

from __future__ import annotations

from typing import Literal

from agent.conversation import decisions as d
from agent.conversation import events as e
from agent.conversation import ladder
from agent.conversation.acting import Acting
from agent.conversation.actions import Action
from agent.conversation.announcements import Announcements, SayAgain
from agent.conversation.chunker import Chunker
from agent.conversation.context import Context
from agent.conversation.deadlines import Deadlines
from agent.conversation.orphans import DEADLINE, Orphans, record_outcome
from agent.conversation.outbox import Outbox
from agent.conversation.policy import Actions, Replies
from agent.conversation.presence import Presence
from agent.conversation.proposals import Proposals
from agent.conversation.reply import Correction, Reply
from agent.conversation.watch import Watch
from agent.conversation.wording import APOLOGY, NOTHING_TO_SAY, TOO_LONG, UNSURE


class Answering:
    """Owns the live reply. Every method is one step of the core at `now_us`."""

    def __init__(self, policy: Replies, presence: Presence, outbox: Outbox, deadlines: Deadlines) -> None:
        self.policy = policy
        self.reply: Reply | None = None
        self.paused = False
        """While an interruption is suspected: nothing is played and no action starts."""
        self.proposals = Proposals(outbox, deadlines)
        self._presence = presence
        self._out = outbox
        self._deadlines = deadlines
        self._watch = Watch(policy, deadlines)
        self.acting = Acting(policy, self.proposals, outbox, deadlines)
        self.replies = 0
        self.context = Context(policy.context_events)
        self.orphans = Orphans(outbox, self.context, deadlines, self.tell)
        self._announcements = Announcements()

    @property
    def idle(self) -> bool:
        """Nothing is said, asked or done, or waits for it."""
        return self.reply is None and not (self._announcements or self.proposals.waiting or self.orphans)

    def identify(self, session_id: str) -> None:
        self.acting.session_id = session_id

    def configure(self, policy: Replies, actions: Actions) -> None:
        self.policy = self.acting.policy = self._watch.policy = policy
        self.proposals.policy = self.orphans.policy = actions
        self.context.set_limit(policy.context_events)

    # ── the life of a reply ──────────────────────────────────────────────────────────────

    def begin(
        self, turn_id: str, text: str, *, understood: bool, speculative: bool, now_us: int, by_hand: bool = False
    ) -> None:
        """Start to answer `text`, said or written (`by_hand`)."""
        reply = self._new(turn_id, text, understood=understood, committed=not speculative, by_hand=by_hand)
        if not speculative:
            self._release(reply, now_us)
        self._start_step(reply, now_us)

    def take_turn(self, turn_id: str, text: str, *, understood: bool, by: str, now_us: int) -> None:
        """The user's turn has ended with `text`: answer it, or act on what it confirms."""
        if self.reply is not None and not self.answers(text, understood=understood):
            self.discard(now_us)
        verdict = self.proposals.verdict(text, understood=understood)
        if verdict == "yes":
            self.carry_out(turn_id, text, by, now_us)
            return
        declined = verdict == "no"
        self.proposals.withdraw("refused" if declined else "the user moved on")
        if declined:
            self.discard(now_us)
            reply = self._new(turn_id, text, understood=understood, committed=True)
            self._release(reply, now_us)
            self._say(reply, self.proposals.policy.declined, "claim", (), now_us)
        elif self.reply is not None:
            self.commit(now_us)
        else:
            self.begin(turn_id, text, understood=understood, speculative=False, now_us=now_us, by_hand=by != "voice")

    def carry_out(self, turn_id: str, text: str, by: str, now_us: int) -> None:
        """The user confirmed the action that waits: do it, and answer with what came of it."""
        self.discard(now_us)
        action = self.proposals.take()
        reply = self._new(turn_id, text, understood=True, committed=True)
        self._release(reply, now_us)
        action.reply_id, action.turn_id = reply.reply_id, turn_id
        reply.calls[action.call.call_id] = action
        reply.step_calls.append(action.call.call_id)
        action.started_id = self.acting.start(reply, action, by, now_us)
        reply.results.append(action.started_id)

    def tell(self, text: str, cause_id: str) -> None:
        """Say this unasked as soon as nobody has the floor: a timer that rings, a correction."""
        self._announcements.add(text, cause_id)

    def announce(self, now_us: int) -> None:
        """Nobody has the floor: say what has waited longest, if anything, and what was asked before it once more."""
        if not self._announcements:
            return
        text, rests_on = self._announcements.take()
        reply = self._new("", "", understood=True, committed=True)
        self._release(reply, now_us)
        self._say(reply, text, "claim", rests_on, now_us)
        if question := self.proposals.ask_again(reply.reply_id):
            self._say(reply, question, "claim", (), now_us)

    def answers(self, text: str, *, understood: bool) -> bool:
        """Whether the live reply answers just this."""
        return self.reply is not None and (self.reply.text, self.reply.understood) == (text, understood)

    def commit(self, now_us: int) -> None:
        """The turn that the speculative reply answers has ended with the text it was begun for."""
        reply = self.reply
        if reply is None or reply.committed:
            return
        reply.committed = True
        self._out.add(d.ReplyCommitted(turn_id=reply.turn_id, reply_id=reply.reply_id))
        self._release(reply, now_us)
        self._advance_actions(reply, now_us)
        self._proceed(reply, now_us)

    def discard(self, now_us: int) -> None:
        """The user goes on: the speculative reply never was."""
        reply = self.reply
        if reply is None or reply.committed:
            return
        self._stop_work(reply, "turn went on", now_us, speech_too=True)
        self._end(reply, "discarded", now_us)

    def interrupt(self, by: str, heard_samples: int, method: ladder.Heard, now_us: int, *, say_again: SayAgain) -> str:
        """Climb the ladder for the live, committed reply. Returns the event id of its `playback.stop`.

        `say_again`: an announcement of which this is true waits for its turn once more.
        """
        reply = self.reply
        if reply is None:
            return ""
        targets = ladder.in_flight(reply)
        stop = ladder.stop_playback(reply, heard_samples, method)
        stop_id = self._out.add(stop)
        self._stop_work(reply, "interrupted", now_us, speech_too=True)
        record_id, _ = [self._out.add(rung) for rung in ladder.record(reply, by, stop.heard_text, targets)]
        if not reply.text:
            self._announcements.cut(reply.playback.said[0], say_again, heard=stop.heard_text)
        for correction in reply.corrections:
            if correction.owed(reply.playback, heard_samples):
                self.tell(correction.text, correction.cause_id)
        self._forget(reply, stop_id)
        self.orphans.note(reply.reply_id, record_id)
        return stop_id

    def link_changed(self, now_us: int) -> None:
        """A device has its commands back, or left: what was held may start."""
        if self.reply is not None:
            self._advance_actions(self.reply, now_us)

    def pause(self) -> None:
        """Rung 1, provisionally."""
        if self.reply is not None and not self.paused:
            self.paused = True
            self.reply.playback.pause()
            self._out.add(d.PlaybackPause(turn_id=self.reply.turn_id, reply_id=self.reply.reply_id))

    def resume(self, heard_samples: int, at: str, now_us: int) -> None:
        """It was no interruption: play on from where the reply stopped being audible."""
        reply = self.reply
        if reply is None or not self.paused:
            return
        self.paused = False
        sample = reply.playback.resume_point(heard_samples, at)
        reply.playback.resume(sample)
        self._watch.playback(reply, now_us)
        self._out.add(d.PlaybackResume(turn_id=reply.turn_id, reply_id=reply.reply_id, sample=sample))
        self._advance_actions(reply, now_us)
        self._proceed(reply, now_us)

    # ── facts ────────────────────────────────────────────────────────────────────────────

    def on_token(self, fact: e.ModelToken, now_us: int) -> None:
        reply = self._live(fact.reply_id)
        if reply is None or fact.step != reply.step or not reply.model_running:
            return
        self._watch.model(now_us)
        text = fact.text[: max(0, self.policy.max_reply_chars - reply.chars)]
        reply.chars += len(text)
        if reply.step_calls or reply.asking:
            reply.held_text += text
            return
        self._say_claims(reply, reply.chunker.push(text), now_us)

    def on_call(self, fact: e.ToolCall, now_us: int) -> None:
        reply = self._live(fact.reply_id)
        if reply is None or fact.step != reply.step or not reply.model_running or fact.call_id in reply.calls:
            return
        if len(reply.calls) >= self.policy.max_calls:
            too_many = f"more than {self.policy.max_calls} tool calls in one reply; this one is left out"
            self._out.add(d.Complaint(reply_id=reply.reply_id, code="limit.calls", message=too_many))
            return
        self._watch.model(now_us)
        for piece in reply.chunker.flush():
            self._say(reply, piece, "preface", reply.result_ids, now_us)
        reply.calls[fact.call_id] = Action(fact, reply.turn_id, reply.reply_id)
        reply.step_calls.append(fact.call_id)
        reply.results.append(fact.event_id)
        self._advance_actions(reply, now_us)

    def on_model_done(self, fact: e.ModelDone, now_us: int) -> None:
        reply = self._live(fact.reply_id)
        if reply is None or fact.step != reply.step or not reply.model_running:
            return
        reply.model_running = False
        self._watch.model_ended()
        if fact.error:
            self._give_up(reply, fact.apology or APOLOGY, now_us)
        elif not reply.step_calls:
            self._say_claims(reply, reply.chunker.flush(), now_us)
        self._proceed(reply, now_us)

    def on_result(self, fact: e.ToolResult, now_us: int) -> None:
        reply = self._live(fact.reply_id)
        if fact.corrects:
            self._correct(fact, now_us)
        elif not self.orphans.settle(fact) and reply is not None and fact.call_id in reply.calls:
            action = reply.calls[fact.call_id]
            if action.state != "started":
                return
            self._deadlines.clear(action.target)
            action.settle(fact)
            reply.results.append(fact.event_id)
            record_outcome(action, self._out, late=False)
            self._proceed(reply, now_us)

    def on_chunk(self, fact: e.TtsChunk, now_us: int) -> None:
        if reply := self._live(fact.reply_id):
            reply.playback.synthesised(fact)
            self._watch.playback(reply, now_us)
            self._proceed(reply, now_us)

    def on_tts_failed(self, fact: e.TtsFailed, now_us: int) -> None:
        if reply := self._live(fact.reply_id):
            reply.playback.failed(fact.chunk)
            self._status(reply, "failed", fact.message)
            self._proceed(reply, now_us)

    def on_started(self, fact: e.PlaybackStarted) -> None:
        if (reply := self._live(fact.reply_id)) and reply.playback.state == "waiting":
            reply.playback.started()
            self._status(reply, "speaking")

    def on_mark(self, fact: e.PlaybackMark, now_us: int) -> None:
        if reply := self._live(fact.reply_id):
            reply.playback.mark(fact.sample)
            self._watch.playback(reply, now_us)
            self._proceed(reply, now_us)

    def on_ack(self, fact: e.CancelAck) -> None:
        self._watch.acked(fact.reply_id, fact.target)

    def on_deadline(self, name: str, now_us: int) -> None:
        """A deadline of this side passed: `preface`, `model`, `tool:…` or `cancel:…`."""
        if name.startswith("cancel:"):
            self._out.add(self._watch.ack_late(name))
            return
        reply = self.reply
        if name.startswith(DEADLINE):
            self.orphans.overdue(name)
        elif reply is None:
            return
        elif name == "preface" and reply.thinking and not reply.playback.said:
            self._status(reply, "working")
            self._say(reply, self.policy.preface_text, "preface", (), now_us)
        elif name == "dead_air" and reply.thinking:
            self._break_silence(reply, now_us)
        elif name == "stalled" and not self._presence and reply.playback.all_synthesised:
            self._watch.playback(reply, now_us)  # nobody plays it: it is shown once it is whole
        elif name == "stalled" and reply.committed and not self.paused and not reply.playback.all_sent:
            (self._give_up_playback if reply.playback.ready and self._presence else self._give_up_voice)(reply, now_us)
        elif name == "model" and reply.model_running:
            self._out.add(self._watch.late(reply, "model.timeout"))
            self._give_up(reply, TOO_LONG, now_us)
            self._proceed(reply, now_us)
        elif name.startswith("tool:"):
            self._tool_timed_out(reply, name, now_us)

    # ── steps of the model and its tools ─────────────────────────────────────────────────

    def _start_step(self, reply: Reply, now_us: int) -> None:
        reply.step += 1
        reply.step_calls = []
        reply.model_running = True
        self._watch.model(now_us)
        start = d.ModelStart(
            turn_id=reply.turn_id,
            reply_id=reply.reply_id,
            step=reply.step,
            text=reply.text,
            understood=reply.understood,
            context=reply.context,
            results=tuple(reply.results),
            speculative=not reply.committed,
        )
        self.context.asked(self._out.add(start))

    def _advance_actions(self, reply: Reply, now_us: int) -> None:
        unsafe = self._presence.out_of_control or (self._presence.unheard and not reply.by_hand)
        for question in self.acting.advance(reply, now_us, held=self.paused or unsafe):
            self._say(reply, question, "claim", (), now_us)

    def _tool_timed_out(self, reply: Reply, target: str, now_us: int) -> None:
        action = next((a for a in reply.calls.values() if a.target == target and not a.over), None)
        if action is None:
            return
        self._out.add(self._watch.late(reply, "tool.timeout" if action.state == "started" else "action.held"))
        if action.write and action.state == "started":
            action.promised = True
            self.orphans.add(action, now_us)
            reply.step_calls.remove(action.call.call_id)
        self._give_up(reply, UNSURE if action.promised else TOO_LONG, now_us)
        self._proceed(reply, now_us)

    # ── saying, failing, ending ──────────────────────────────────────────────────────────

    def _proceed(self, reply: Reply, now_us: int) -> None:
        """Whatever the last fact made possible: the next step, or the end."""
        if reply is not self.reply or reply.thinking:
            return
        if reply.step_calls and not reply.failed:
            if reply.step >= self.policy.max_steps:
                self._give_up(reply, APOLOGY, now_us)
            else:
                pieces, reply.held_text = reply.chunker.push(reply.held_text) + reply.chunker.flush(), ""
                self._say_claims(reply, pieces, now_us)
                self._start_step(reply, now_us)
                return
        self._say_corrections(reply, now_us)
        if not reply.playback.said:
            self._say(reply, NOTHING_TO_SAY, "claim", (), now_us)
        if reply.committed and not self.paused and (method := self._delivered(reply)):
            sent = reply.playback.total_samples if method == "complete" else 0
            stop_id = self._out.add(ladder.stop_playback(reply, sent, method))
            self._end(reply, "failed" if reply.failed or reply.playback.lost_text else "completed", now_us, stop_id)

    def _delivered(self, reply: Reply) -> Literal["", "complete", "shown"]:
        """How all of the reply has reached the user, if it has."""
        if reply.playback.all_sent:
            return "complete"
        return "shown" if not self._presence and reply.playback.all_synthesised else ""

    def _say(self, reply: Reply, text: str, phase: e.Phase, rests_on: tuple[str, ...], now_us: int) -> int:
        chunk = reply.playback.say(text, phase, rests_on)
        self._watch.playback(reply, now_us)
        ids = {"turn_id": reply.turn_id, "reply_id": reply.reply_id}
        self._out.add(d.TtsSay(chunk=chunk, text=text, phase=phase, rests_on=rests_on, **ids))
        return chunk

    def _say_claims(self, reply: Reply, pieces: list[str], now_us: int) -> None:
        for piece in pieces:
            self._say(reply, piece, "claim", reply.result_ids + reply.grounds.of(piece), now_us)

    def _give_up(self, reply: Reply, text: str, now_us: int) -> None:
        """This will not become the answer: say so, begin nothing more, and let only started actions end."""
        if not reply.failed:
            reply.failed = True
            self._status(reply, "failed")
            self._stop_work(reply, "failed", now_us)
        if all(said.text != text for said in reply.playback.said):
            self._say(reply, text, "claim", (), now_us)

    def _break_silence(self, reply: Reply, now_us: int) -> None:
        """The dead-air watchdog: who waits is told why."""
        self._watch.silence(now_us)
        if reply.committed and not self.paused and reply.playback.all_sent:
            self._status(reply, "working")
            self._say(reply, self.policy.dead_air_text, "preface", (), now_us)

    def _give_up_playback(self, reply: Reply, now_us: int) -> None:
        """Nobody takes the audio: the reply ends with what was taken, and the conversation goes on."""
        self._out.add(self._watch.late(reply, "playback.stalled"))
        stop_id = self._out.add(ladder.stop_playback(reply, reply.playback.sent_samples, "sent"))
        self._stop_work(reply, "failed", now_us, speech_too=True)
        self._end(reply, "failed", now_us, stop_id)

    def _give_up_voice(self, reply: Reply, now_us: int) -> None:
        """The voice does not come: what it was to say is shown, and the rest goes on."""
        self._out.add(self._watch.late(reply, "tts.timeout"))
        reply.playback.give_up()
        self._proceed(reply, now_us)

    def _correct(self, fact: e.ToolResult, now_us: int) -> None:
        """A result turned out wrong: who was or will be told something resting on it is told so."""
        reply = self.reply
        text = f"Correction: {fact.message}"
        if reply is not None and fact.corrects in reply.result_ids:
            reply.corrections.append(Correction(fact.corrects, text, fact.event_id))
            if not reply.thinking:
                self._say_corrections(reply, now_us)
        elif fact.corrects in self.context:
            self.tell(text, fact.event_id)

    def _say_corrections(self, reply: Reply, now_us: int) -> None:
        """Behind the last claim, so that none that is wrong follows."""
        for correction in reply.corrections:
            if correction.chunk is None and reply.playback.claims(correction.corrects):
                correction.chunk = self._say(reply, correction.text, "claim", (correction.cause_id,), now_us)

    def _new(self, turn_id: str, text: str, *, understood: bool, committed: bool, by_hand: bool = False) -> Reply:
        assert self.reply is None, "one reply at a time"  # noqa: S101 - an invariant of the core, not of its input
        self.replies += 1
        chunker = Chunker(self.policy.first_clause_chars, self.policy.max_chunk_chars)
        self.reply = Reply(
            reply_id=f"r{self.replies}",
            turn_id=turn_id,
            text=text,
            understood=understood,
            committed=committed,
            by_hand=by_hand,
            context=self.context.ids,
            chunker=chunker,
        )
        return self.reply

    def _release(self, reply: Reply, now_us: int) -> None:
        if reply.text:
            self._status(reply, "thinking")
            self._watch.preface(now_us)
        self._watch.playback(reply, now_us)
        self._out.add(d.PlaybackRelease(turn_id=reply.turn_id, reply_id=reply.reply_id))
        reply.since_seq = self._out.seq

    def _stop_work(self, reply: Reply, reason: str, now_us: int, *, speech_too: bool = False) -> None:
        """Rungs 3 and 4. Without `speech_too` what was said already is still spoken."""
        for rung in ladder.cancel(reply, reason, speech_too=speech_too):
            self._out.add(rung)
            if isinstance(rung, d.CancelRequested):
                self._watch.cancel(rung.reply_id, rung.target, now_us)
        reply.model_running = False
        self._watch.model_ended()
        for action in reply.calls.values():
            if action.state == "requested":
                action.state = "rejected" if action.write else "ended"
            elif action.state == "started" and not action.write:
                action.state = "ended"
                self._deadlines.clear(action.target)
            elif action.state == "started" and speech_too:
                self.orphans.add(action, now_us)
        self.proposals.reply_ended(reply.reply_id, now_us, heard=False)

    def _end(
        self, reply: Reply, outcome: Literal["completed", "discarded", "failed"], now_us: int, stop_id: str = ""
    ) -> None:
        self._out.add(d.ReplyDone(turn_id=reply.turn_id, reply_id=reply.reply_id, outcome=outcome))
        if outcome == "discarded":
            self._clear(reply)
        else:
            self.proposals.reply_ended(reply.reply_id, now_us, heard=outcome == "completed")
            self._status(reply, "listening")
            self._forget(reply, stop_id)

    def _forget(self, reply: Reply, stop_id: str) -> None:
        """The reply is over; what it did and what was heard of it is context from now on.

        A call without a result is left out: half an exchange would mislead every later prompt.
        """
        for action in reply.calls.values():
            if action.proposal_id and action.reply_id == reply.reply_id and not action.started_id:
                self.context.add(action.call.event_id, action.proposal_id)
            elif action.result is not None and not action.orphaned:
                self.context.add(action.prompt_call_id, action.result.event_id)
        self.context.add(stop_id)
        self._clear(reply)

    def _clear(self, reply: Reply) -> None:
        self._watch.reply_ended(reply)
        self.reply = None
        self.paused = False

    def _live(self, reply_id: str) -> Reply | None:
        return self.reply if self.reply is not None and self.reply.reply_id == reply_id else None

    def _status(
        self,
        reply: Reply,
        status: Literal["listening", "thinking", "working", "speaking", "failed"],
        detail: str = "",
    ) -> None:
        self._out.add(d.AgentStatus(turn_id=reply.turn_id, reply_id=reply.reply_id, status=status, detail=detail))
