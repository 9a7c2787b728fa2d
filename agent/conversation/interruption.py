"""Grading of sounds that come while the agent has the floor.

    state      on                                               becomes
    clear      speech onset, a device's own cut                 suspected   playout pauses
    clear      explicit control, typed text                     confirmed   ladder
    suspected  enough words, enough voiced speech, control      confirmed   ladder
    suspected  backchannel, no words within the window, undo,
               a device's cut that nothing bears out            clear       playout resumes

False alarms in a row make it wary: playback then pauses only for speech that is voiced, and
more voiced speech is needed to confirm. A real interruption, and time, bring it back.

What was dismissed for want of words may still be confirmed by words that come late.
`mode = "never"` leaves clear only by explicit control; `"any_sound"` confirms at the onset.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from agent.conversation.announcements import SayAgain
from agent.conversation.answering import Answering
from agent.conversation.deadlines import Deadlines
from agent.conversation.decisions import (
    AgentStatus,
    InterruptionConfirmed,
    InterruptionDismissed,
    InterruptionSuspected,
)
from agent.conversation.events import REPLY_RATE, DeviceCut, Played
from agent.conversation.ladder import Heard
from agent.conversation.outbox import Outbox
from agent.conversation.policy import MAX_VOICED_MS, PUNCTUATION, Interruption
from agent.conversation.presence import Presence
from agent.conversation.reply import Reply

Verdict = Literal["confirm", "dismiss", "wait"]

SPOKEN_EVIDENCE = ("words", "voiced", "any_sound")
"""What interrupts by being said is the beginning of the user's turn."""
NOBODY_THERE = ("device_left", "restart")
"""Whoever was listening did not interrupt: the connection went, or the process."""
FINAL_VOICED_MS = 150
"""A final text needs no more voiced speech than this."""


@dataclass(slots=True)
class Suspicion:
    """An interruption that is neither confirmed nor dismissed yet."""

    device_cut: bool
    """The device silenced itself: what was on its way to the ear was not heard."""
    borne_out: bool
    """The server's own VAD hears something too."""
    played: Played | None = None
    """Where the device says that it silenced itself."""


def meaningful_words(text: str, policy: Interruption) -> int:
    """Words of a hypothesis that are no backchannel, nor part of one."""
    backchannels = policy.spoken_backchannels
    words = [word for part in text.lower().split() if (word := part.strip(PUNCTUATION))]
    longest = max((phrase.count(" ") + 1 for phrase in backchannels), default=0)
    count = at = 0
    while at < len(words):
        span = next((n for n in range(longest, 0, -1) if " ".join(words[at : at + n]) in backchannels), 0)
        count += not span
        at += span or 1
    return count


def _running_words(text: str, stable: int, policy: Interruption) -> int:
    """Its last word is a guess, and no evidence, unless it is stable: a hummed "mm-hm" is "and" and "um how" for
    a moment, and "mhm" in the end. But who begins with "stop" need not say more."""
    if stable >= len(text.rstrip(PUNCTUATION + " ")):
        return meaningful_words(text, policy)
    *settled, guess = text.split() or [""]
    stops = not settled and guess.lower().strip(".,!?") in policy.stop_words
    return 1 if stops else meaningful_words(" ".join(settled), policy)


def says_stop(text: str, policy: Interruption) -> bool:
    """Whether one of its words stops."""
    return any(word.strip(".,!?") in policy.stop_words for word in text.lower().split())


def judge(
    text: str, voiced_ms: int, *, final: bool, policy: Interruption, understood: bool = True, stable: int = 0
) -> tuple[Verdict, str]:
    """Judge what is known of a sound: the verdict and the evidence for it.

    While it goes on only strong evidence counts. Once its text is final, words that a skill
    knows confirm, and so do two others; a single word that nothing understands does not. A
    single short word is as likely a cough or an "uh" misheard, unless it is one that stops.
    """
    if voiced_ms >= policy.voiced_ms:
        return "confirm", "voiced"
    words = meaningful_words(text, policy) if final else _running_words(text, stable, policy)
    needed_ms = min(policy.words_voiced_ms, FINAL_VOICED_MS) if final else policy.words_voiced_ms
    if words == 1 and not says_stop(text, policy):
        needed_ms = max(needed_ms, policy.one_word_voiced_ms)
    needed = policy.min_words if understood or not final else max(2, policy.min_words)
    if words >= needed and voiced_ms >= needed_ms:
        return "confirm", "words"
    if not final:
        return "wait", ""
    return "dismiss", "backchannel" if text.strip() and not words else "no_words"


def _say_again(evidence: str) -> SayAgain:
    return "never" if evidence == "stop" else "unfinished" if evidence in NOBODY_THERE else "unheard"


class Interruptions:
    """Suspects, confirms and dismisses interruptions of the live, committed reply."""

    def __init__(
        self, policy: Interruption, answering: Answering, presence: Presence, outbox: Outbox, deadlines: Deadlines
    ) -> None:
        self.policy = policy
        self._answering = answering
        self._presence = presence
        self._out = outbox
        self._deadlines = deadlines
        self._suspicion: Suspicion | None = None
        self._false_alarms = 0
        self._alarm_us = 0
        self._tail_samples = 0
        """What was sent last to the device that was live before, and not heard there."""
        self._moved_from: Played | None = None
        """How far the reply was audible there, where that is known better."""
        self._let_pass = False
        """The sound that goes on did not pause playback, for want of voice so far."""

    def false_alarms(self, now_us: int) -> int:
        """False alarms in a row that are not forgotten yet."""
        forgotten = (now_us - self._alarm_us) // (self.policy.wary_decay_ms * 1_000)
        return max(0, self._false_alarms - forgotten)

    def bar(self, now_us: int) -> Interruption:
        """The policy by which a sound is judged now."""
        beyond = self.false_alarms(now_us) - self.policy.wary_after + 1
        if beyond <= 0:
            return self.policy
        percent = min(200, 100 + beyond * self.policy.wary_raise_percent)
        names = ("words_voiced_ms", "one_word_voiced_ms", "voiced_ms")
        return replace(
            self.policy, **{name: min(MAX_VOICED_MS, getattr(self.policy, name) * percent // 100) for name in names}
        )

    def sound_began(self, turn_id: str, now_us: int) -> None:
        """The server's VAD hears something."""
        self._let_pass = self._suspicion is None and self.false_alarms(now_us) >= self.policy.wary_after
        if self._suspicion is not None:
            self._suspicion.borne_out = True
            self._deadlines.clear("window", "device_window")
        elif not self._let_pass:
            self._suspect("vad", Suspicion(device_cut=False, borne_out=True), turn_id, now_us)

    def sound_voiced(self, turn_id: str, now_us: int) -> None:
        """What it hears is periodic: a voice, and no door."""
        if self._let_pass:
            self._let_pass = False
            self._suspect("vad", Suspicion(device_cut=False, borne_out=True), turn_id, now_us)

    def sound_ended(self, now_us: int) -> None:
        if self._suspicion is not None:
            self._deadlines.set("window", now_us + self.policy.window_ms * 1_000)

    def device_cut(self, cut: DeviceCut, turn_id: str, now_us: int, *, hearing: bool) -> None:
        """A device silenced its own playback. `hearing`: the server's VAD hears something too."""
        if self._suspicion is not None:
            self._suspicion.device_cut = True
            self._suspicion.played = self._suspicion.played or cut.played
            return
        suspicion = Suspicion(device_cut=True, borne_out=hearing, played=cut.played)
        self._suspect(cut.source, suspicion, turn_id, now_us)
        if not hearing:
            self._deadlines.set("device_window", now_us + self.policy.device_window_ms * 1_000)

    def undo(self, turn_id: str, now_us: int) -> None:
        """The device takes its cut back; what the server hears itself is judged all the same."""
        if self._suspicion is not None and self._suspicion.device_cut and not self._suspicion.borne_out:
            self.dismiss("undo", turn_id, now_us)

    def confirm(self, by: str, evidence: str, turn_id: str, now_us: int, played: Played | None = None) -> str:
        """Run the ladder. Returns the event id of `playback.stop`, empty if there was nothing to
        interrupt. `played`: where the device that interrupts silenced itself."""
        reply = self._answering.reply
        if reply is None or not reply.committed:
            return ""
        heard_samples, method = self._where_heard(reply, played)
        self._clear()
        self._false_alarms = 0
        self._out.add(InterruptionConfirmed(turn_id=turn_id, reply_id=reply.reply_id, evidence=evidence))
        stop_id = self._answering.interrupt(by, heard_samples, method, now_us, say_again=_say_again(evidence))
        self._out.add(AgentStatus(turn_id=turn_id, status="interrupted", detail=evidence))
        return stop_id

    def dismiss(self, evidence: str, turn_id: str, now_us: int) -> None:
        """It was no interruption: play on."""
        reply = self._answering.reply
        if self._suspicion is None or reply is None:
            return
        heard_samples, _ = self._where_heard(reply)
        self._clear()
        self._false_alarms, self._alarm_us = self.false_alarms(now_us) + 1, now_us
        self._out.add(InterruptionDismissed(turn_id=turn_id, reply_id=reply.reply_id, evidence=evidence))
        self._answering.resume(heard_samples, self.policy.resume_at, now_us)

    def moved(self, latency_ms: int, turn_id: str, now_us: int, played: Played | None = None) -> None:
        """Another device is live: the reply goes on there from where it stopped being audible at the one before:
        `played`, or `latency_ms` behind what was sent, once it is known how much that was. What was suspected there
        is not judged any more."""
        reply = self._answering.reply
        if reply is None or not reply.committed or reply.playback.state not in ("playing", "paused"):
            return
        self._tail_samples, self._moved_from = latency_ms * REPLY_RATE // 1_000, played
        if self._suspicion is not None:
            heard_samples, _ = self._where_heard(reply, played)
            self._clear()
            self._out.add(InterruptionDismissed(turn_id=turn_id, reply_id=reply.reply_id, evidence="moved"))
            self._answering.resume(heard_samples, self.policy.resume_at, now_us)
            return
        self._answering.pause()
        self._deadlines.set("moved", now_us)

    def go_on(self, now_us: int) -> None:
        """At the new device, unless something is suspected there already."""
        reply = self._answering.reply
        if self._suspicion is None and reply is not None:
            heard_samples, _ = self._where_heard(reply, self._moved_from)
            self._answering.resume(heard_samples, self.policy.resume_at, now_us)
            self._tail_samples, self._moved_from = 0, None

    def _suspect(self, by: str, suspicion: Suspicion, turn_id: str, now_us: int) -> None:
        reply = self._answering.reply
        if reply is None or self._suspicion is not None:
            return
        self._suspicion = suspicion
        self._out.add(InterruptionSuspected(turn_id=turn_id, reply_id=reply.reply_id, by=by))
        self._answering.pause()
        self._deadlines.set("pause_limit", now_us + self.policy.pause_limit_ms * 1_000)

    def _where_heard(self, reply: Reply, played: Played | None = None) -> tuple[int, Heard]:
        """The reply sample up to which it was audible, and how that is known."""
        sent, suspicion = reply.playback.sent_samples, self._suspicion
        if suspicion is not None and suspicion.device_cut:
            played = suspicion.played or played
        if played is not None and played.reply_id == reply.reply_id:
            return max(0, min(sent, played.sample)), played.method
        if suspicion is None or not suspicion.device_cut:
            return max(0, sent - self._tail_samples), "sent"
        return max(0, sent - self._presence.output_latency_ms * REPLY_RATE // 1_000), "device_cut"

    def _clear(self) -> None:
        self._suspicion = None
        self._tail_samples, self._moved_from = 0, None
        self._deadlines.clear("window", "device_window", "pause_limit", "moved")
