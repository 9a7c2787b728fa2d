"""A seeded world around the real driver and the real loops, with fake engines, in virtual time.

The microphone is a synthetic signal (a hum for speech, noise for noise), so the real voice detection
runs; the recogniser, the brain, the tools and the voice are fakes that are late, fail, hang or die
as the dice have it. The user answers what they are asked, by voice, in writing or on the card, steers,
reloads the page and loses its commands; the process may be killed at any moment, and starts again on
what was stored by then.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from agent.clock import Clock
from agent.conversation import decisions as d
from agent.conversation import events as e
from agent.hearing.port import HEARING_RATE, Pcm
from agent.replay import replay
from agent.session import Engines, Session
from agent.settings import Settings
from agent.timeline.entry import Entry
from agent.timeline.ledger import ActionStep, state_after
from agent.timeline.projections.figures import figures
from agent.timeline.tenure import TTL_S
from tests.fixtures.level_vad import LevelVad
from tests.fixtures.mortal_store import MortalStore
from tests.simulation.core_world import OUTCOMES, PHRASES
from tests.simulation.ear import Ear
from tests.simulation.fakes import FakeAsr, FakeBrain, FakeTool, FakeTts
from tests.simulation.invariants import Invariants

FRAME_US = 20_000
SAMPLES = HEARING_RATE // 50
SPEECH_MS = (250, 2_500)
ANSWERS = ("yes", "yes send it", "no", "cancel that", "uh", "to bob instead")
JUDGEMENTS = (d.InterruptionSuspected, d.InterruptionConfirmed, d.InterruptionDismissed)
REST_MS = 120_000
"""What is under way when the user has gone quiet ends within this."""


@dataclass(frozen=True)
class Sound:
    start_ms: int
    end_ms: int
    voiced: bool
    words: str


class World:
    def __init__(self, seed: int) -> None:
        self.dice = random.Random(seed)
        self.faulty = self.dice.random() < 0.5
        self.executed: dict[str, int] = {}
        self.outcomes: dict[str, str] = {}
        self.wrong: list[str] = []
        self.length_ms = self.dice.randint(4_000, 14_000)
        self.sounds = self._sounds()
        self.settings = self._settings()
        self.twice = self.dice.random() < 0.5
        """Whether one of the tools may be run again under the same key."""
        self.hang_up = random.Random(f"hang up {seed}")
        """Of their own: the other dice fall as they did before."""
        self.hangs_up = self.hang_up.random() < 0.25
        """Whether the user hangs up soon after an action has started."""
        self._hang_up_at = REST_MS * 1_000
        self.lag = random.Random(f"lag {seed}")
        self.disk = random.Random(f"disk {seed}")
        self.ghost_samples = self.heard_samples = 0
        """Of all processes."""
        self.now_ms = 0
        self.session: Session | None = None
        self.crashes = 0
        self.rules = Invariants()
        """What the present process did and what it read, as far as it has been checked."""
        self._seen = 0
        self._planned: list[tuple[int, e.Event]] = []
        hum = np.arange(SAMPLES * 50)
        level = np.where(hum * 10 // HEARING_RATE % 2, 3_600, 6_000)  # no voice is steady
        self._hum = (level * np.sign(np.sin(2 * np.pi * 140 * hum / HEARING_RATE))).astype(np.int16)
        self._noise = np.random.default_rng(seed).normal(0, 3_000, SAMPLES * 50).astype(np.int16)

    def odd(self, share: float) -> bool:
        return self.faulty and self.dice.random() < share

    def _settings(self) -> Settings:
        dice = self.dice
        return Settings.model_validate(
            {
                "echo": {"guard": dice.random() < 0.2},
                "replies": {
                    "steering": dice.choice(("now", "sentence", "after")),
                    "model_timeout_ms": 4_000,
                    "tool_timeout_ms": 3_000,
                    "dead_air_ms": dice.choice((1_000, 5_000)),
                },
                "actions": {
                    "low_risk": dice.choice(("policy", "policy", "ask")),
                    "proposal_ms": dice.choice((2_000, 60_000)),
                    "unknown_ms": dice.choice((2_000, 20_000)),
                },
            }
        )

    def _sounds(self) -> list[Sound]:
        sounds, at = [], self.dice.randint(100, 1_500)
        while at < self.length_ms - 1_000:
            voiced = self.dice.random() < 0.8
            length = self.dice.randint(*SPEECH_MS) if voiced else self.dice.randint(60, 400)
            sounds.append(Sound(at, at + length, voiced, self.dice.choice(PHRASES) if voiced else ""))
            at += length + self.dice.choice((80, 150, 300, 900, 2_500, 5_000))
        return sounds

    def sounding(self) -> Sound | None:
        return next((s for s in self.sounds if s.start_ms <= self.now_ms < s.end_ms), None)

    def begins(self, key: str, arguments: Mapping[str, e.Json]) -> None:
        """Noted, and not asserted: the loop that runs tools survives whatever one of them raises."""
        stored, session = self.store._sessions["s"], self.session
        starts = [x for x in stored.entries if isinstance(x.event, d.ActionStarted) and x.event.idempotency_key == key]
        if not starts or stored.actions[starts[-1].event.action_id].state != "started":
            self.wrong.append(f"{key} runs, and the ledger does not have it started")
        elif session is not None:
            now_us = self.clock.now_us() - session._base_us
            for x in session.timeline.window()[starts[-1].seq - session.timeline.last_seq or None :]:
                over = isinstance(x.event, d.ReplyDone) and x.event.outcome == "interrupted"
                same = x.seq > starts[-1].seq and getattr(x.event, "reply_id", "") == starts[-1].event.reply_id
                if over and same and x.now_us < now_us:
                    self.wrong.append(f"{key} runs behind its cancellation")
            judged = [x for x in session.timeline.window() if isinstance(x.event, JUDGEMENTS)]
            if judged and isinstance(judged[-1].event, d.InterruptionSuspected) and judged[-1].now_us < now_us:
                self.wrong.append(f"{key} runs while an interruption is suspected")
        if arguments != {"to": "anna"}:
            self.wrong.append(f"{key} does something else than was proposed")

    def committed(self) -> list[str]:
        return [action_id for action_id, steps in self.rules.actions.items() if steps[-1] == "committed"]

    # ── the run ──────────────────────────────────────────────────────────────────────────

    async def run(self) -> list[Entry]:
        """Play the conversation; returns its whole timeline, having checked it."""
        crashes = self.dice.choice((0, 0, 0, 1, 2))
        crash_at = sorted(self.dice.randint(500, self.length_ms + 2_000) for _ in range(crashes))
        self.clock = Clock()
        slow = self.disk.random() < 0.3
        self.store = MortalStore(self.clock, delay_s=lambda: self.disk.choice((0, 0, 0.05, 0.4)) if slow else 0)
        while await self._life(crash_at[0] if crash_at else None):
            self.crashes += 1
            crash_at = crash_at[1:]
        entries = await self.store.read("s", 0, 100_000)
        self.check(entries)
        self.check_ledger({action.action_id: action.state for action in await self.store.actions("s")}, entries)
        return entries

    async def _life(self, crash_at: int | None) -> bool:
        """One process. Whether it was killed."""
        tools = [
            FakeTool(self, "look", "read"),
            FakeTool(self, "act", "write", twice=self.twice),
            FakeTool(self, "send", "write", high=True),
            FakeTool(self, "undo", "write"),
        ]
        engines = Engines(LevelVad, FakeAsr(self), FakeBrain(self), tools, FakeTts(self), lambda: 1.0, {})
        # The process that was killed still has the lease; the one that takes its place has its name.
        lease = await self.store.acquire("s", "driver", TTL_S)
        session = Session("s", engines, self.store, self.clock, self.settings, lease)
        stored = await self.store.read("s", 0, 100_000)
        await session.restore(stored)
        self.session, self.rules, self._seen, self._planned = session, Invariants(), 0, []
        self._ear = Ear(session)
        lost_ms = self.disk.choice((0, 0, 20, 100, 500))
        running = asyncio.create_task(session.run())
        await session.ready.wait()
        self._join(session)
        self._follow(session)
        while self.store.left is not None or (
            self.now_ms < self._hang_up_at and (self.now_ms < self.length_ms or not self._at_rest())
        ):  # nobody hangs up on a process that is being killed
            if crash_at is not None and self.now_ms >= crash_at - lost_ms and self.store.left is None:
                self.store.left = self.disk.randint(0, 6)  # what it writes behind these is lost
            if crash_at is not None and self.now_ms >= crash_at:
                return await self._die(running)
            assert not running.done(), f"the session ended by itself: {running!r}"
            await self._tick(session)
            self._follow(session)
        if self.store.left is not None:
            return await self._die(running)  # before the user who hung up could be told
        session.close("end")
        await running
        self._took_leave()
        return False

    async def _die(self, running: asyncio.Task[None]) -> bool:
        self.store.left = 0  # while its tasks are being ended, too, nothing of it is stored, and so nothing begins
        self.store = self.store.survivor(self.clock)
        self._took_leave()
        running.cancel()
        await asyncio.wait([running])
        self.outcomes.clear()  # what it had not stored is lost
        return True

    def _took_leave(self) -> None:
        self.ghost_samples += self._ear.ghost_samples
        self.heard_samples += self._ear.heard_samples

    def _at_rest(self) -> bool:
        rules = self.rules
        busy = (
            rules.live() or rules.open_turn or rules.paused or rules.suspected or rules.queued or rules.open_actions()
        )
        assert not busy or self.now_ms < self.length_ms + REST_MS, f"it never comes to rest: {busy}"
        return not busy and self.now_ms > self.length_ms + 1_000

    def _follow(self, session: Session) -> None:
        """Check what is new on the timeline, and let the user react to it."""
        for entry in session.timeline.window()[self._seen - session.timeline.last_seq or None :]:
            if entry.seq <= self._seen:
                continue
            self._seen = entry.seq
            self.rules.see(entry.event, entry.seq)
            if isinstance(entry.event, d.ActionProposed) and entry.event.ask and self.now_ms < self.length_ms:
                self._plan_answer(entry.event.action_id)
            if isinstance(entry.event, d.ActionStarted) and self.hangs_up:
                self._hang_up_at = min(self._hang_up_at, self.now_ms + self.hang_up.choice((0, 20, 100, 1_000)))

    def _plan_answer(self, action_id: str) -> None:
        """By voice, in writing, on the card, on two cards at once, or not at all."""
        dice, at = self.dice, self.now_ms + self.dice.randint(0, 5_000)
        kind = dice.choice(("voice", "voice", "text", "card", "card", "nothing"))
        if kind == "voice":
            self.sounds = [s for s in self.sounds if s.end_ms < at or s.start_ms > at + 900]
            self.sounds.append(Sound(at, at + 800, True, dice.choice(ANSWERS)))
        elif kind == "text":
            self._planned.append((at, e.TextInput(text=dice.choice(ANSWERS), source="device:d1")))
        elif kind == "card":
            seen = self._seen - self.lag.choice((0, 0, 0, 30))
            card = e.ControlConfirm(
                action_id=action_id, accept=dice.random() < 0.7, source="device:d1", seen_seq=max(0, seen)
            )
            self._planned.append((at, card))
            if dice.random() < 0.3:
                other = e.ControlConfirm(action_id=action_id, accept=not card.accept, source="device:d2")
                self._planned.append((at + dice.choice((0, 20, 300)), other))

    async def _tick(self, session: Session) -> None:
        at_us = self.clock.now_us() // FRAME_US * FRAME_US + FRAME_US
        await self.clock.sleep_until(at_us)
        self.now_ms += 20
        sound = self.sounding()
        offset = (self.now_ms // 20 % 50) * SAMPLES
        wave = self._hum if sound and sound.voiced else self._noise if sound else np.zeros(SAMPLES * 50, np.int16)
        self._hear(session, wave[offset : offset + SAMPLES])
        self._listen()
        due = [fact for at_ms, fact in self._planned if at_ms <= self.now_ms]
        self._planned = [(at_ms, fact) for at_ms, fact in self._planned if at_ms > self.now_ms]
        if self.now_ms < self.length_ms and self.dice.random() < 0.01:
            due.append(self._command(session))
        for fact in due:
            self._post(session, fact)

    def _join(self, session: Session) -> None:
        session.post(e.DeviceJoined(device_id="d1", transport="sim", output_latency_ms=self.dice.choice((0, 60, 150))))

    def _hear(self, session: Session, pcm: Pcm) -> None:
        session.hear(pcm)

    def _listen(self) -> None:
        self._ear.listen()

    def _post(self, session: Session, fact: e.Event) -> None:
        session.post(fact)

    def _later(self, fact: e.Event, most_ms: int = 2_000) -> None:
        self._planned.append((self.now_ms + self.dice.randint(20, most_ms), fact))

    def _command(self, session: Session) -> e.Event:
        dice, source = self.dice, "device:d1"
        commands: list[Callable[[], e.Event]] = [
            self._text, self._text, self._text, self._stop, self._stop, self._cut, self._cut, self._talk, self._device,
            self._link,
            lambda: e.ControlDone(source=source),
            lambda: e.ReminderDue(reminder_id="m", text="Your tea is ready."),
            lambda: e.ControlConfirm(action_id=dice.choice([*self.rules.actions, "r1:c1"]), accept=True, source=source),
            lambda: e.SettingsChanged(changes={"endpointing.floor_ms": dice.choice((0, 160, 99_999))}, source=source),
        ]  # fmt: skip
        return dice.choice(commands)()

    def _text(self) -> e.Event:
        """Perhaps a repeat of one that was sent before."""
        dice = self.dice
        when = dice.choice(("", "", "now", "sentence", "after"))
        return e.TextInput(
            text=dice.choice(PHRASES),
            source="device:d1",
            event_id=f"client-{dice.randint(1, 9)}",
            when=when,
            seen_seq=self._seen_seq(),
        )

    def _played(self) -> e.Played | None:
        """Where a device is, if it can tell: somewhat behind what was sent, and never ahead of it."""
        at = self.session.position() if self.session and self.dice.random() < 0.6 else None
        return e.Played(at[0], max(0, at[1] - max(0, self.dice.randint(-2_000, 9_000)))) if at else None

    def _stop(self) -> e.Event:
        reply_id, played = self.dice.choice(("", "", "r1")), self._played()
        return e.ControlStop(source="device:d1", reply_id=reply_id, played=played, seen_seq=self._seen_seq())

    def _seen_seq(self) -> int:
        """How far the page had read: hardly ever to the end."""
        return max(0, self._seen - self.lag.choice((0, 0, 1, 5, 20, 60)))

    def _cut(self) -> e.Event:
        dice = self.dice
        named = self.lag.choice(("", "", *list(self.rules.replies)[-2:]))
        cut = e.DeviceCut(source="device:d1", reply_id=named, played=self._played(), seen_seq=self._seen_seq())
        if dice.random() < 0.5:
            self._later(replace(cut, undo=True), 800)
        return cut

    def _talk(self) -> e.Event:
        self._later(e.ControlTalk(on=False, source="device:d1"), 3_000)
        return e.ControlTalk(on=True, source="device:d1")

    def _device(self) -> e.Event:
        """The page is loaded again, or a second one comes and goes."""
        if self.dice.random() < 0.5:
            self._later(e.DeviceJoined(device_id="d1", transport="sim"), 500)
            return e.DeviceLeft(device_id="d1", reason="test")
        self._later(e.DeviceLeft(device_id="d2", reason="test"))
        return e.DeviceJoined(device_id="d2", transport="sim", speaker=self.dice.random() < 0.7, output_latency_ms=90)

    def _link(self) -> e.Event:
        """The page's commands are lost for a while, or its audio is."""
        self._later(e.DeviceLink(device_id="d1", control=True))
        control = self.now_ms % 60 == 0  # no dice: the others fall as they did before
        return e.DeviceLink(device_id="d1", control=control, media=not control)

    # ── the oracle ───────────────────────────────────────────────────────────────────────

    def check(self, entries: list[Entry]) -> None:
        rules = Invariants()
        for number, entry in enumerate(entries, 1):
            assert entry.seq == number, f"seq {entry.seq} at place {number}"
            try:
                rules.see(entry.event, entry.seq)
            except AssertionError as error:
                error.add_note(f"at seq {entry.seq}, {entry.t_ms} ms")
                raise
        rules.finish()
        started = {x.event.idempotency_key for x in entries if isinstance(x.event, d.ActionStarted)}
        for key, times in self.executed.items():
            assert times == 1, f"{key} ran {times} times"
            assert key in started, f"{key} ran without a durable action.started"
        keys = {x.event.idempotency_key: x.event.action_id for x in entries if isinstance(x.event, d.ActionStarted)}
        for key, outcome in self.outcomes.items():
            assert rules.actions[keys[key]][-1] == outcome, f"{keys[key]} is {outcome}, and that was lost"
        assert not self.wrong
        self._check_close(entries)
        assert not replay(entries)
        assert not self.ghost_samples, f"{self.ghost_samples} samples were handed out behind a cut"
        self._check_figures(entries)

    def _check_figures(self, entries: list[Entry]) -> None:
        """They tell what was really done: nothing left the playout behind a cut, and nothing ran behind its own."""
        told: Any = figures(entries)
        assert told["ghost_actions"] == 0
        assert told["ghost_speech"]["ms"] == 0, f"the ear got none: {told['ghost_speech']}"

    def check_ledger(self, ledger: dict[str, str], entries: list[Entry]) -> None:
        steps = [entry.event for entry in entries if isinstance(entry.event, ActionStep)]
        assert ledger == {step.action_id: state_after(step) for step in steps}, "the ledger tells otherwise"

    def _check_close(self, entries: list[Entry]) -> None:
        """Behind the end of a session only how its actions ended is recorded."""
        closed = next(entry for entry in entries if isinstance(entry.event, e.SessionClosed))
        for entry in entries[closed.seq :]:
            late = isinstance(entry.event, (e.ToolResult, e.Fault, e.CancelAck, e.CancelFreed, *OUTCOMES))
            assert late or entry.parent_event_id == closed.event.event_id, f"{entry.event} in the grace"
