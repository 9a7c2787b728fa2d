"""The conversation: facts in, decisions out. No clock, no I/O, no loop.

    conversation = Conversation()
    decisions = conversation.handle(fact, now_us)
    wake_at_us = conversation.next_deadline_us()     # comes back as a DeadlinePassed fact

The same facts at the same times give the same decisions, so a stored timeline can be replayed
and every interleaving can be searched. The shape is that of h11 and aioquic: a state machine
that someone else drives.

Two sides share the floor. The user's side (here) decides when a turn begins and ends and
grades sounds that come while the agent has the floor; the agent's side (`answering`) owns the
one reply. A turn is open only while no committed reply is live: what interrupts a reply first ends it.
"""

from __future__ import annotations

from collections import deque
from typing import Literal

from agent.conversation.answering import Answering
from agent.conversation.deadlines import Deadlines
from agent.conversation.decisions import (
    AgentStatus,
    AsrFinalize,
    AsrReset,
    Complaint,
    Decision,
    InterruptionConfirmed,
    InterruptionDismissed,
    InterruptionSuspected,
    TurnEnd,
    TurnStart,
)
from agent.conversation.endpointing import completeness, delay_ms
from agent.conversation.events import (
    REPLY_RATE,
    AsrFailed,
    AsrFinal,
    AsrPartial,
    CancelAck,
    ControlDone,
    ControlStop,
    ControlTalk,
    DeadlinePassed,
    DeviceCut,
    DeviceJoined,
    DeviceLeft,
    Event,
    Json,
    ModelDone,
    ModelToken,
    PlaybackMark,
    PlaybackStarted,
    ReminderDue,
    SessionClosed,
    SessionCreated,
    SessionResumed,
    SettingsChanged,
    SpeechStarted,
    SpeechStopped,
    SpeechVoiced,
    TextInput,
    ToolCall,
    ToolResult,
    TtsChunk,
    TtsFailed,
)
from agent.conversation.interruption import Suspicion, judge
from agent.conversation.outbox import Outbox
from agent.conversation.policy import Policy
from agent.conversation.reply import Reply
from agent.conversation.user import Control, Speech, Turn, is_false_turn

MAX_ANNOUNCEMENTS = 16
HEARING_FAILED = "Sorry, I lost my hearing for a moment. Please say that again."


class Conversation:
    """One session's core."""

    def __init__(self, policy: Policy | None = None) -> None:
        self.policy = policy or Policy()
        self.turn_id = ""
        """The turn that the session is in; it stays until the next one starts."""
        self._now_us = 0
        self._out = Outbox()
        self._deadlines = Deadlines()
        self._answering = Answering(self.policy.replies, self._out, self._deadlines)
        self._speech = Speech()
        self._turn: Turn | None = None
        self._turns = 0
        self._suspicion: Suspicion | None = None
        self._speakers: dict[str, int] = {}
        self._announcements: deque[tuple[str, str]] = deque(maxlen=MAX_ANNOUNCEMENTS)

    def handle(self, fact: Event, now_us: int) -> tuple[Decision, ...]:
        """Take one fact at `now_us` (never less than before); return what follows from it."""
        self._now_us = now_us
        self._out.begin(fact.event_id)
        self._dispatch(fact)
        self._settle_turn()
        self._settle_announcements()
        return self._out.take()

    def next_deadline_us(self) -> int | None:
        """When a `DeadlinePassed` fact is wanted, if nothing happens before."""
        return self._deadlines.next_us()

    def _dispatch(self, fact: Event) -> None:
        match fact:
            case SpeechStarted() | SpeechVoiced() | SpeechStopped() | AsrPartial() | AsrFinal() | AsrFailed():
                self._on_hearing(fact)
            case TextInput() | ControlTalk() | ControlDone() | ControlStop() | DeviceCut():
                self._on_control(fact)
            case ReminderDue():
                self._announcements.append((fact.text, fact.event_id))
            case DeadlinePassed():
                self._on_deadlines()
            case SessionCreated() | SessionResumed() | SessionClosed() | SettingsChanged():
                self._on_session(fact)
            case DeviceJoined() | DeviceLeft():
                self._on_device(fact)
            case _:
                self._on_work(fact)

    def _on_work(self, fact: Event) -> None:
        """What the loops report of the agent's own work."""
        now_us, agent = self._now_us, self._answering
        match fact:
            case ModelToken():
                agent.on_token(fact, now_us)
            case ToolCall():
                agent.on_call(fact, now_us)
            case ModelDone():
                agent.on_model_done(fact, now_us)
            case ToolResult():
                agent.on_result(fact, now_us)
            case TtsChunk():
                agent.on_chunk(fact, now_us)
            case TtsFailed():
                agent.on_tts_failed(fact, now_us)
            case PlaybackStarted():
                agent.on_started(fact)
            case PlaybackMark():
                agent.on_mark(fact, now_us)
            case CancelAck():
                agent.on_ack(fact)

    # ── session and devices ──────────────────────────────────────────────────────────────

    def _on_session(self, fact: Event) -> None:
        match fact:
            case SessionCreated():
                self._answering.session_id = fact.session_id
                self._set_policy(Policy.from_dict(fact.policy))
            case SettingsChanged():
                self._change_settings(fact.changes)
            case SessionClosed():
                self._abandon("session", "closed")
            case SessionResumed():
                self._abandon("restart", "restart")
                self._speakers.clear()
                self._announcements.extend((told, fact.event_id) for told in self._answering.settle_after_restart())

    def _on_device(self, fact: Event) -> None:
        match fact:
            case DeviceJoined() if fact.speaker:
                self._speakers[fact.device_id] = fact.output_latency_ms
            case DeviceLeft():
                left = self._speakers.pop(fact.device_id, None)
                if left is not None and not self._speakers:
                    self._abandon(f"device:{fact.device_id}", "device_left")

    def _set_policy(self, policy: Policy) -> None:
        self.policy = policy
        self._answering.policy = policy.replies

    def _change_settings(self, changes: dict[str, Json]) -> None:
        policy = self.policy
        for key, value in changes.items():
            if key.partition(".")[0] not in ("endpointing", "interruption", "replies"):
                continue
            try:
                policy = policy.changed(key, value)
            except ValueError as error:
                self._out.add(Complaint(code="settings", message=str(error)))
        self._set_policy(policy)

    def _abandon(self, by: str, evidence: str) -> None:
        """Nobody is there any more: end what is live, by the rules of an interruption."""
        self._close_turn_unanswered(evidence)
        if self._reply_live:
            self._confirm(by, evidence)
        self._speech.active = False
        self._forget_speech()

    # ── hearing ──────────────────────────────────────────────────────────────────────────

    @property
    def _reply_live(self) -> bool:
        return self._answering.reply is not None and self._answering.reply.committed

    def _on_hearing(self, fact: Event) -> None:
        speech = self._speech
        match fact:
            case SpeechStarted():
                self._on_speech_started(fact)
            case SpeechVoiced() if fact.utterance == speech.utterance:
                speech.voiced_ms = max(speech.voiced_ms, fact.voiced_ms)
                self._judge(final=False)
            case SpeechStopped() if fact.utterance == speech.utterance and speech.active:
                self._on_speech_stopped(fact)
            case AsrPartial() if fact.utterance == speech.utterance:
                speech.hypothesis(fact.text, self._now_us)
                self._judge(final=False)
            case AsrFinal() if fact.utterance == speech.utterance:
                self._on_final(fact)
            case AsrFailed() if fact.utterance == speech.utterance:
                self._on_asr_failed(fact)

    def _on_speech_started(self, fact: SpeechStarted) -> None:
        speech = self._speech
        self._speech = Speech(fact.utterance, active=True, text=speech.text, changed_us=speech.changed_us)
        if self._reply_live:
            self._on_sound_over_reply()
        elif self._turn is not None:
            self._deadlines.clear("endpoint", "final")
            self._answering.discard(self._now_us)

    def _on_speech_stopped(self, fact: SpeechStopped) -> None:
        speech = self._speech
        speech.active = False
        speech.end_us = fact.end_us
        speech.voiced_ms = max(speech.voiced_ms, fact.voiced_ms)
        self._judge(final=False)
        if self._suspicion is not None:
            self._deadlines.set("window", self._now_us + self.policy.interruption.window_ms * 1_000)
        elif self._turn is not None:
            self._await_final()

    def _on_final(self, fact: AsrFinal) -> None:
        speech, turn = self._speech, self._turn
        closing = turn is not None and turn.control != ""
        if speech.active and not closing:
            return
        speech.hypothesis(fact.text, self._now_us)
        speech.final = fact
        self._deadlines.clear("final")
        if turn is None:
            self._judge(final=True)

    def _on_asr_failed(self, fact: AsrFailed) -> None:
        speech = self._speech
        if speech.text or self._turn is None:
            text = AsrFinal(event_id=fact.event_id, utterance=fact.utterance, text=speech.text, understood=False)
            self._on_final(text)
            return
        self._close_turn_unanswered("asr_failed")
        self._announcements.append((HEARING_FAILED, fact.event_id))

    # ── interruption ─────────────────────────────────────────────────────────────────────

    def _on_sound_over_reply(self) -> None:
        """Speech began while a reply is live."""
        if self.policy.interruption.mode == "never":
            return
        self._deadlines.clear("device_window")
        self._suspect("vad", device_cut=False)
        if self.policy.interruption.mode == "any_sound":
            self._confirm("vad", "any_sound")

    def _suspect(self, by: str, *, device_cut: bool) -> None:
        reply = self._answering.reply
        if self._suspicion is not None or reply is None:
            return
        self._suspicion = Suspicion(by, device_cut)
        self._out.add(InterruptionSuspected(turn_id=self.turn_id, reply_id=reply.reply_id, by=by))
        self._answering.pause()
        limit_ms = self.policy.interruption.pause_limit_ms
        self._deadlines.set("pause_limit", self._now_us + limit_ms * 1_000)

    def _judge(self, *, final: bool) -> None:
        """New evidence about a sound while no turn is open."""
        speech = self._speech
        if self._turn is not None:
            return
        if not self._reply_live or self.policy.interruption.mode == "never":
            if final:
                self._forget_speech()
            return
        understood = speech.final.understood if speech.final else True
        verdict, evidence = judge(
            speech.text, speech.voiced_ms, final=final, understood=understood, policy=self.policy.interruption
        )
        if verdict == "confirm":
            self._confirm("vad", evidence)
        elif verdict == "dismiss":
            self._dismiss(evidence)

    def _where_heard(self, reply: Reply) -> tuple[int, Literal["sent", "device_cut"]]:
        """The reply sample up to which it was audible, and how that is known."""
        sent = reply.playback.sent_samples
        if self._suspicion is None or not self._suspicion.device_cut:
            return sent, "sent"
        latency_ms = max(self._speakers.values(), default=0)
        return max(0, sent - latency_ms * REPLY_RATE // 1_000), "device_cut"

    def _confirm(self, by: str, evidence: str) -> None:
        """Run the ladder; if the user is speaking, it is their turn."""
        reply = self._answering.reply
        if reply is None or not reply.committed:
            return
        heard_samples, method = self._where_heard(reply)
        self._clear_suspicion()
        self._out.add(InterruptionConfirmed(turn_id=self.turn_id, reply_id=reply.reply_id, evidence=evidence))
        self._answering.interrupt(by, heard_samples, method, self._now_us)
        self._out.add(AgentStatus(turn_id=self.turn_id, status="interrupted", detail=evidence))
        if evidence in ("words", "voiced", "any_sound"):
            self._open_turn()
            if not self._speech.active and self._speech.final is None:
                self._await_final()

    def _dismiss(self, evidence: str) -> None:
        """It was no interruption: play on."""
        if not self._speech.active:
            self._forget_speech()
        reply = self._answering.reply
        if self._suspicion is None or reply is None:
            return
        heard_samples, _ = self._where_heard(reply)
        self._clear_suspicion()
        self._out.add(InterruptionDismissed(turn_id=self.turn_id, reply_id=reply.reply_id, evidence=evidence))
        self._answering.resume(heard_samples, self.policy.interruption.resume_at, self._now_us)

    def _clear_suspicion(self) -> None:
        self._suspicion = None
        self._deadlines.clear("window", "device_window", "pause_limit")

    # ── explicit controls ────────────────────────────────────────────────────────────────

    def _on_control(self, fact: Event) -> None:
        match fact:
            case TextInput():
                self._on_text(fact)
            case ControlTalk():
                self._on_talk(fact)
            case ControlDone() if self._turn is not None:
                self._close_by("done")
            case ControlStop():
                reply = self._answering.reply
                if reply is not None and fact.reply_id in ("", reply.reply_id):
                    self._confirm(fact.source, "stop")
            case DeviceCut():
                self._on_device_cut(fact)

    def _on_talk(self, fact: ControlTalk) -> None:
        """Push-to-talk goes down or up."""
        if not fact.on:
            if self._turn is not None and self._turn.held:
                self._turn.held = False
                self._close_by("push_to_talk")
            return
        if self._reply_live:
            self._confirm(fact.source, "push_to_talk")
        if self._turn is None:
            self._open_turn()
        if self._turn is not None:
            self._turn.held = True
            self._deadlines.clear("endpoint", "final")

    def _on_device_cut(self, fact: DeviceCut) -> None:
        """A device silenced its own playback, or takes that back."""
        doubt = self._suspicion
        if fact.undo:
            if doubt is not None and doubt.device_cut and not self._speech.active:
                self._dismiss("undo")
        elif doubt is not None:
            doubt.device_cut = True
        elif self._reply_live and self.policy.interruption.mode != "never":
            self._suspect(fact.source, device_cut=True)
            wait_us = self.policy.interruption.device_window_ms * 1_000
            self._deadlines.set("device_window", self._now_us + wait_us)

    def _on_text(self, fact: TextInput) -> None:
        if self._reply_live:
            self._confirm(fact.source, "typed")
        self._close_turn_unanswered("typed")
        text = fact.text.strip()
        if text:
            self._open_turn()
            self._end_turn(text, understood=True, evidence={"control": "typed"})

    def _close_by(self, control: Control) -> None:
        """An explicit control ends the turn as soon as its final text is known."""
        if self._turn is not None:
            self._turn.control = control
            self._speech.final = None
            self._deadlines.clear("endpoint")
            self._out.add(AsrFinalize(turn_id=self._turn.turn_id))
            self._await_final()

    # ── the turn ─────────────────────────────────────────────────────────────────────────

    def _open_turn(self) -> None:
        self._turns += 1
        self.turn_id = f"t{self._turns}"
        self._turn = Turn(self.turn_id)
        self._out.add(TurnStart(turn_id=self.turn_id))
        self._deadlines.set("max_turn", self._now_us + self.policy.endpointing.max_turn_ms * 1_000)

    def _await_final(self) -> None:
        self._deadlines.set("final", self._now_us + self.policy.endpointing.final_timeout_ms * 1_000)

    def _settle_turn(self) -> None:
        """End the open turn if its time has come, or set the deadline; start to answer meanwhile."""
        speech = self._speech
        if self._turn is None and speech.active and self._answering.reply is None:
            self._open_turn()
        turn = self._turn
        if turn is None or turn.held or speech.final is None or (speech.active and not turn.control):
            return
        final = speech.final
        judged = completeness(final.text, understood=final.understood)
        endpointing = self.policy.endpointing
        stable_us = speech.changed_us + endpointing.stable_ms * 1_000
        end_at_us = max(speech.end_us + delay_ms(judged, endpointing) * 1_000, stable_us)
        if turn.control or end_at_us <= self._now_us:
            self._end_by_evidence(final, judged)
            return
        self._deadlines.set("endpoint", end_at_us)
        false_turn = is_false_turn(final, speech.voiced_ms, self.policy.interruption)
        if self.policy.replies.speculate and self._answering.reply is None and not false_turn:
            self._answering.begin(
                turn.turn_id, final.text, understood=final.understood, speculative=True, now_us=self._now_us
            )

    def _end_by_evidence(self, final: AsrFinal, judged: str) -> None:
        speech = self._speech
        evidence: dict[str, Json] = {
            "control": self._turn.control if self._turn else "",
            "silence_ms": (self._now_us - speech.end_us) // 1_000,
            "stable_ms": (self._now_us - speech.changed_us) // 1_000,
            "completeness": judged,
            "voiced_ms": speech.voiced_ms,
        }
        false_turn = is_false_turn(final, speech.voiced_ms, self.policy.interruption)
        self._end_turn("" if false_turn else final.text, understood=final.understood, evidence=evidence)

    def _end_turn(self, text: str, *, understood: bool, evidence: dict[str, Json]) -> None:
        turn = self._turn
        if turn is None:
            return
        end_id = self._out.add(TurnEnd(turn_id=turn.turn_id, text=text, understood=understood, evidence=evidence))
        self._turn = None
        self._deadlines.clear("endpoint", "final", "max_turn")
        self._forget_speech()
        agent, reply = self._answering, self._answering.reply
        if reply is not None and (reply.text != text or reply.turn_id != turn.turn_id):
            agent.discard(self._now_us)
            reply = None
        if not text:
            self._out.add(AgentStatus(turn_id=turn.turn_id, status="listening"))
        elif reply is not None:
            agent.commit(self._now_us)
        else:
            agent.begin(turn.turn_id, text, understood=understood, speculative=False, now_us=self._now_us)
        if text:
            agent.note_turn(end_id)

    def _close_turn_unanswered(self, evidence: str) -> None:
        if self._turn is not None:
            self._end_turn("", understood=False, evidence={"control": evidence})

    def _forget_speech(self) -> None:
        """The audio heard so far belongs to nothing that will be answered."""
        speech = self._speech
        self._speech = Speech(speech.utterance, active=speech.active, voiced_ms=0)
        self._out.add(AsrReset(turn_id=self.turn_id))

    # ── time ─────────────────────────────────────────────────────────────────────────────

    def _on_deadlines(self) -> None:
        while (name := self._deadlines.pop_due(self._now_us)) is not None:
            match name:
                case "final":
                    self._on_final_missing()
                case "window" | "pause_limit":
                    self._dismiss("no_words")
                case "device_window":
                    self._dismiss("not_borne_out")
                case "max_turn":
                    self._close_by("max_turn")
                case "endpoint":
                    pass  # `_settle_turn` runs behind every fact
                case _:
                    self._answering.on_deadline(name, self._now_us)

    def _on_final_missing(self) -> None:
        """The recogniser did not settle in time: its last hypothesis has to do."""
        speech = self._speech
        self._out.add(Complaint(turn_id=self.turn_id, code="asr.late", message="no final text in time"))
        speech.final = AsrFinal(utterance=speech.utterance, text=speech.text, understood=bool(speech.text))

    def _settle_announcements(self) -> None:
        """When nobody has the floor, say what is waiting to be said."""
        idle = self._turn is None and self._answering.reply is None and not self._speech.active
        if not idle or not self._speakers:
            return
        if correction := self._answering.pop_correction():
            self._announcements.appendleft(correction)
        if self._announcements:
            text, cause_id = self._announcements.popleft()
            self._answering.announce(text, (cause_id,), self._now_us)
