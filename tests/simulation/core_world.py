"""A seeded world around the bare core: fake loops, a fake user, faults. Pure and in virtual time.

Everything is a scheduled fact. Decisions come back to `World.obey`, which schedules what a loop
would do about them: late, twice, wrongly or never, as the dice have it.
"""

from __future__ import annotations

import heapq
import random
from collections.abc import Callable
from dataclasses import replace

from agent.conversation import decisions as d
from agent.conversation import events as e
from agent.conversation.core import Conversation
from agent.conversation.policy import Actions, Endpointing, Interruption, Policy, Replies
from tests.simulation.invariants import Invariants

PHRASES = (
    "what time is it", "set a timer for ten minutes", "and", "add milk to", "stop", "uh", "yeah", "never mind", "",
    "the", "tell me a story please", "remind me to call mom", "yes", "yes send it", "no",
)  # fmt: skip
SENTENCES = (
    "It is nine.",
    "Well, let me think about this, there are many ways.",
    "Once upon a time there was a fox. It ran. It slept.",
    "Done.",
    "",
)
CHANGES: tuple[dict[str, e.Json], ...] = (
    {"interruption.mode": "never"},
    {"interruption.mode": "graded", "interruption.resume_at": "sample"},
    {"endpointing.floor_ms": 700, "endpointing.neutral_ms": 900},
    {"endpointing.floor_ms": 100_000},
    {"replies.context_events": 3, "replies.speculate": False},
    {"actions.low_risk": "ask", "replies.steering": "after"},
    {"actions.low_risk": "policy", "replies.steering": "now"},
)
MS = 1_000
SAMPLES_PER_MS = 48
GRACE_US = 2_000_000
"""How long a closed session still takes how its actions end."""
OUTCOMES = (d.ActionCommitted, d.ActionFailed, d.ActionUnknown, d.ActionReverted)


class World:
    """One conversation. `run` plays it to the end and raises `Violation` if a rule breaks."""

    def __init__(self, seed: int) -> None:
        self.dice = random.Random(seed)
        self.core = Conversation()
        self.rules = Invariants()
        self.now_us = 0
        self.facts: list[tuple[e.Event, int, int]] = []
        self.seq = 0
        self.decided: list[tuple[d.Decision, ...]] = []
        self._heap: list[tuple[int, int, Callable[[], e.Event | None]]] = []
        self._count = 0
        self._utterance = 0
        self._playing: dict[str, Player] = {}
        self._cancelled: set[tuple[str, str]] = set()
        self._running: set[tuple[str, str]] = set()
        self._spoken_until: dict[str, int] = {}
        self._faulty = self.dice.random() < 0.5
        self._closed = False
        self.lag = random.Random(f"lag {seed}")
        self.focus = random.Random(f"focus {seed}")
        self.asides = random.Random(f"asides {seed}")
        hang_up = random.Random(f"hang up {seed}")  # of their own: the other dice fall as they did before
        self._hangs_up_us = hang_up.randint(500, 12_000) * MS if hang_up.random() < 0.2 else None

    # ── the machine ──────────────────────────────────────────────────────────────────────

    def at(self, delay_ms: float, make: Callable[[], e.Event | None] | e.Event) -> None:
        """Post a fact after a delay; a callable makes it (or decides against it) at that time."""
        self._count += 1
        maker = make if callable(make) else (lambda fact=make: fact)
        heapq.heappush(self._heap, (self.now_us + int(delay_ms * MS), self._count, maker))

    def run(self) -> None:
        self.post(e.SessionCreated(policy=self._policy().to_dict(), engines={}))
        latency_ms, speaker = self.dice.choice((0, 60, 150)), self.dice.random() < 0.9
        self.post(e.DeviceJoined(device_id="d1", transport="sim", speaker=speaker, output_latency_ms=latency_ms))
        for _ in range(self.dice.randint(2, 9)):
            self.at(self.dice.randint(0, 12_000), self._something)
        for _ in range(self.focus.choice((0, 0, 1, 4))):
            self.at(self.focus.randint(0, 12_000), self._take_over)
        for _ in range(3_000):
            wake_us = self.core.next_deadline_us()
            if (not self._heap and wake_us is None) or (self._hangs_up_us or self.now_us + 1) <= self.now_us:
                break
            if self._heap and (wake_us is None or self._heap[0][0] <= wake_us):
                at_us, _, make = heapq.heappop(self._heap)
                self.now_us = max(self.now_us, at_us)
                if (fact := make()) is not None:
                    self.post(fact)
            else:
                assert wake_us is not None
                self.now_us = max(self.now_us, wake_us)
                self.post(e.DeadlinePassed())
        else:
            raise AssertionError("the conversation never comes to rest")
        if self._hangs_up_us is None:
            self.rules.finish()
        self._close()
        self.check_replay()

    def _close(self) -> None:
        """Hang up, perhaps in the midst of it, and see that only how actions end is still recorded."""
        self.post(e.SessionClosed(reason="test"))
        assert not self.rules.live(), "a closed session speaks"
        assert not self.rules.open_turn, "a closed session listens"
        assert not self.rules.open_actions(), "a closed session leaves open whether something was done"
        self._closed, closed_us, steps = True, self.now_us, len(self.decided)
        while self._heap and self._heap[0][0] <= closed_us + GRACE_US:
            at_us, _, make = heapq.heappop(self._heap)
            self.now_us = max(self.now_us, at_us)
            if (fact := make()) is not None:
                self.post(fact)
        late = [decision for decisions in self.decided[steps:] for decision in decisions]
        assert all(isinstance(decision, OUTCOMES) for decision in late), "something begins in the grace"
        assert not self.rules.unsettled, f"the outcome of {self.rules.unsettled} is not recorded"

    def post(self, fact: e.Event) -> None:
        if self._closed and not isinstance(fact, e.ToolResult):
            return  # as the driver has it
        fact = replace(fact, event_id=fact.event_id or f"e{len(self.facts) + 1}")
        decisions = self.core.handle(fact, self.now_us, self.seq + 1)
        self.facts.append((fact, self.now_us, self.seq + 1))
        self.decided.append(decisions)
        for event in (fact, *decisions):
            self.seq += 1
            self.rules.see(event, self.seq)
        for decision in decisions:
            self.obey(decision)

    def check_replay(self) -> None:
        fresh = Conversation()
        for (fact, now_us, seq), decisions in zip(self.facts, self.decided, strict=True):
            assert fresh.handle(fact, now_us, seq) == decisions, f"replay differs at {fact}"

    def _policy(self) -> Policy:
        dice = self.dice
        return Policy(
            Endpointing(floor_ms=dice.choice((0, 160, 500)), stable_ms=dice.choice((0, 0, 200))),
            Interruption(mode=dice.choice(("graded", "graded", "graded", "never", "any_sound"))),
            Replies(speculate=dice.random() < 0.8, preface_after_ms=dice.choice((0, 300, 700)), model_timeout_ms=3_000,
                    tool_timeout_ms=2_000, tts_timeout_ms=dice.choice((500, 10_000)),
                    dead_air_ms=dice.choice((500, 5_000)),
                    steering=dice.choice(("now", "sentence", "after"))),
            Actions(low_risk=dice.choice(("policy", "policy", "ask")), proposal_ms=dice.choice((1_000, 60_000)),
                    unknown_ms=dice.choice((1_000, 60_000))),
        )  # fmt: skip

    def odd(self, share: float) -> bool:
        """A fault, in a world that has them."""
        return self._faulty and self.dice.random() < share

    # ── the user ─────────────────────────────────────────────────────────────────────────

    def _something(self) -> e.Event | None:
        dice = self.dice
        kinds = {
            self._speak: 12, self._press_talk: 2, self._cut: 3, self._device: 2, self._restart: 1, self._nonsense: 2,
            self._type: 4, self._answer_card: 2, self._link: 1,
            lambda: e.ControlStop(
                source="device:d1", reply_id=dice.choice(("", "", "r1")), seen_seq=self._seen_seq()
            ): 2,
            lambda: e.ControlDone(source="device:d1"): 1,
            lambda: e.ReminderDue(reminder_id="m", text="Your tea is ready."): 1,
            lambda: e.SettingsChanged(changes=dice.choice(CHANGES)): 1,
        }  # fmt: skip
        (kind,) = dice.choices(list(kinds), list(kinds.values()))
        return kind()

    def _type(self) -> e.Event:
        """One message, or a few in a hurry."""
        dice = self.dice
        when = dice.choice(("", "", "now", "sentence", "after"))
        if dice.random() < 0.3:
            self.at(dice.randint(0, 400), lambda: self._type())
        return e.TextInput(text=dice.choice(PHRASES), when=when, source="device:d1", seen_seq=self._seen_seq())

    def _seen_seq(self) -> int:
        """How far the page had read: hardly ever to the end."""
        return max(0, self.seq - self.lag.choice((0, 0, 1, 5, 20, 60)))

    def _answer_card(self) -> e.Event:
        """Of any proposal that ever was, perhaps twice."""
        dice = self.dice
        action_id = dice.choice([*self.rules.asked, "r1:c1.0"])
        accept, seen_seq = dice.random() < 0.7, self._seen_seq()
        card = e.ControlConfirm(action_id=action_id, accept=accept, source="device:d1", seen_seq=seen_seq)
        if self.odd(0.3):
            self.at(dice.randint(0, 500), replace(card, accept=not card.accept, source="device:d2"))
        return card

    def _press_talk(self) -> e.Event:
        dice = self.dice
        source = dice.choice(("device:d1", "device:d2"))
        if not self.odd(0.2):
            self.at(dice.randint(10, 3_000), e.ControlTalk(on=False, source=source))
        if dice.random() < 0.8:
            self.at(20, lambda: self._speak())
        return e.ControlTalk(on=True, source=source)

    def _cut(self) -> e.Event:
        dice, named = self.dice, self.lag.choice(("", "", *list(self.rules.replies)[-2:]))
        cut = e.DeviceCut(source="device:d1", reply_id=named, seen_seq=self._seen_seq())
        if dice.random() < 0.5:
            undo = replace(cut, undo=True)
            self.at(dice.randint(50, 800), undo)
        if dice.random() < 0.5:
            self.at(dice.randint(0, 200), lambda: self._speak())
        return cut

    def _device(self) -> e.Event:
        """The first device reloads, or a second one comes and perhaps goes."""
        dice = self.dice
        if dice.random() < 0.5:
            self.at(dice.randint(0, 500), e.DeviceJoined(device_id="d1", transport="sim"))
            return e.DeviceLeft(device_id="d1", reason="test")
        if dice.random() < 0.7:
            self.at(dice.randint(0, 3_000), e.DeviceLeft(device_id="d2", reason="test"))
        return e.DeviceJoined(device_id="d2", transport="sim", speaker=dice.random() < 0.7, output_latency_ms=90)

    def _take_over(self) -> e.Event:
        """A device is asked for, talked to, comes, or loses its sound."""
        dice = self.focus
        name = dice.choice(("d1", "d2", "d3"))
        sound = {"microphone": dice.random() < 0.7, "speaker": dice.random() < 0.7}
        joined = e.DeviceJoined(device_id=name, transport="sim", output_latency_ms=dice.choice((0, 60, 150)), **sound)
        asked = e.ControlFocus(source=f"device:{name}", seen_seq=max(0, self.seq - dice.choice((0, 0, 5))))
        return dice.choice((asked, asked, e.DeviceSpeech(device_id=name), joined, joined))

    def _link(self) -> e.Event:
        """A page loses its commands while its media go on, or the reverse; it mends, or is found to be gone."""
        back = e.DeviceLink(device_id="d1", control=True)
        gone = e.DeviceLeft(device_id="d1", reason="test")
        self.at(self.dice.randint(100, 6_000), self.dice.choice((back, back, gone)))
        control = self.now_us % 3 == 0  # no dice: the others fall as they did before
        return e.DeviceLink(device_id="d1", control=control, media=not control)

    def _restart(self) -> e.Event:
        self._playing.clear()
        self._running.clear()
        self.at(10, e.DeviceJoined(device_id="d1", transport="sim"))
        return e.SessionResumed()

    def _nonsense(self) -> e.Event | None:
        """Facts that no sane loop would post, or posted long ago: of replies that are over or never were."""
        dice = self.dice
        reply_id, n = dice.choice(("r1", "r2", "r99")), dice.randint(0, 3)
        if (reply := self.rules.replies.get(reply_id)) is not None and not reply.done:
            return None
        return dice.choice(
            (
                e.ModelToken(reply_id=reply_id, step=1, text="Ghost. "),
                e.ModelDone(reply_id=reply_id, step=n),
                e.ToolCall(reply_id=reply_id, step=1, call_id="ghost", name="x", arguments={}, effect="write"),
                e.TtsFailed(reply_id=reply_id, chunk=n, message="ghost"),
                e.PlaybackMark(reply_id=reply_id, sample=10**7),
                e.CancelAck(reply_id="r99", target="tts"),
                e.ToolResult(
                    reply_id=reply_id, call_id="c1.0", ok=True, corrects=f"e{dice.randint(1, 60)}", message="x"
                ),
                e.SpeechStopped(utterance=self._utterance + 7, end_us=0, voiced_ms=5_000),
                e.AsrFinal(utterance=max(0, self._utterance - 1), text="ghost words of an earlier time"),
                e.DeadlinePassed(),
            )
        )

    def _speak(self) -> None:
        dice = self.dice
        self._utterance += 1
        n, ms = self._utterance, dice.randint(60, 2_500)
        words = dice.choice(PHRASES).split()
        self.post(e.SpeechStarted(utterance=n, onset_us=self.now_us - 60 * MS))
        voiced = int(ms * dice.choice((0.0, 0.7, 0.9)))
        for step in range(100, voiced + 1, 100):
            self.at(step, e.SpeechVoiced(utterance=n, voiced_ms=step))
        for i in range(len(words)):
            self.at(ms * (i + 1) / (len(words) + 1), e.AsrPartial(utterance=n, text=" ".join(words[: i + 1])))
        self.at(ms, lambda: self._stop(n, " ".join(words), voiced))

    def _stop(self, n: int, text: str, voiced: int) -> e.Event:
        dice = self.dice
        if self.odd(0.1):
            self.at(dice.randint(1, 300), e.AsrFailed(utterance=n, message="died"))
        elif not self.odd(0.1):
            final = e.AsrFinal(utterance=n, text=text, understood=dice.random() < 0.8)
            self.at(dice.choice((5, 20, 120, 900)), final)
            if self.odd(0.1):
                self.at(dice.randint(20, 2_000), final)
        if dice.random() < 0.25:
            self.at(dice.randint(20, 900), lambda: self._speak())
        return e.SpeechStopped(utterance=n, end_us=self.now_us - 100 * MS, voiced_ms=voiced)

    # ── the loops ────────────────────────────────────────────────────────────────────────

    def obey(self, decision: d.Decision) -> None:
        match decision:
            case d.ModelStart():
                self._model(decision)
            case d.ToolStart() | d.ActionStarted():
                self._tool(decision)
            case d.TtsSay():
                self._tts(decision)
            case d.AsrFinalize():
                n = self._utterance
                if not self.odd(0.2):
                    final = e.AsrFinal(utterance=n, text=self.dice.choice(PHRASES))
                    self.at(self.dice.randint(1, 300), final)
            case d.CancelRequested():
                self._cancel(decision)
            case d.ActionProposed() if decision.ask and self.asides.random() < 0.3:
                self._come_between()
            case _:
                self._play(decision)

    def _come_between(self) -> None:
        """Something else happens behind the question, and what is said then may not be meant for it."""
        at, stop = self.asides.randint(500, 6_000), e.ControlStop(source="device:d1")
        self.at(at, self.asides.choice((stop, e.ReminderDue(reminder_id="m", text="Your tea is ready."))))
        yes = e.TextInput(text=self.asides.choice(("yes", "okay")), source="device:d1")
        self.at(at + self.asides.randint(0, 4_000), yes)

    def _play(self, decision: d.Decision) -> None:
        player = self._playing.get(decision.reply_id)
        match decision:
            case d.PlaybackRelease():
                player = self._playing.setdefault(decision.reply_id, Player(self, decision.reply_id))
                player.go()
            case d.PlaybackPause() if player:
                player.pause()
            case d.PlaybackResume() if player:
                player.sent = decision.sample
                player.go()
            case d.PlaybackStop() | d.ReplyDone() if player:
                player.playing = False
                del self._playing[decision.reply_id]

    def _model(self, decision: d.ModelStart) -> None:
        dice, reply_id, step = self.dice, decision.reply_id, decision.step
        self._running.add((reply_id, "model"))
        delay = dice.choice((1, 5, 200, 1_500))
        if self.rules.asked and dice.random() < 0.5:
            self.at(delay + dice.randint(0, 4_000), self._answer_card)
        if self.odd(0.05):
            return  # it hangs
        if self.odd(0.05):
            self.at(delay, self._model_fact(e.ModelDone(reply_id=reply_id, step=step, error="boom")))
            return
        text = dice.choice(SENTENCES)
        calls = dice.choice((0, 0, 1, 1, 2)) if step < 4 else 0
        for piece in text.split(" "):
            delay += dice.choice((0, 1, 30))
            self.at(delay, self._model_fact(e.ModelToken(reply_id=reply_id, step=step, text=piece + " ")))
        for i in range(calls):
            self.at(
                delay + i,
                self._model_fact(
                    e.ToolCall(
                        reply_id=reply_id, step=step, call_id=f"c{step}.{i}", name="tool", arguments={},
                        effect=dice.choice(("read", "write")), risk=dice.choice(("low", "low", "high")),
                        idempotent=dice.random() < 0.5, reverts=dice.choice(("", "", "r1:c1.0")),
                    )
                ),
            )  # fmt: skip
        # Where the loop is broken, the end comes before the last calls.
        done_in = delay - 1 if self.odd(0.1) else delay + 5
        self.at(max(0, done_in), self._model_fact(e.ModelDone(reply_id=reply_id, step=step)))

    def _model_fact(self, fact: e.ModelToken | e.ModelDone | e.ToolCall) -> Callable[[], e.Event | None]:
        return lambda: None if (fact.reply_id, "model") in self._cancelled else fact

    def _tool(self, decision: d.ToolStart | d.ActionStarted) -> None:
        dice = self.dice
        call_id = decision.call_id
        if self.odd(0.08):
            return
        failure = dice.choice(("", "", "", "", "crash", "unknown"))
        result = e.ToolResult(
            reply_id=decision.reply_id, call_id=call_id, ok=not failure, error_class=failure, content=1
        )
        key = (decision.reply_id, f"tool:{call_id}")
        self.at(dice.choice((1, 50, 900, 2_600)), lambda: None if key in self._cancelled else result)
        if self.odd(0.1):
            self.at(dice.randint(1, 3_000), lambda: None if key in self._cancelled else result)
        if self.odd(0.1):
            self.at(dice.randint(100, 6_000), lambda: self._corrected(result))

    def _corrected(self, result: e.ToolResult) -> e.Event | None:
        """A result that has arrived turns out wrong."""
        arrived = [
            fact.event_id
            for fact, _, _ in self.facts
            if isinstance(fact, e.ToolResult) and (fact.reply_id, fact.call_id) == (result.reply_id, result.call_id)
        ]
        return replace(result, corrects=arrived[0], message="It is ten.", event_id="") if arrived else None

    def _tts(self, decision: d.TtsSay) -> None:
        # One chunk after the other, as a synthesiser's queue has it.
        ready_us = max(
            self._spoken_until.get(decision.reply_id, 0), self.now_us + self.dice.choice((1, 1, 20, 400)) * MS
        )
        self._spoken_until[decision.reply_id] = ready_us + 1
        delay_ms = (ready_us - self.now_us) / MS
        if self.odd(0.04):
            self.at(delay_ms, e.TtsFailed(reply_id=decision.reply_id, chunk=decision.chunk, message="no voice"))
            return
        self.at(delay_ms, lambda: self._spoken(decision))

    def _spoken(self, say: d.TtsSay) -> e.Event | None:
        if (say.reply_id, "tts") in self._cancelled or (
            say.reply_id in self.rules.replies and self.rules.replies[say.reply_id].done
        ):
            return None
        player = self._playing.setdefault(say.reply_id, Player(self, say.reply_id))
        start, words, at = player.total, [], player.total
        for word in say.text.split():
            length = 80 * SAMPLES_PER_MS * max(1, len(word) // 2)
            text_end = (words[-1].text_end if words else 0) + (1 if words else 0) + len(word)
            words.append(e.Word(at, at + length, text_end))
            at += length
        player.extend(words, at)
        return e.TtsChunk(
            reply_id=say.reply_id, chunk=say.chunk, text=say.text, phase=say.phase, rests_on=say.rests_on,
            start_sample=start, samples=at - start, words=tuple(words),
        )  # fmt: skip

    def _cancel(self, decision: d.CancelRequested) -> None:
        key = (decision.reply_id, decision.target)
        self._cancelled.add(key)
        ack = e.CancelAck(reply_id=decision.reply_id, target=decision.target)
        if self.odd(0.05):
            return
        self.at(self.dice.choice((0, 0, 10, 1_800)), ack)


class Player:
    """Playout by deadline: it wakes at word ends, not at frames."""

    def __init__(self, world: World, reply_id: str) -> None:
        self.world, self.reply_id = world, reply_id
        self.words: list[e.Word] = []
        self.total = self.sent = 0
        self.playing = self.started = False
        self._since_us = 0
        self._turn = 0

    def go(self) -> None:
        self.playing = True
        self._since_us = self.world.now_us
        self._plan()

    def extend(self, words: list[e.Word], total: int) -> None:
        self._catch_up()
        self.words += words
        self.total = total
        if self.playing:
            self._since_us = self.world.now_us
            self._plan()

    def pause(self) -> None:
        self._catch_up()
        self.sent = min(self.total, self.sent + self.world.dice.choice((0, 20)) * SAMPLES_PER_MS)  # a frame was out
        self.playing = False
        self.world.at(0, e.PlaybackMark(reply_id=self.reply_id, sample=self.sent))

    def _catch_up(self) -> None:
        if self.playing:
            passed = (self.world.now_us - self._since_us) * SAMPLES_PER_MS // MS
            self.sent = min(self.total, self.sent + passed)
            self._since_us = self.world.now_us

    def _plan(self) -> None:
        """Wake at the next word's end."""
        self._turn += 1
        turn = self._turn
        ends = [word.end_sample for word in self.words if word.end_sample > self.sent]
        if ends:
            self.world.at((ends[0] - self.sent) / SAMPLES_PER_MS, lambda: self._word_end(ends[0], turn))
            if not self.started:
                self.started = True
                self.world.at(0, e.PlaybackStarted(reply_id=self.reply_id))

    def _word_end(self, sample: int, turn: int) -> e.Event | None:
        if not self.playing or turn != self._turn:
            return None
        self.sent, self._since_us = sample, self.world.now_us
        self._plan()
        return e.PlaybackMark(reply_id=self.reply_id, sample=sample)
