"""The conversation: facts in, decisions out. No clock, no I/O, no loop.

    conversation = Conversation()
    decisions = conversation.handle(fact, now_us, seq)
    wake_at_us = conversation.next_deadline_us()     # comes back as a DeadlinePassed fact

The same facts at the same times and places give the same decisions, so a stored timeline can be replayed
and every interleaving can be searched. The shape is that of h11 and aioquic: a state machine
that someone else drives.

Two sides share the floor. The user's side (here) decides when a turn begins and ends and
hands sounds that come while the agent has the floor to `interruption`; the agent's side
(`answering`) owns the one reply. A turn is open only while no committed reply is live: what
interrupts a reply first ends it.
"""

from __future__ import annotations

from dataclasses import replace

from agent.conversation import events as e
from agent.conversation.answering import Answering
from agent.conversation.cut_off import CutOff, CutOffs
from agent.conversation.deadlines import Deadlines
from agent.conversation.decisions import AgentStatus, AsrFinalize, AsrReset, Complaint, Decision, TurnEnd, TurnStart
from agent.conversation.endpointing import completeness, delay_ms
from agent.conversation.focus import Focus
from agent.conversation.interruption import SPOKEN_EVIDENCE, Interruptions, judge, says_stop
from agent.conversation.outbox import Outbox
from agent.conversation.policy import TABLES, Policy
from agent.conversation.presence import Presence
from agent.conversation.seen import means
from agent.conversation.steering import Steering
from agent.conversation.user import FALSE_TURN_VOICED_MS, Control, Speech, Turn, awaited, is_false_turn
from agent.conversation.wording import ASR_LATE, CARD_STALE, HEARING_FAILED, NOT_CAUGHT, TALK_HELD
from agent.conversation.work import on_work


class Conversation:
    """One session's core."""

    def __init__(self, policy: Policy | None = None) -> None:
        self.policy = policy or Policy()
        self.turn_id = ""
        """The turn that the session is in; it stays until the next one starts."""
        self._now_us = 0
        self._out = Outbox()
        self._deadlines = Deadlines()
        self._presence = Presence()
        self._focus = Focus(self._presence, self._out)
        self._answering = Answering(self.policy.replies, self._presence, self._out, self._deadlines)
        self._steering = Steering(self._out)
        self._interruptions = Interruptions(
            self.policy.interruption, self._answering, self._presence, self._out, self._deadlines
        )
        self._speech = Speech()
        self._turn: Turn | None = None
        self._cut_offs = CutOffs(self._answering.context)
        self._turns = 0

    def handle(self, fact: e.Event, now_us: int, seq: int = 0) -> tuple[Decision, ...]:
        """Take one fact at `now_us` (never less than before); return what follows from it.

        `seq`: its place on the timeline, where its decisions take the next ones; 0 is not known."""
        self._now_us = now_us
        self._out.begin(fact.event_id, seq)
        self._dispatch(fact)
        self._settle_turn()
        self._settle_steering()
        self._settle_announcements()
        return self._out.take()

    @property
    def live_device_id(self) -> str:
        """Whose microphone and loudspeaker are live; empty for nobody's."""
        return self._presence.live_id

    def next_deadline_us(self) -> int | None:
        """When a `DeadlinePassed` fact is wanted, if nothing happens before."""
        return self._deadlines.next_us()

    @property
    def quiet(self) -> bool:
        """Nobody has the floor, and nothing waits or goes on."""
        return self._turn is None and not self._speech.active and not self._steering and self._answering.idle

    @property
    def counts(self) -> tuple[int, int]:
        """How many turns and replies there were."""
        return self._turns, self._answering.replies

    def _dispatch(self, fact: e.Event) -> None:
        match fact:
            case (
                e.SpeechStarted() | e.SpeechVoiced() | e.SpeechStopped() | e.AsrPartial() | e.AsrFinal() | e.AsrFailed()
            ):
                self._on_hearing(fact)
            case (
                e.TextInput() | e.ControlTalk() | e.ControlDone() | e.ControlStop() | e.ControlConfirm() | e.DeviceCut()
            ):
                self._on_control(fact)
            case e.ReminderDue():
                self._answering.tell(fact.text, fact.event_id)
            case e.DeadlinePassed():
                self._on_deadlines()
            case e.SessionCreated() | e.SessionResumed() | e.SessionClosed() | e.SettingsChanged():
                self._on_session(fact)
            case e.DeviceJoined() | e.DeviceLeft() | e.DeviceLink() | e.DeviceSpeech() | e.ControlFocus():
                self._on_device(fact)
            case _:
                on_work(self._answering, fact, self._now_us)

    # ── session and devices ──────────────────────────────────────────────────────────────

    def _on_session(self, fact: e.Event) -> None:
        match fact:
            case e.SessionCreated():
                if isinstance(fact, e.SessionForgotten):
                    self._turns, self._answering.replies = fact.turns, fact.replies
                self._answering.identify(fact.session_id)
                self._set_policy(Policy.from_dict(fact.policy))
            case e.SettingsChanged():
                self._change_settings(fact.changes)
            case e.SessionClosed():
                self._abandon("session", "closed")
                self._answering.proposals.withdraw("closed")
                self._answering.orphans.closed()
                self._steering.clear()
                self._focus.clear()
            case e.SessionResumed():
                self._abandon("restart", "restart")
                self._answering.proposals.withdraw("restart")
                self._focus.clear()
                self._speech = Speech()
                self._answering.orphans.restarted(fact.event_id, self._now_us)

    def _on_device(self, fact: e.Event) -> None:
        presence, turn = self._presence, self._turn
        heard, latency_ms, before = bool(presence), presence.output_latency_ms, presence.live_source
        moved = self._focus.take(fact, self._now_us, self._quiet_since_us())
        played = fact.played if isinstance(fact, e.DeviceLeft) else None
        if heard and not presence:  # a page was closed, a phone locked, a browser blocks sound
            gone = isinstance(fact, e.DeviceLeft) and presence.live is None
            (self._abandon if gone else self._confirm)(before, "device_left", played)
        elif moved:
            self._interruptions.moved(latency_ms, self.turn_id, self._now_us, played)
        if turn is not None and turn.held and not presence.can_hold(turn.held_by, moved=moved):
            self._close_by("push_to_talk")
        self._answering.link_changed(self._now_us)

    def _quiet_since_us(self) -> int | None:
        """When something was said last; None while the user or the agent has the floor."""
        busy = self._turn is not None or self._speech.active or self._answering.reply is not None
        return None if busy else self._speech.end_us

    def _set_policy(self, policy: Policy) -> None:
        self.policy = policy
        self._answering.configure(policy.replies, policy.actions)
        self._interruptions.policy = policy.interruption

    def _change_settings(self, changes: dict[str, e.Json]) -> None:
        """All of the changes that concern the conversation, or none if they cannot be."""
        mine = {key: value for key, value in changes.items() if key.partition(".")[0] in TABLES}
        try:
            self._set_policy(self.policy.with_changes(mine))
        except ValueError as error:
            self._out.add(Complaint(code="settings", message=str(error)))

    def _abandon(self, by: str, evidence: str, played: e.Played | None = None) -> None:
        """Nobody is there any more: end what is live, by the rules of an interruption."""
        self._close_turn_unanswered(evidence)
        if self._reply_live:
            self._confirm(by, evidence, played)
        self._speech.active = False
        self._forget_speech()

    # ── hearing ──────────────────────────────────────────────────────────────────────────

    @property
    def _reply_live(self) -> bool:
        return self._answering.reply is not None and self._answering.reply.committed

    def _on_hearing(self, fact: e.Event) -> None:
        speech = self._speech
        match fact:
            case e.SpeechStarted():
                self._on_speech_started(fact)
            case e.SpeechVoiced() if fact.utterance == speech.utterance and speech.active:
                speech.voiced(fact.voiced_ms)
                self._on_voiced()
            case e.SpeechStopped() if fact.utterance == speech.utterance and speech.active:
                self._on_speech_stopped(fact)
            case e.AsrPartial() if fact.utterance == speech.utterance and not speech.settled:
                speech.hypothesis(fact.text, self._now_us, fact.stable)
                self._judge_sound()
            case e.AsrFinal() if awaited(fact.utterance, speech, self._turn):
                self._on_final(fact)
            case e.AsrFailed() if awaited(fact.utterance, speech, self._turn):
                self._on_asr_failed(fact)

    def _on_speech_started(self, fact: e.SpeechStarted) -> None:
        self._speech = self._speech.goes_on(fact.utterance)
        self._cut_offs.speech_began(fact.onset_us)
        if self._reply_live:
            if self.policy.interruption.mode != "never":
                self._interruptions.sound_began(self.turn_id, self._now_us)
            if self.policy.interruption.mode == "any_sound":
                self._confirm("vad", "any_sound")
        elif self._turn is not None and not self._turn.control:
            self._deadlines.clear("endpoint", "final")
            self._answering.discard(self._now_us)

    def _on_speech_stopped(self, fact: e.SpeechStopped) -> None:
        speech = self._speech
        speech.active = False
        speech.end_us = fact.end_us
        speech.voiced(fact.voiced_ms)
        self._judge_sound()
        self._interruptions.sound_ended(self._now_us)
        if self._turn is not None:
            self._await_final()

    def _on_final(self, fact: e.AsrFinal) -> None:
        speech = self._speech
        speech.hypothesis(fact.text, self._now_us)
        speech.final = fact
        self._deadlines.clear("final")
        if self._turn is None:
            self._judge_final(fact)

    def _on_asr_failed(self, fact: e.AsrFailed) -> None:
        speech = self._speech
        if speech.text or self._turn is None:
            text = e.AsrFinal(event_id=fact.event_id, utterance=fact.utterance, text=speech.text, understood=False)
            self._on_final(text)
            return
        self._close_turn_unanswered("asr_failed")
        self._answering.tell(HEARING_FAILED, fact.event_id)

    # ── sounds while the agent has the floor ─────────────────────────────────────────────

    def _on_voiced(self) -> None:
        if self._turn is None and self._reply_live and self.policy.interruption.mode != "never":
            self._interruptions.sound_voiced(self.turn_id, self._now_us)
        self._judge_sound()

    def _judge_sound(self) -> None:
        """New evidence about a sound that goes on, or whose text is not final."""
        policy = self._interruptions.bar(self._now_us)
        if self._turn is not None or not self._reply_live or policy.mode == "never":
            return
        speech = self._speech
        verdict, evidence = judge(speech.text, speech.voiced_ms, final=False, stable=speech.stable, policy=policy)
        if verdict == "confirm":
            self._confirm("vad", evidence)

    def _judge_final(self, final: e.AsrFinal) -> None:
        """All that will be known of a sound is known."""
        policy, speech = self._interruptions.bar(self._now_us), self._speech
        verdict, evidence = judge(final.text, speech.voiced_ms, final=True, understood=final.understood, policy=policy)
        if policy.mode == "never" or verdict != "confirm":
            self._forget_speech()
            self._interruptions.dismiss(evidence, self.turn_id, self._now_us)
        elif self._reply_live:
            self._confirm("vad", evidence)
        else:
            self._open_turn()  # the reply that was spoken over has ended meanwhile

    def _confirm(self, by: str, evidence: str, played: e.Played | None = None) -> None:
        """Run the ladder; if the user is speaking, it is their turn."""
        reply = self._answering.reply
        before, answered = self._cut_offs.before(reply), reply is not None and bool(reply.text)
        hushed = says_stop(self._speech.text, self.policy.interruption)
        stop_id = self._interruptions.confirm(by, evidence, self.turn_id, self._now_us, played)
        if stop_id and evidence in SPOKEN_EVIDENCE:
            self._open_turn(replace(before, stop_id=stop_id) if before else None, broke_in=answered and not hushed)
            if not self._speech.active and self._speech.final is None:
                self._await_final()

    # ── explicit controls ────────────────────────────────────────────────────────────────

    def _on_control(self, fact: e.Event) -> None:
        match fact:
            case e.TextInput():
                self._on_text(fact)
            case e.ControlTalk():
                self._on_talk(fact)
            case e.ControlDone() if self._turn is not None:
                self._close_by("done")
            case e.ControlStop():
                if means(fact, self._answering.reply):
                    self._confirm(fact.source, "stop", fact.played)
                self._answering.proposals.stopped(fact)
            case e.ControlConfirm():
                self._on_card(fact)
            case e.DeviceCut() if means(fact, self._answering.reply):
                self._on_device_cut(fact)

    def _on_card(self, fact: e.ControlConfirm) -> None:
        """The card of a proposed action was answered. Whoever comes second is told that it is settled."""
        proposals = self._answering.proposals
        if not proposals.named(fact):
            self._out.add(Complaint(turn_id=self.turn_id, code="action.stale", message=CARD_STALE))
            return
        proposals.seen()
        if self._reply_live:
            self._confirm(fact.source, "card")
        self._close_turn_unanswered("card")
        self._open_turn()
        words = self.policy.actions.affirmations if fact.accept else self.policy.actions.refusals
        self._end_turn(words[0], understood=True, evidence={"control": "card"}, by=fact.source)

    def _on_talk(self, fact: e.ControlTalk) -> None:
        """Push-to-talk goes down or up."""
        holder = self._turn.held_by if self._turn is not None and self._turn.held else None
        if not fact.on:
            if holder == fact.source:
                self._close_by("push_to_talk")
            return
        if holder not in (None, fact.source):
            self._out.add(Complaint(turn_id=self.turn_id, code="talk.held", message=TALK_HELD))
            return
        self._on_device(fact)
        if self._reply_live:
            self._confirm(fact.source, "push_to_talk")
        if self._turn is None:
            self._open_turn()
        if self._turn is not None:
            self._turn.held, self._turn.held_by = True, fact.source
            self._deadlines.clear("endpoint", "final")

    def _on_device_cut(self, fact: e.DeviceCut) -> None:
        """The live device silenced its own playback, or takes that back."""
        if self._presence.elsewhere(fact):
            return
        if fact.undo:
            self._interruptions.undo(self.turn_id, self._now_us)
        elif self._reply_live and self.policy.interruption.mode != "never":
            self._interruptions.device_cut(fact, self.turn_id, self._now_us, hearing=self._speech.active)

    def _on_text(self, fact: e.TextInput) -> None:
        if not fact.text.strip():
            return
        reply = self._answering.reply
        when = self._steering.due(fact, self.policy.replies.steering, reply)
        if when == "now":
            self._apply_text(fact)
        else:
            self._steering.queue(fact, when, self.turn_id, reply.reply_id if reply else "")

    def _apply_text(self, fact: e.TextInput) -> None:
        self._steering.applied(fact)
        if self._reply_live:
            self._confirm(fact.source, "typed")
        self._close_turn_unanswered("typed")
        self._answering.proposals.passed_over(fact.seen_seq)
        self._open_turn()
        self._end_turn(fact.text.strip(), understood=True, evidence={"control": "typed"}, by="typed")

    def _close_by(self, control: Control) -> None:
        """An explicit control ends the turn as soon as its final text is known."""
        turn, speech = self._turn, self._speech
        if turn is None:
            return
        turn.control, turn.held = control, False
        self._deadlines.clear("endpoint")
        if speech.active or speech.final is None:
            speech.final = None
            turn.asked_utterance = speech.utterance
            self._out.add(AsrFinalize(turn_id=turn.turn_id))
            self._await_final()

    # ── the turn ─────────────────────────────────────────────────────────────────────────

    def _open_turn(self, continues: CutOff | None = None, *, broke_in: bool = False) -> None:
        self._turns += 1
        self.turn_id, continued = f"t{self._turns}", continues.turn_id if continues else ""
        self._turn = Turn(self.turn_id, continues=continues, broke_in=broke_in)
        self._out.add(TurnStart(turn_id=self.turn_id, feature=self._presence.feature, continues=continued))
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
        final, interruption = speech.final, self.policy.interruption
        if turn.continues:
            empty = self._is_false_turn(final)
            final = self._cut_offs.joined(turn.continues, final, empty=empty, policy=interruption)
            turn.joins = turn.continues.turn_id if final is not speech.final else ""
        judged = completeness(final.text, understood=final.understood)
        endpointing = self.policy.endpointing
        stable_us = speech.changed_us + endpointing.stable_ms * 1_000
        end_at_us = max(speech.end_us + delay_ms(judged, endpointing) * 1_000, stable_us)
        if turn.control or end_at_us <= self._now_us:
            self._end_by_evidence(turn, final, judged)
            return
        self._deadlines.set("endpoint", end_at_us)
        if self.policy.replies.speculate and not self._is_false_turn(final):
            self._speculate(turn.turn_id, final)

    def _speculate(self, turn_id: str, final: e.AsrFinal) -> None:
        """Answer before the turn has ended, unless that is under way."""
        agent = self._answering
        if agent.reply is not None and not agent.answers(final.text, understood=final.understood):
            agent.discard(self._now_us)
        if agent.proposals.verdict(final.text, understood=final.understood) != "other":
            return  # it confirms or refuses: there is nothing to prepare
        if agent.reply is None:
            agent.begin(turn_id, final.text, understood=final.understood, speculative=True, now_us=self._now_us)

    def _is_false_turn(self, final: e.AsrFinal) -> bool:
        control, voiced_ms = self._turn.control if self._turn else "", self._speech.voiced_ms
        joined = final is not self._speech.final  # it goes on with a turn that was none
        return not joined and is_false_turn(final, voiced_ms, self.policy.interruption, control)

    def _end_by_evidence(self, turn: Turn, final: e.AsrFinal, judged: str) -> None:
        evidence = self._speech.evidence(turn.control, judged, self._now_us)
        text = "" if self._is_false_turn(final) else final.text
        end_id = self._end_turn(text, understood=final.understood, evidence=evidence)
        if turn.broke_in and not text:
            self._answering.tell(NOT_CAUGHT, end_id)

    def _end_turn(self, text: str, *, understood: bool, evidence: dict[str, e.Json], by: str = "voice") -> str:
        turn = self._turn
        if turn is None:
            return ""
        ended = TurnEnd(turn_id=turn.turn_id, text=text, understood=understood, evidence=evidence)
        end_id = self._out.add(replace(ended, feature=self._presence.feature, joins=turn.joins if text else ""))
        self._turn = None
        self._cut_offs.ended(ended, end_id, self._now_us + self.policy.endpointing.rejoin_ms * 1_000, turn.continues)
        self._deadlines.clear("endpoint", "final", "max_turn")
        self._forget_speech()
        if text:
            self._answering.take_turn(turn.turn_id, text, understood=understood, by=by, now_us=self._now_us)
            self._answering.context.add(end_id)
        else:
            self._answering.discard(self._now_us)
            self._out.add(AgentStatus(turn_id=turn.turn_id, status="listening"))
        return end_id

    def _close_turn_unanswered(self, evidence: str) -> None:
        if self._turn is not None:
            self._end_turn("", understood=False, evidence={"control": evidence})

    def _forget_speech(self) -> None:
        """The audio heard so far belongs to nothing that will be answered."""
        self._speech = self._speech.forgotten()
        self._out.add(AsrReset(turn_id=self.turn_id))

    # ── time ─────────────────────────────────────────────────────────────────────────────

    def _on_deadlines(self) -> None:
        while (name := self._deadlines.pop_due(self._now_us)) is not None:
            match name:
                case "final":
                    self._on_final_missing()
                case "window" | "pause_limit":
                    self._interruptions.dismiss("no_words", self.turn_id, self._now_us)
                case "device_window":
                    self._interruptions.dismiss("not_borne_out", self.turn_id, self._now_us)
                case "moved":
                    self._interruptions.go_on(self._now_us)
                case "proposal":
                    self._answering.proposals.overdue(self._now_us, speaking=self._turn is not None)
                case "max_turn":
                    self._close_by("max_turn")
                case _:  # `endpoint` is nobody's: `_settle_turn` runs behind every fact
                    self._answering.on_deadline(name, self._now_us)

    def _on_final_missing(self) -> None:
        """The recogniser did not settle in time: its last hypothesis has to do, unconfirmed as it is."""
        speech = self._speech
        late_id = self._out.add(Complaint(turn_id=self.turn_id, code="asr.late", message=ASR_LATE))
        if not speech.text and speech.voiced_ms >= FALSE_TURN_VOICED_MS:
            self._close_turn_unanswered("asr_late")
            self._answering.tell(HEARING_FAILED, late_id)
            return
        speech.final = e.AsrFinal(utterance=speech.utterance, text=speech.text, understood=False)

    def _settle_steering(self) -> None:
        """A typed message that waits is the user's turn once its time has come."""
        if not self._steering or self._turn is not None or self._speech.active or self._answering.paused:
            return
        reply = self._answering.reply
        if reply is None or (reply.committed and self._steering.sentence_over(reply.reply_id, reply.playback)):
            self._apply_text(self._steering.take(self.turn_id))

    def _settle_announcements(self) -> None:
        """When nobody has the floor, say what is waiting to be said."""
        if self._presence and self._turn is None and self._answering.reply is None and not self._speech.active:
            self._answering.announce(self._now_us)
