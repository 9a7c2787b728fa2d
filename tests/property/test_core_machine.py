"""Any order of facts at all: the core keeps its rules and replays to the same decisions.

Hypothesis chooses every fact itself and shrinks what it finds, where the simulator plays
plausible loops. So here a loop may answer late, twice, for the wrong reply, or never.
"""

from __future__ import annotations

from dataclasses import replace

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from agent.conversation import decisions as d
from agent.conversation import events as e
from agent.conversation.core import Conversation
from agent.conversation.policy import Policy
from tests.simulation.invariants import Invariants

TEXTS = st.sampled_from(("what time is it", "set a timer and", "stop", "uh", "", "add that"))
SPOKEN = st.sampled_from(("It is noon. ", "Well, then, ", "no end", "", "One. Two. Three. "))
CALLS = st.sampled_from(("c1", "c2", "c3"))
POLICIES = st.fixed_dictionaries(
    {
        "endpointing.floor_ms": st.sampled_from((0, 160)),
        "endpointing.stable_ms": st.sampled_from((0, 300)),
        "interruption.mode": st.sampled_from(("graded", "never", "any_sound")),
        "interruption.resume_at": st.sampled_from(("word", "sample")),
        "replies.speculate": st.booleans(),
        "replies.context_events": st.sampled_from((2, 64)),
        "replies.max_steps": st.sampled_from((1, 6)),
    }
)
WORD_SAMPLES = 4_800


class CoreMachine(RuleBasedStateMachine):
    """One conversation whose loops are the dice."""

    @initialize(changes=POLICIES, speaker=st.booleans())
    def begin(self, changes: dict[str, e.Json], speaker: bool) -> None:
        self.core = Conversation()
        self.rules = Invariants()
        self.now_us = 1_000_000
        self.facts: list[tuple[e.Event, int, int]] = []
        self.decided: list[tuple[d.Decision, ...]] = []
        self.utterance = 0
        self.models: list[tuple[str, int]] = [("r9", 1)]
        self.says: list[d.TtsSay] = []
        self.ends: dict[str, int] = {}
        self.post(e.SessionCreated(policy=Policy().with_changes(changes).to_dict(), engines={}))
        self.post(e.DeviceJoined(device_id="d1", transport="test", speaker=speaker, output_latency_ms=100))

    def post(self, fact: e.Event) -> None:
        fact = replace(fact, event_id=f"e{len(self.facts) + 1}")
        seq = len(self.facts) + sum(map(len, self.decided)) + 1
        decisions = self.core.handle(fact, self.now_us, seq)
        self.facts.append((fact, self.now_us, seq))
        self.decided.append(decisions)
        for place, event in enumerate((fact, *decisions), seq):
            self.rules.see(event, place)
            if isinstance(event, d.ModelStart):
                self.models.append((event.reply_id, event.step))
            elif isinstance(event, d.TtsSay):
                self.says.append(event)

    @rule(ms=st.sampled_from((1, 40, 200, 1_000, 20_000)))
    def time_passes(self, ms: int) -> None:
        until_us = self.now_us + ms * 1_000
        while (wake_us := self.core.next_deadline_us()) is not None and wake_us <= until_us:
            self.now_us = max(self.now_us, wake_us)
            self.post(e.DeadlinePassed())
            after_us = self.core.next_deadline_us()
            assert after_us is None or after_us > self.now_us, "a deadline that passed is still set"
        self.now_us = until_us

    # ── the user ─────────────────────────────────────────────────────────────────────────

    @rule()
    def speech_starts(self) -> None:
        self.utterance += 1
        self.post(e.SpeechStarted(utterance=self.utterance, onset_us=self.now_us))

    @rule(ms=st.sampled_from((100, 300, 700)))
    def speech_is_voiced(self, ms: int) -> None:
        self.post(e.SpeechVoiced(utterance=self.utterance, voiced_ms=ms))

    @rule(ms=st.sampled_from((0, 300)))
    def speech_stops(self, ms: int) -> None:
        self.post(e.SpeechStopped(utterance=self.utterance, end_us=self.now_us - 100_000, voiced_ms=ms))

    @rule(text=TEXTS)
    def a_partial(self, text: str) -> None:
        self.post(e.AsrPartial(utterance=self.utterance, text=text))

    @rule(text=TEXTS, understood=st.booleans(), ago=st.sampled_from((0, 0, 0, 1)))
    def a_final(self, text: str, understood: bool, ago: int) -> None:
        self.post(e.AsrFinal(utterance=self.utterance - ago, text=text, understood=understood))

    @rule(text=TEXTS.filter(bool), voiced_ms=st.sampled_from((0, 200, 500)), wait_ms=st.sampled_from((1, 400, 1_000)))
    def an_utterance(self, text: str, voiced_ms: int, wait_ms: int) -> None:
        """All of it at once: chance alone rarely completes one."""
        self.speech_starts()
        self.time_passes(200)
        self.speech_stops(voiced_ms)
        self.a_final(text, understood=True, ago=0)
        self.time_passes(wait_ms)

    @rule(
        fact=st.sampled_from(
            (
                e.ControlTalk(on=True, source="device:d1"),
                e.ControlTalk(on=False, source="device:d1"),
                e.ControlDone(),
                e.ControlStop(),
                e.DeviceCut(source="device:d1"),
                e.DeviceCut(source="device:d1", undo=True),
                e.TextInput(text="hello"),
                e.TextInput(text="yes"),
                e.TextInput(text="hello", when="sentence"),
                e.ReminderDue(reminder_id="m", text="Your tea is ready."),
                e.DeviceLeft(device_id="d1", reason="test"),
                e.DeviceJoined(device_id="d1", transport="test"),
                e.SessionResumed(),
            )
        )
    )
    def something_else(self, fact: e.Event) -> None:
        self.post(fact)

    @rule(ago=st.integers(0, 40))
    def an_old_stop(self, ago: int) -> None:
        seen_seq = len(self.facts) + sum(map(len, self.decided)) - ago
        self.post(e.ControlStop(source="device:d1", seen_seq=max(0, seen_seq)))

    @precondition(lambda self: self.rules.asked)
    @rule(accept=st.booleans(), data=st.data())
    def a_card_is_answered(self, accept: bool, data: st.DataObject) -> None:
        action_id = data.draw(st.sampled_from(sorted(self.rules.asked)))
        self.post(e.ControlConfirm(action_id=action_id, accept=accept, source="device:d1"))

    @rule()
    def hearing_fails(self) -> None:
        self.post(e.AsrFailed(utterance=self.utterance, message="died"))

    # ── the loops ────────────────────────────────────────────────────────────────────────

    @rule(text=SPOKEN, data=st.data())
    def a_token(self, text: str, data: st.DataObject) -> None:
        reply_id, step = data.draw(st.sampled_from(self.models[-2:]))
        self.post(e.ModelToken(reply_id=reply_id, step=step, text=text))

    @rule(call_id=CALLS, effect=st.sampled_from(("read", "write")), risk=st.sampled_from(("low", "low", "high")))
    def a_call(self, call_id: str, effect: e.Effect, risk: str) -> None:
        reply_id, step = self.models[-1]
        self.post(
            e.ToolCall(
                reply_id=reply_id, step=step, call_id=call_id, name="tool", arguments={}, effect=effect,
                risk="high" if risk == "high" else "low",
            )
        )  # fmt: skip

    @rule(error=st.sampled_from(("", "", "boom")))
    def the_model_is_done(self, error: str) -> None:
        reply_id, step = self.models[-1]
        self.post(e.ModelDone(reply_id=reply_id, step=step, error=error))

    @precondition(lambda self: self.rules.live())
    @rule(text=SPOKEN, call=st.sampled_from((None, None, "read", "write")))
    def a_step(self, text: str, call: e.Effect | None) -> None:
        """A whole step of the model."""
        reply_id, step = self.models[-1]
        self.post(e.ModelToken(reply_id=reply_id, step=step, text=text))
        if call is not None:
            self.a_call(f"s{step}", call, "low")
        self.the_model_is_done("")
        if call is not None:
            self.time_passes(40)
            self.post(e.ToolResult(reply_id=reply_id, call_id=f"s{step}", ok=True))

    @rule(call_id=CALLS, ok=st.booleans(), back=st.sampled_from((1, 1, 2)))
    def a_result(self, call_id: str, ok: bool, back: int) -> None:
        reply_id, _ = self.models[-min(back, len(self.models))]
        self.post(e.ToolResult(reply_id=reply_id, call_id=call_id, ok=ok))

    @precondition(lambda self: self.rules.results)
    @rule(data=st.data())
    def a_result_is_corrected(self, data: st.DataObject) -> None:
        corrects = data.draw(st.sampled_from(sorted(self.rules.results)))
        self.post(e.ToolResult(reply_id="r1", call_id="c1", ok=True, corrects=corrects, message="it is one"))

    @precondition(lambda self: self.says)
    @rule(fails=st.sampled_from((False, False, False, True)))
    def speech_is_synthesised(self, fails: bool) -> None:
        say = self.says.pop(0)
        if fails:
            self.post(e.TtsFailed(reply_id=say.reply_id, chunk=say.chunk, message="no voice"))
            return
        start = at = self.ends.get(say.reply_id, 0)
        words, text_end = [], 0
        for word in say.text.split():
            text_end = say.text.index(word, text_end) + len(word)
            words.append(e.Word(at, at + WORD_SAMPLES, text_end))
            at += WORD_SAMPLES
        self.ends[say.reply_id] = at
        self.post(
            e.TtsChunk(
                reply_id=say.reply_id, chunk=say.chunk, text=say.text, phase=say.phase, rests_on=say.rests_on,
                start_sample=start, samples=at - start, words=tuple(words),
            )
        )  # fmt: skip

    @rule(words=st.sampled_from((0.5, 1, 2.5, 100)))
    def it_is_played(self, words: float) -> None:
        released = [reply_id for reply_id, reply in self.rules.replies.items() if reply.released and not reply.done]
        for reply_id in released:
            self.post(e.PlaybackStarted(reply_id=reply_id))
            self.post(e.PlaybackMark(reply_id=reply_id, sample=min(self.ends.get(reply_id, 0), int(words * 4_800))))

    @rule()
    def cancellations_are_acked(self) -> None:
        for reply_id, target in set(self.rules.cancels) - set(self.rules.acked):
            self.post(e.CancelAck(reply_id=reply_id, target=target))

    # ── what must hold ───────────────────────────────────────────────────────────────────

    @invariant()
    def a_suspicion_has_a_deadline(self) -> None:
        if self.rules.suspected:
            assert self.core.next_deadline_us() is not None

    def teardown(self) -> None:
        if not hasattr(self, "core"):
            return
        self.post(e.SessionClosed(reason="test"))
        assert not self.rules.live()
        assert not self.rules.open_turn
        fresh = Conversation()
        for (fact, now_us, seq), decisions in zip(self.facts, self.decided, strict=True):
            assert fresh.handle(fact, now_us, seq) == decisions, f"replay differs at {fact}"


CoreMachine.TestCase.settings = settings(
    max_examples=120,
    stateful_step_count=60,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)
TestCoreMachine = CoreMachine.TestCase
