"""The agent's side of the conversation: its one reply, the tools it runs, what it cancels.

There is at most one live reply: speculative while the user's turn is still open, committed
afterwards. Facts about any other reply are recorded by the driver and ignored here, except
the outcome of an action that had started: that is always told.
"""

from __future__ import annotations

from collections import deque
from typing import Literal

from agent.conversation import ladder
from agent.conversation.actions import Action
from agent.conversation.chunker import Chunker
from agent.conversation.deadlines import Deadlines
from agent.conversation.decisions import (
    ActionCommitted,
    ActionConfirmed,
    ActionFailed,
    ActionProposed,
    ActionRejected,
    ActionStarted,
    ActionUnknown,
    AgentStatus,
    CancelRequested,
    Complaint,
    Decision,
    ModelStart,
    PlaybackPause,
    PlaybackRelease,
    PlaybackResume,
    ReplyCommitted,
    ReplyDone,
    ToolStart,
    TtsSay,
)
from agent.conversation.events import (
    CancelAck,
    ModelDone,
    ModelToken,
    Phase,
    PlaybackMark,
    PlaybackStarted,
    ToolCall,
    ToolResult,
    TtsChunk,
    TtsFailed,
)
from agent.conversation.outbox import Outbox
from agent.conversation.policy import Replies
from agent.conversation.reply import Reply

MAX_ORPHANS = 64
APOLOGY = "Sorry, something went wrong there. Please try again."
TOO_LONG = "Sorry, that took too long. Please try again."
UNSURE = "I don't know yet whether that worked. I will tell you when I do."
NOT_ALLOWED = "I am not allowed to do that by myself."
NOTHING_TO_SAY = "I have nothing to say to that."


class Answering:
    """Owns the live reply. Every method is one step of the core at `now_us`."""

    def __init__(self, policy: Replies, outbox: Outbox, deadlines: Deadlines) -> None:
        self.policy = policy
        self.session_id = ""
        self.reply: Reply | None = None
        self.paused = False
        """While an interruption is suspected: nothing is played and no action starts."""
        self._out = outbox
        self._deadlines = deadlines
        self._replies = 0
        self._context: deque[str] = deque(maxlen=policy.context_events)
        self._orphans: dict[str, Action] = {}
        self._cancels: set[tuple[str, str]] = set()
        self._refuted: deque[tuple[str, str]] = deque(maxlen=16)

    # ── the life of a reply ──────────────────────────────────────────────────────────────

    def begin(self, turn_id: str, text: str, *, understood: bool, speculative: bool, now_us: int) -> None:
        """Start to answer `text`."""
        reply = self._new(turn_id, text, understood=understood, committed=not speculative)
        if not speculative:
            self._release(reply, now_us)
        self._start_step(reply, now_us)

    def announce(self, text: str, rests_on: tuple[str, ...], now_us: int) -> None:
        """Say something without the user having asked: a timer that rings, a correction."""
        reply = self._new("", "", understood=True, committed=True)
        self._release(reply, now_us)
        self._say(reply, text, "claim", rests_on)

    def commit(self, now_us: int) -> None:
        """The turn that the speculative reply answers has ended with the text it was begun for."""
        reply = self.reply
        if reply is None or reply.committed:
            return
        reply.committed = True
        self._out.add(ReplyCommitted(turn_id=reply.turn_id, reply_id=reply.reply_id))
        self._release(reply, now_us)
        self._advance_actions(reply, now_us)
        self._proceed(reply, now_us)

    def discard(self, now_us: int) -> None:
        """The user goes on: the speculative reply never was."""
        reply = self.reply
        if reply is None or reply.committed:
            return
        self._cancel(reply, "turn went on", now_us)
        self._end(reply, "discarded")

    def note_turn(self, turn_end_id: str) -> None:
        """The user's turn belongs to the context of whatever is answered next."""
        self._context.append(turn_end_id)

    def interrupt(self, by: str, heard_samples: int, method: Literal["sent", "device_cut"], now_us: int) -> None:
        """Climb the ladder for the live, committed reply."""
        reply = self.reply
        if reply is None:
            return
        targets = ladder.in_flight(reply)
        stop = ladder.stop_playback(reply, heard_samples, method)
        stop_id = self._out.add(stop)
        self._cancel(reply, "interrupted", now_us)
        for rung in ladder.record(reply, by, stop.heard_text, targets):
            self._out.add(rung)
        self._forget(reply, stop_id)

    def pause(self) -> None:
        """Rung 1, provisionally."""
        if self.reply is not None and not self.paused:
            self.paused = True
            self.reply.playback.pause()
            self._out.add(PlaybackPause(turn_id=self.reply.turn_id, reply_id=self.reply.reply_id))

    def resume(self, heard_samples: int, at: str, now_us: int) -> None:
        """It was no interruption: play on from where the reply stopped being audible."""
        reply = self.reply
        if reply is None or not self.paused:
            return
        self.paused = False
        sample = reply.playback.resume_point(heard_samples, at)
        reply.playback.resume(sample)
        self._out.add(PlaybackResume(turn_id=reply.turn_id, reply_id=reply.reply_id, sample=sample))
        self._advance_actions(reply, now_us)
        self._proceed(reply, now_us)

    # ── facts ────────────────────────────────────────────────────────────────────────────

    def on_token(self, fact: ModelToken, now_us: int) -> None:
        reply = self._live(fact.reply_id)
        if reply is None or fact.step != reply.step or not reply.model_running:
            return
        self._deadlines.set("model", now_us + self.policy.model_timeout_ms * 1_000)
        room = self.policy.max_reply_chars - reply.chars
        text = fact.text[: max(0, room)]
        reply.chars += len(text)
        if reply.step_calls:
            reply.held_text += text
            return
        for piece in reply.chunker.push(text):
            self._say(reply, piece, "claim", reply.result_ids)

    def on_call(self, fact: ToolCall, now_us: int) -> None:
        reply = self._live(fact.reply_id)
        if reply is None or fact.step != reply.step or fact.call_id in reply.calls:
            return
        reply.calls[fact.call_id] = Action(fact, reply.turn_id)
        reply.step_calls.append(fact.call_id)
        reply.results.append(fact.event_id)
        self._advance_actions(reply, now_us)

    def on_model_done(self, fact: ModelDone, now_us: int) -> None:
        reply = self._live(fact.reply_id)
        if reply is None or fact.step != reply.step or not reply.model_running:
            return
        reply.model_running = False
        self._deadlines.clear("model")
        if fact.error:
            self._fail(reply, APOLOGY)
        if not reply.step_calls:
            for piece in reply.chunker.flush():
                self._say(reply, piece, "claim", reply.result_ids)
        self._proceed(reply, now_us)

    def on_result(self, fact: ToolResult, now_us: int) -> None:
        action_id = f"{fact.reply_id}:{fact.call_id}"
        reply = self._live(fact.reply_id)
        if fact.corrects:
            self._correct(fact)
        elif action_id in self._orphans:
            self._settle_orphan(self._orphans.pop(action_id), fact)
        elif reply is not None and fact.call_id in reply.calls:
            action = reply.calls[fact.call_id]
            if action.state != "started":
                return
            self._deadlines.clear(action.target)
            action.settle(fact)
            reply.results.append(fact.event_id)
            self._record_outcome(action, late=False)
            self._proceed(reply, now_us)

    def on_chunk(self, fact: TtsChunk, now_us: int) -> None:
        if reply := self._live(fact.reply_id):
            reply.playback.synthesised(fact)
            self._proceed(reply, now_us)

    def on_tts_failed(self, fact: TtsFailed, now_us: int) -> None:
        if reply := self._live(fact.reply_id):
            reply.playback.failed(fact.chunk)
            reply.failed = True
            self._status(reply, "failed", fact.message)
            self._proceed(reply, now_us)

    def on_started(self, fact: PlaybackStarted) -> None:
        reply = self._live(fact.reply_id)
        if reply is not None and not self.paused:
            reply.playback.started()
            self._status(reply, "speaking")

    def on_mark(self, fact: PlaybackMark, now_us: int) -> None:
        if reply := self._live(fact.reply_id):
            reply.playback.mark(fact.sample)
            self._proceed(reply, now_us)

    def on_ack(self, fact: CancelAck) -> None:
        self._cancels.discard((fact.reply_id, fact.target))
        self._deadlines.clear(f"cancel:{fact.reply_id}:{fact.target}")

    def on_deadline(self, name: str, now_us: int) -> None:
        """A deadline of this side passed: `preface`, `model`, `tool:…` or `cancel:…`."""
        if name.startswith("cancel:"):
            _, reply_id, target = name.split(":", 2)
            self._cancels.discard((reply_id, target))
            self._out.add(Complaint(reply_id=reply_id, code="cancel.timeout", message=f"{target} did not ack in time"))
            return
        reply = self.reply
        if reply is None:
            return
        if name == "preface" and reply.thinking and not reply.playback.said:
            self._status(reply, "working")
            self._say(reply, self.policy.preface_text, "preface", ())
        elif name == "model" and reply.model_running:
            self._request_cancel(reply, "model", now_us)
            reply.model_running = False
            self._fail(reply, TOO_LONG)
            self._proceed(reply, now_us)
        elif name.startswith("tool:"):
            self._tool_timed_out(reply, name, now_us)

    def settle_after_restart(self) -> list[str]:
        """A new process took over: what had started and has no outcome is unknown. Returns what to tell."""
        told = []
        for action in self._orphans.values():
            action.state = "unknown"
            self._out.add(
                ActionUnknown(turn_id=action.turn_id, reply_id=action.call.reply_id, action_id=action.action_id)
            )
            told.append(f"I was restarted and don't know whether this was done: {action.call.name.replace('_', ' ')}.")
        self._orphans.clear()
        return told

    # ── steps of the model and its tools ─────────────────────────────────────────────────

    def _start_step(self, reply: Reply, now_us: int) -> None:
        reply.step += 1
        reply.step_calls = []
        reply.model_running = True
        self._deadlines.set("model", now_us + self.policy.model_timeout_ms * 1_000)
        self._out.add(
            ModelStart(
                turn_id=reply.turn_id,
                reply_id=reply.reply_id,
                step=reply.step,
                text=reply.text,
                understood=reply.understood,
                context=reply.context,
                results=tuple(reply.results),
                speculative=not reply.committed,
            )
        )

    def _advance_actions(self, reply: Reply, now_us: int) -> None:
        """Start what may start now."""
        for call_id in reply.step_calls:
            action = reply.calls[call_id]
            if action.over or action.state == "started":
                continue
            if not action.write:
                self._start_tool(reply, action, now_us)
            elif reply.committed and not self.paused:
                self._commit_point(reply, action, now_us)

    def _start_tool(self, reply: Reply, action: Action, now_us: int) -> None:
        action.state = "started"
        self._deadlines.set(action.target, now_us + self.policy.tool_timeout_ms * 1_000)
        call = action.call
        ids = {"turn_id": reply.turn_id, "reply_id": reply.reply_id}
        self._out.add(ToolStart(call_id=call.call_id, name=call.name, arguments=call.arguments, **ids))

    def _commit_point(self, reply: Reply, action: Action, now_us: int) -> None:
        call = action.call
        ids = {"turn_id": reply.turn_id, "reply_id": reply.reply_id}
        name_and_id = {"action_id": action.action_id, "name": call.name}
        self._out.add(ActionProposed(arguments=call.arguments, **name_and_id, **ids))
        if call.risk != "low":
            action.state = "rejected"
            self._out.add(ActionRejected(action_id=action.action_id, reason="needs confirmation", **ids))
            self._fail(reply, NOT_ALLOWED)
            self._proceed(reply, now_us)
            return
        confirmation = self._out.add(ActionConfirmed(action_id=action.action_id, by="policy", **ids))
        action.state = "started"
        self._deadlines.set(action.target, now_us + self.policy.tool_timeout_ms * 1_000)
        key = f"{action.action_id}:{self.session_id}:{reply.turn_id}:{confirmation}"
        self._out.add(ActionStarted(arguments=call.arguments, idempotency_key=key, **name_and_id, **ids))

    def _tool_timed_out(self, reply: Reply, target: str, now_us: int) -> None:
        action = next((a for a in reply.calls.values() if a.target == target and a.state == "started"), None)
        if action is None:
            return
        if action.write:
            self._orphan(action)
            reply.step_calls.remove(action.call.call_id)
            self._fail(reply, UNSURE)
        else:
            self._request_cancel(reply, target, now_us)
            action.state = "ended"
            self._fail(reply, TOO_LONG)
        self._proceed(reply, now_us)

    def _record_outcome(self, action: Action, *, late: bool) -> str:
        if not action.write or action.result is None:
            return ""
        ids = {"turn_id": action.turn_id, "reply_id": action.call.reply_id, "action_id": action.action_id}
        if action.state == "committed":
            return self._out.add(ActionCommitted(late=late, **ids))
        return self._out.add(ActionFailed(error_class=action.result.error_class or "crash", **ids))

    def _settle_orphan(self, action: Action, fact: ToolResult) -> None:
        action.settle(fact)
        outcome_id = self._record_outcome(action, late=True)
        self._context.extend((action.call.event_id, fact.event_id, outcome_id))

    def _orphan(self, action: Action) -> None:
        action.orphaned = True
        if len(self._orphans) >= MAX_ORPHANS:
            oldest = self._orphans.pop(next(iter(self._orphans)))
            self._out.add(ActionUnknown(reply_id=oldest.call.reply_id, action_id=oldest.action_id))
        self._orphans[action.action_id] = action

    # ── saying, failing, ending ──────────────────────────────────────────────────────────

    def _proceed(self, reply: Reply, now_us: int) -> None:
        """Whatever the last fact made possible: the next step, or the end."""
        if reply is not self.reply or reply.thinking:
            return
        if reply.step_calls and not reply.failed:
            if reply.step >= self.policy.max_steps:
                self._fail(reply, APOLOGY)
            else:
                pieces, reply.held_text = reply.chunker.push(reply.held_text), ""
                for piece in pieces:
                    self._say(reply, piece, "claim", reply.result_ids)
                self._start_step(reply, now_us)
                return
        if not reply.playback.said:
            self._say(reply, NOTHING_TO_SAY, "claim", ())
        if reply.committed and reply.playback.all_sent and not self.paused:
            sent = reply.playback.total_samples
            stop_id = self._out.add(ladder.stop_playback(reply, sent, "complete"))
            self._end(reply, "failed" if reply.failed else "completed", stop_id)

    def _say(self, reply: Reply, text: str, phase: Phase, rests_on: tuple[str, ...]) -> None:
        from_here = reply.playback.say(text, phase, rests_on)
        ids = {"turn_id": reply.turn_id, "reply_id": reply.reply_id}
        self._out.add(TtsSay(chunk=from_here, text=text, phase=phase, rests_on=rests_on, **ids))

    def _fail(self, reply: Reply, text: str) -> None:
        reply.failed = True
        self._status(reply, "failed")
        self._say(reply, text, "claim", ())

    def _correct(self, fact: ToolResult) -> None:
        """A result turned out wrong: if anything resting on it was heard, say so."""
        reply = self.reply
        if reply is not None and reply.playback.claimed_on(fact.corrects, reply.playback.sent_samples):
            self._say(reply, f"Correction: {fact.message}", "claim", (fact.event_id,))
        elif fact.corrects in self._context:
            self._refuted.append((f"Correction: {fact.message}", fact.event_id))

    def pop_correction(self) -> tuple[str, str] | None:
        """The next claim of an ended reply that has to be corrected aloud: text and cause."""
        return self._refuted.popleft() if self._refuted else None

    def _new(self, turn_id: str, text: str, *, understood: bool, committed: bool) -> Reply:
        assert self.reply is None, "one reply at a time"  # noqa: S101 - an invariant of the core, not of its input
        self._replies += 1
        chunker = Chunker(self.policy.first_clause_chars, self.policy.max_chunk_chars)
        self.reply = Reply(
            reply_id=f"r{self._replies}",
            turn_id=turn_id,
            text=text,
            understood=understood,
            committed=committed,
            context=tuple(self._context),
            chunker=chunker,
        )
        return self.reply

    def _release(self, reply: Reply, now_us: int) -> None:
        if reply.text:
            self._status(reply, "thinking")
            self._deadlines.set("preface", now_us + self.policy.preface_after_ms * 1_000)
        self._out.add(PlaybackRelease(turn_id=reply.turn_id, reply_id=reply.reply_id))

    def _cancel(self, reply: Reply, reason: str, now_us: int) -> None:
        for rung in ladder.cancel(reply, reason):
            self._add_cancel(rung, now_us)
        for action in reply.calls.values():
            if action.write and action.state == "started":
                self._orphan(action)
            elif not action.over:
                action.state = "rejected" if action.write else "ended"

    def _request_cancel(self, reply: Reply, target: str, now_us: int) -> None:
        self._add_cancel(CancelRequested(turn_id=reply.turn_id, reply_id=reply.reply_id, target=target), now_us)

    def _add_cancel(self, rung: Decision, now_us: int) -> None:
        self._out.add(rung)
        if isinstance(rung, CancelRequested):
            self._cancels.add((rung.reply_id, rung.target))
            at_us = now_us + self.policy.cancel_timeout_ms * 1_000
            self._deadlines.set(f"cancel:{rung.reply_id}:{rung.target}", at_us)

    def _end(self, reply: Reply, outcome: Literal["completed", "discarded", "failed"], stop_id: str = "") -> None:
        self._out.add(ReplyDone(turn_id=reply.turn_id, reply_id=reply.reply_id, outcome=outcome))
        if outcome == "discarded":
            self._clear(reply)
        else:
            self._status(reply, "listening")
            self._forget(reply, stop_id)

    def _forget(self, reply: Reply, stop_id: str) -> None:
        """The reply is over; what it did and what was heard of it is context from now on.

        A call without a result is left out: half an exchange would mislead every later prompt.
        """
        for action in reply.calls.values():
            if action.result is not None:
                self._context.extend((action.call.event_id, action.result.event_id))
        self._context.append(stop_id)
        self._clear(reply)

    def _clear(self, reply: Reply) -> None:
        self._deadlines.clear("preface", "model", *(action.target for action in reply.calls.values()))
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
        self._out.add(AgentStatus(turn_id=reply.turn_id, reply_id=reply.reply_id, status=status, detail=detail))
