"""Plays a conversation to the bare core, line by line.

    script = Script()
    script.says("what time is it")                  # onset, partials, stop, final text
    script.wait(100)                                # deadlines on the way are reported
    script.thinks("It is noon.").synthesised().plays(words=2)
    assert script.one(PlaybackStop).heard_text == "It is"

Every step is checked against the simulator's invariants too. Words last 100 ms each.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Literal, Self, TypeVar

from agent.conversation import decisions as d
from agent.conversation import events as e
from agent.conversation.core import Conversation
from agent.conversation.policy import Policy
from tests.simulation.invariants import Invariants

D = TypeVar("D", bound=e.Event)
WORD_SAMPLES = 4_800
HANGOVER_MS = 100


class Script:
    """`settings` change the policy; `device=False` leaves the session without a loudspeaker."""

    def __init__(self, settings: dict[str, e.Json] | None = None, *, device: bool = True, latency_ms: int = 0) -> None:
        self._begin()
        self.post(e.SessionCreated(policy=Policy().with_changes(settings or {}).to_dict(), engines={}))
        if device:
            self.post(e.DeviceJoined(device_id="d1", transport="test", output_latency_ms=latency_ms))

    def _begin(self) -> None:
        self.core = Conversation()
        self.rules = Invariants()
        self.now_ms = 1_000.0
        self.decisions: list[e.Event] = []
        self.step: list[e.Event] = []
        """What the last fact led to."""
        self.utterance = 0
        self.seq = 0
        """Of the last event, as a timeline would count them."""
        self.facts: list[tuple[e.Event, float]] = []
        """All that were posted, and when."""
        self._seqs: dict[str, int] = {}
        self._said: dict[str, int] = {}
        self._marked: dict[str, int] = {}

    # ── time and facts ───────────────────────────────────────────────────────────────────

    def post(self, fact: e.Event) -> list[e.Event]:
        """Handle a fact now; what it led to."""
        fact = replace(fact, event_id=fact.event_id or f"e{len(self.facts) + 1}")
        self.facts.append((fact, self.now_ms))
        self.step = list(self.core.handle(fact, int(self.now_ms * 1_000), self.seq + 1))
        self.decisions += self.step
        for event in (fact, *self.step):
            self.seq += 1
            self._seqs[event.event_id] = self.seq
            self.rules.see(event, self.seq)
        return self.step

    @classmethod
    def restored(cls, facts: Sequence[tuple[e.Event, float]]) -> Self:
        """A fresh core that was given these, as after a crash; with what it decided."""
        script = cls.__new__(cls)
        script._begin()
        for fact, script.now_ms in facts:
            script.post(fact)
        return script

    def wait(self, ms: float) -> Self:
        """Let time pass; deadlines come back when they are due."""
        until_ms = self.now_ms + ms
        while (wake_us := self.core.next_deadline_us()) is not None and wake_us <= until_ms * 1_000:
            self.now_ms = max(self.now_ms, wake_us / 1_000)
            self.post(e.DeadlinePassed())
        self.now_ms = until_ms
        return self

    # ── the user ─────────────────────────────────────────────────────────────────────────

    def starts(self) -> Self:
        self.utterance += 1
        self.post(e.SpeechStarted(utterance=self.utterance, onset_us=int(self.now_ms * 1_000)))
        return self

    def voiced(self, ms: int) -> Self:
        self.post(e.SpeechVoiced(utterance=self.utterance, voiced_ms=ms))
        return self

    def partial(self, text: str, stable: int = 0) -> Self:
        self.post(e.AsrPartial(utterance=self.utterance, text=text, stable=stable))
        return self

    def stops(self, voiced_ms: int = 0) -> Self:
        end_us = int((self.now_ms - HANGOVER_MS) * 1_000)
        self.post(e.SpeechStopped(utterance=self.utterance, end_us=end_us, voiced_ms=voiced_ms))
        return self

    def final(self, text: str, *, understood: bool = True, utterance: int | None = None) -> Self:
        self.post(e.AsrFinal(utterance=utterance or self.utterance, text=text, understood=understood))
        return self

    def says(self, text: str, *, ms: int = 800, voiced_ms: int = 400, understood: bool = True) -> Self:
        """A whole utterance, its final text 20 ms behind its stop (and 120 ms behind its end)."""
        self.starts().wait(ms).partial(text).stops(voiced_ms).wait(20)
        return self.final(text, understood=understood)

    def types(self, text: str = "hello", *, when: Literal["", "now", "sentence", "after"] = "") -> Self:
        self.post(e.TextInput(text=text, source="device:d1", when=when))
        return self

    def answers_card(self, action_id: str, *, accept: bool) -> Self:
        self.post(e.ControlConfirm(action_id=action_id, accept=accept, source="device:d1"))
        return self

    # ── the loops ────────────────────────────────────────────────────────────────────────

    @property
    def reply_id(self) -> str:
        """The last reply that began."""
        begun = [x for x in self.decisions if isinstance(x, d.ModelStart | d.PlaybackRelease)]
        return begun[-1].reply_id

    @property
    def model(self) -> d.ModelStart:
        return self.all(d.ModelStart)[-1]

    def token(self, text: str) -> Self:
        self.post(e.ModelToken(reply_id=self.model.reply_id, step=self.model.step, text=text))
        return self

    def done(self, error: str = "") -> Self:
        self.post(e.ModelDone(reply_id=self.model.reply_id, step=self.model.step, error=error))
        return self

    def thinks(self, text: str) -> Self:
        """The brain's whole step is this text."""
        return self.token(text).done()

    def calls(
        self,
        call_id: str,
        effect: e.Effect = "read",
        *,
        risk: Literal["low", "high"] = "low",
        name: str = "a_tool",
        **fields: Any,
    ) -> Self:
        model = self.model
        self.post(
            e.ToolCall(
                reply_id=model.reply_id, step=model.step, call_id=call_id, name=name, arguments={}, effect=effect,
                risk=risk, event_id=f"{model.reply_id}-{call_id}-call", **fields,
            )
        )  # fmt: skip
        return self

    def result(self, call_id: str, *, ok: bool = True, reply_id: str = "", **fields: Any) -> Self:
        reply_id = reply_id or self.reply_id
        event_id = f"{reply_id}-{call_id}-result"
        self.post(e.ToolResult(reply_id=reply_id, call_id=call_id, ok=ok, event_id=event_id, **fields))
        return self

    def synthesised(self) -> Self:
        """Everything that was asked for so far lies in the playout."""
        for say in self.all(d.TtsSay):
            if say.reply_id == self.reply_id and say.chunk >= self._chunks(say.reply_id):
                self.chunk(say)
        return self

    def chunk(self, say: d.TtsSay) -> Self:
        start = self._said.get(say.reply_id, 0)
        words, at, text_end = [], start, 0
        for word in say.text.split():
            text_end = say.text.index(word, text_end) + len(word)
            words.append(e.Word(at, at + WORD_SAMPLES, text_end))
            at += WORD_SAMPLES
        self._said[say.reply_id] = at
        self._marked[say.reply_id] = say.chunk + 1
        self.post(
            e.TtsChunk(
                reply_id=say.reply_id, chunk=say.chunk, text=say.text, phase=say.phase, rests_on=say.rests_on,
                start_sample=start, samples=at - start, words=tuple(words),
            )
        )  # fmt: skip
        return self

    def _chunks(self, reply_id: str) -> int:
        return self._marked.get(reply_id, 0)

    def plays(self, words: float) -> Self:
        """The playout has sent this many words of the reply, counted from its start."""
        reply_id = self.reply_id
        if not self.rules.counts.get(f"played {reply_id}"):
            self.rules.counts[f"played {reply_id}"] = 1
            self.post(e.PlaybackStarted(reply_id=reply_id))
        return self.mark(words)

    def mark(self, words: float) -> Self:
        self.post(e.PlaybackMark(reply_id=self.reply_id, sample=int(words * WORD_SAMPLES)))
        return self

    def plays_out(self) -> Self:
        self.synthesised()
        return self.plays(self._said[self.reply_id] / WORD_SAMPLES)

    def acks(self) -> Self:
        """Every cancellation so far is acknowledged."""
        for request in self.all(d.CancelRequested):
            self.post(e.CancelAck(reply_id=request.reply_id, target=request.target))
        return self

    def speaking(self, text: str = "One two three four five six.", *, heard: float = 2) -> Self:
        """A typed question is being answered; this many words of the answer were sent."""
        return self.types().thinks(text).synthesised().plays(heard)

    # ── what came of it ──────────────────────────────────────────────────────────────────

    def all(self, type_: type[D]) -> list[D]:
        return [decision for decision in self.decisions if isinstance(decision, type_)]

    def one(self, type_: type[D]) -> D:
        found = self.all(type_)
        assert len(found) == 1, f"{len(found)} {type_.__name__} among {names(self.decisions)}"
        return found[0]

    def last(self, type_: type[D]) -> D:
        return self.all(type_)[-1]

    def none(self, *types: type[e.Event]) -> bool:
        return not any(isinstance(decision, types) for decision in self.decisions)

    def seq_of(self, event: e.Event) -> int:
        """Its place on the timeline."""
        return self._seqs[event.event_id]

    @property
    def texts(self) -> list[str]:
        """What was given to the voice, in order."""
        return [say.text for say in self.all(d.TtsSay)]

    @property
    def turns(self) -> list[str]:
        return [turn.text for turn in self.all(d.TurnEnd)]


def names(decisions: Sequence[e.Event]) -> list[str]:
    """Timeline types, with the target of a cancellation and the status of the agent."""
    return [
        decision.type + ":" + decision.target if isinstance(decision, d.CancelRequested)
        else decision.type + ":" + decision.status if isinstance(decision, d.AgentStatus)
        else decision.type
        for decision in decisions
    ]  # fmt: skip
