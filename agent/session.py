"""The driver of one session: inbox → core → timeline → dispatch.

A fact is handled the moment it is posted: the core decides, everything is recorded, the loops
carry it out, all in one synchronous step. So a barge-in silences the very next frame, and
two facts never interleave. Facts that the loops post meanwhile wait in the inbox until the step is done.
Only a side effect waits: its `action.started` is durable before the tool runs.

Once closed, a session takes nothing more, except for a grace how the actions end that have started.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import numpy as np
from numpy.typing import NDArray

from agent.attendance import Attendance
from agent.clock import Clock
from agent.config.change import with_changes
from agent.conversation.core import Conversation
from agent.conversation.decisions import (
    ActionStarted,
    Decision,
    ReplyDone,
)
from agent.conversation.events import (
    ControlFocus,
    DeadlinePassed,
    DeviceJoined,
    Event,
    Fault,
    OwnerChanged,
    SessionClosed,
    SessionCreated,
    SessionForgotten,
    SessionResumed,
    SettingsChanged,
    ToolResult,
)
from agent.conversation.message import Message
from agent.errors import LimitReached, SettingsError
from agent.forgetting import Forgetting, no_answers
from agent.hearing.bystander import Bystander
from agent.hearing.loop import HearingLoop
from agent.hearing.port import Asr, Vad
from agent.holdback import Holdback, not_begun
from agent.owners import LOCAL
from agent.recorder import Recorder
from agent.recordings import Recordings
from agent.settings import Settings
from agent.speaking.loop import SpeakingLoop
from agent.speaking.port import Tts
from agent.thinking.loop import ThinkingLoop
from agent.thinking.port import Brain, Tool, ToolSource, UserContext
from agent.timeline.entry import Entry
from agent.timeline.leases import Lease
from agent.timeline.log import Timeline
from agent.timeline.projections.context import messages
from agent.timeline.store import Store
from agent.timeline.tenure import give_back, keep

MAX_INBOX = 1_000
"""Facts that one step may cause in turn; more is a loop of the program with itself."""
CLOSE_TIMEOUT_S = 5.0
RESTORED_AT_ONCE = 200
"""Entries, in a few milliseconds: other calls' audio is due every 20."""
NEVER_BEGUN = "the agent was restarted before it began"
CALLED_OFF = "it was interrupted before it began"


@dataclass(frozen=True, slots=True)
class Engines:
    """What a session runs on. All but the VAD are shared between sessions."""

    vad: Callable[[], Vad]
    asr: Asr
    brain: Brain
    tools: Sequence[Tool]
    tts: Tts
    speed: Callable[[], float]
    """The preferred speed of speech now, 1.0 is the voice's own."""
    names: dict[str, str]
    speed_asked: Callable[[], datetime | None] = lambda: None
    """When that was asked for, if it ever was."""
    fallback: Brain | None = None
    """Answers while the brain fails."""
    forget: Callable[[str], Awaitable[None]] = no_answers
    """Erases what the tools have kept of what they answered in a session. Raises `ToolError`."""
    sources: Sequence[ToolSource] = ()
    """Of further tools, which come and go."""


class Session:
    """One conversation. `run` owns all of its tasks; everything else is synchronous.

    `run` keeps the `lease` and gives it back. Without one, nobody may hold the session.
    """

    def __init__(
        self,
        session_id: str,
        engines: Engines,
        store: Store,
        clock: Clock,
        settings: Settings,
        lease: Lease | None = None,
        recordings: Recordings | None = None,
        owner: str = LOCAL,
    ) -> None:
        self.session_id = session_id
        self.owner = owner
        self.settings = settings
        self.ready = asyncio.Event()
        self.timeline = Timeline(session_id, clock.wall(), store, settings.limits.memory_events, lease)
        self._store = store
        self._lease = lease
        self._engines = engines
        self._clock = clock
        self._base_us = clock.now_us()
        self._core = Conversation()
        self._inbox: deque[Event] = deque()
        self._stepping = False
        self._begun = False
        """Its timeline has its `session.created`."""
        self._closed = asyncio.Event()
        self._grace = False
        """It was closed, and how its actions end is still taken."""
        self._resting = False
        self._failure: Exception | None = None
        self._timer: asyncio.TimerHandle | None = None
        self.over = False
        """Whether the conversation was ended."""
        self._never_begun: list[ActionStarted] = []
        """Whose start was lost with the process that this one takes the place of."""
        self._attendance = Attendance()
        self._recorder = Recorder(recordings, session_id, clock, self._now_us) if recordings is not None else None
        self._forgetting = Forgetting(self.timeline, store, lease, self._recorder, engines.forget)
        self._user: DeviceJoined | None = None
        self._set_speed: tuple[float, datetime] | None = None
        """The speed set in this conversation, and when."""
        self._hearing = HearingLoop(engines.vad(), engines.asr, settings.vad, clock, self._post_hearing, settings.echo)
        self._thinking = ThinkingLoop(
            engines.brain,
            engines.tools,
            self.post,
            resolve=self._resolve,
            user=self.user,
            fallback=engines.fallback,
            session_id=session_id,
            instructions=settings.brain.instructions,
            sources=engines.sources,
        )
        self._speaking = SpeakingLoop(engines.tts, clock, self.post, settings.playout, self._speed)
        self._holdback = Holdback(self.timeline, self._thinking.apply, self._closed)

    # ── what a transport uses ────────────────────────────────────────────────────────────

    def hear(self, pcm: NDArray[np.int16]) -> None:
        """Microphone audio: mono int16, 16 kHz, any length."""
        if self._closed.is_set():
            return
        self._hearing.hear(pcm)
        if self._recorder is not None:
            self._recorder.hear(pcm)

    def next_frame(self) -> NDArray[np.int16] | None:
        """The next 20 ms of playout (960 int16 samples, 48 kHz), or None for silence."""
        if self._closed.is_set():
            return None
        frame = self._speaking.next_frame()
        self._hearing.played(frame)
        if self._recorder is not None:
            self._recorder.say(frame)
        return frame

    def position(self) -> tuple[str, int] | None:
        """The reply and the sample that the next frame begins with, None while nothing is to be said."""
        return self._speaking.position()

    @property
    def live_device_id(self) -> str:
        """Whose microphone and loudspeaker `hear` and `next_frame` are for; empty for nobody's."""
        return self._core.live_device_id

    def bystander(self) -> Bystander:
        """For a microphone that is not live."""
        return Bystander(self._engines.vad(), self.settings.vad)

    def entries(self, after: int = 0) -> AsyncIterator[Entry]:
        """The timeline behind `after`, and on as it grows."""
        return self.timeline.follow(after)

    def post(self, fact: Event) -> None:
        """Handle a fact now, or right behind the one that is being handled.

        A fact whose `event_id` is on the timeline already has no effect.
        """
        late = self._grace and isinstance(fact, ToolResult | Fault)
        if self._closed.is_set() and not self._stepping and not late:
            return
        if fact.event_id and self.timeline.has(fact.event_id):
            return
        if len(self._inbox) >= MAX_INBOX:
            self._failure = LimitReached(f"more than {MAX_INBOX} facts wait in one step of session {self.session_id}")
            self._closed.set()
            return
        self._inbox.append(fact)
        if self._stepping:
            return
        self._stepping = True
        try:
            while self._inbox:
                self._step(self._inbox.popleft())
                if self._forgetting.asked and self._core.quiet and not self._inbox:
                    self._begin_anew()
        except Exception as error:
            # The boundary of a session: whoever posted (a transport, another session's timer) must not
            # suffer for a fault in this one. `run` raises it.
            self._failure = error
            self._closed.set()
        finally:
            self._stepping = False
            self._arm()

    def _post_hearing(self, fact: Event) -> None:
        """Hearing speaks of the clock's time; the timeline counts from the session's start."""
        for name in ("onset_us", "end_us"):
            if hasattr(fact, name):
                fact = replace(fact, **{name: getattr(fact, name) - self._base_us})
        self.post(fact)

    # ── one step ─────────────────────────────────────────────────────────────────────────

    def _step(self, fact: Event) -> None:
        if isinstance(fact, SettingsChanged):
            fact = self._change_settings(fact, self._clock.wall())
        now_us = self._now_us()
        if not fact.event_id or self.timeline.has(fact.event_id):
            fact = replace(fact, event_id=f"e{self.timeline.last_seq + 1}")
        decisions = self._core.handle(fact, now_us, self.timeline.last_seq + 1)
        turn_id = self._core.turn_id
        self.timeline.record(fact, now_us=now_us, turn_id=turn_id, parent_event_id="")
        entries = [
            self.timeline.record(decision, now_us=now_us, turn_id=turn_id, parent_event_id=fact.event_id)
            for decision in decisions
        ]
        self._observe(fact)
        for entry in entries:
            self._dispatch(entry)

    def _begin_anew(self) -> None:
        """Put all that was said up to now out of the conversation, which goes on with who is here."""
        (turns, replies), policy, through = self._core.counts, self._core.policy.to_dict(), self.timeline.last_seq
        live_id = self.live_device_id
        self._core = Conversation()
        self._step(
            SessionForgotten(
                source="driver",
                session_id=self.session_id,
                policy=policy,
                engines=self._engines.names,
                turns=turns,
                replies=replies,
                commands=self.timeline.commands(),
            )
        )
        for fact in self._attendance.facts(live_id, speed=self._own_speed is not None):
            self._step(fact)
        if live_id != self.live_device_id:
            self._step(ControlFocus(source=f"device:{live_id}"))
        self._forgetting.forget(through)

    def _dispatch(self, entry: Entry) -> None:
        decision = entry.event
        assert isinstance(decision, Decision)  # noqa: S101 - the core returns nothing else
        if self._holdback.apply(entry):
            return
        if isinstance(decision, ReplyDone) and decision.outcome == "interrupted" and not self._closed.is_set():
            for start in self._holdback.call_off(decision.reply_id):
                self.post(not_begun(start, CALLED_OFF))
        # Speaking first: what silences must not wait for what computes.
        self._speaking.apply(decision)
        self._hearing.apply(decision)
        self._thinking.apply(decision)

    def _observe(self, fact: Event) -> None:
        """What the driver itself takes from facts."""
        self._attendance.apply(fact)
        self._forgetting.observe(fact)
        if isinstance(fact, DeviceJoined) and fact.device_id == self.live_device_id and not fact.microphone:
            self._hearing.end_speech()  # it was unplugged: no silence will follow
        match fact:
            case DeviceJoined() if fact.time_zone or self._user is None:
                self._user = fact
            case SessionCreated():
                self._begun = True
            case SessionClosed():
                self.over = self._grace = True
                self._closed.set()

    def _change_settings(self, fact: SettingsChanged, at: datetime) -> Event:
        """Apply what lies outside the core; a value that cannot be is an error on the timeline."""
        try:
            self.settings = with_changes(self.settings, fact.changes)
        except SettingsError as error:
            return Fault(event_id=fact.event_id, source=fact.source, code=error.code, message=str(error))
        self._hearing.configure(self.settings.vad, self.settings.echo)
        if "tts.speed" in fact.changes:
            self._set_speed = (self.settings.tts.speed, at)
        return fact

    def _speed(self) -> float:
        return self._engines.speed() if self._own_speed is None else self._own_speed

    @property
    def _own_speed(self) -> float | None:
        """As set in this conversation, unless it was asked for otherwise since, here or elsewhere."""
        asked_at = self._engines.speed_asked()
        if self._set_speed is None or (asked_at is not None and asked_at > self._set_speed[1]):
            return None
        return self._set_speed[0]

    def _arm(self) -> None:
        """Have the core's next deadline reported."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        at_us = self._core.next_deadline_us()
        if at_us is not None and not self._closed.is_set():
            delay_s = max(0, at_us + self._base_us - self._clock.now_us()) / 1_000_000
            self._timer = asyncio.get_running_loop().call_later(delay_s, self._deadline)

    def _deadline(self) -> None:
        self._timer = None
        self.post(DeadlinePassed(source="clock"))

    def _now_us(self) -> int:
        """Microseconds since the session began."""
        return self._clock.now_us() - self._base_us

    # ── what the loops ask for ───────────────────────────────────────────────────────────

    def user(self) -> UserContext:
        """Where and when the user is, as far as a device has said."""
        zone_name = self._user.time_zone if self._user and self._user.time_zone else "UTC"
        try:
            zone = ZoneInfo(zone_name)
        except (ZoneInfoNotFoundError, ValueError, OSError):
            zone_name, zone = "UTC", ZoneInfo("UTC")
        locale = self._user.locale if self._user and self._user.locale else "en-US"
        now = self._clock.wall().astimezone(zone)
        return UserContext(now, zone_name, locale, speed=self._speed(), owner=self.owner)

    def _resolve(self, event_ids: Sequence[str]) -> list[Message]:
        return messages(self.timeline.get, event_ids)

    # ── life ─────────────────────────────────────────────────────────────────────────────

    async def run(self) -> None:
        """Until the session is closed (a `SessionClosed` fact) or cancelled. Raises `Fenced` or `ActionConflict` when
        it has another owner, with whom it goes on; after any other error, too, it can be taken up again."""
        self._open()
        try:
            async with asyncio.TaskGroup() as tasks:
                loops = [
                    tasks.create_task(loop, name=f"{self.session_id} {name}")
                    for name, loop in (
                        ("hearing", self._hearing.run()),
                        ("thinking", self._thinking.run()),
                        ("speaking", self._speaking.run()),
                        ("actions", self._holdback.run()),
                        ("lease", self._keep()),
                        ("forgetting", self._forgetting.run()),
                        *((("recording", self._recorder.run()),) if self._recorder is not None else ()),
                        ("timeline", self.timeline.write()),
                    )
                ]
                self.ready.set()
                await self._closed.wait()
                await self._let_actions_end()
                self.timeline.close()
                await asyncio.wait(loops[-1:], timeout=CLOSE_TIMEOUT_S)
                await self._forgetting.finish_within(CLOSE_TIMEOUT_S)
                for task in loops:
                    task.cancel()
            if self._failure is not None:
                raise self._failure
        except* Exception:
            self._resting = True  # a fault of the program, or another owner, does not end the conversation
            raise
        finally:
            if not self._resting:
                self.close("ended")
            self._grace = False
            self._closed.set()
            self.timeline.close()
            if self._timer is not None:
                self._timer.cancel()
            if self._lease is not None:
                await give_back(self._store, self._lease)

    async def _keep(self) -> None:
        if self._lease is not None:
            await keep(self._store, self._lease)

    async def _let_actions_end(self) -> None:
        """Record how those end that have started and need no longer than the grace; nothing else begins.

        One whose start was not durable yet has not begun, and never will.
        """
        if self._failure is None:
            self._thinking.close()
            for start in self._holdback.waiting():
                self._thinking.apply(start)
            await self._thinking.finish()
        self._grace = False

    def close(self, reason: str) -> None:
        """End the session; `run` returns once everything is written and every task has ended."""
        self._forget_in_time()
        self.post(SessionClosed(source="driver", reason=reason))

    def rest(self) -> None:
        """End `run` as after `close`, but the conversation is not over: `restore` takes it up again."""
        self._forget_in_time()
        self._resting = True
        self._grace = True
        self._closed.set()

    def _forget_in_time(self) -> None:
        """What is to be forgotten does not wait for the floor any longer: the session is about to end."""
        if self._forgetting.asked and self.open and self._failure is None:
            self._begin_anew()

    @property
    def open(self) -> bool:
        return not self._closed.is_set()

    def _open(self) -> None:
        if self._begun:
            for start in self._never_begun:
                self.post(not_begun(start, NEVER_BEGUN))
            self.post(SessionResumed(source="driver"))
            return
        policy, names = self.settings.policy.to_dict(), self._engines.names
        self.post(SessionCreated(source="driver", session_id=self.session_id, policy=policy, engines=names))

    async def restore(self, entries: Sequence[Entry], past_ids: Sequence[str] = ()) -> None:
        """Continue a stored session, before `run`: the core's state is a replay of its facts. A long one is replayed
        in parts, between which the other sessions have their turn. `past_ids`: of events that are not kept."""
        if not entries:
            return
        entries = self._forgetting.kept(entries)
        cause_id, decided, stored = "", tuple[Decision, ...](), list[Event]()
        for at, entry in enumerate(entries):
            if at % RESTORED_AT_ONCE == 0:
                await asyncio.sleep(0)
            if entry.role == "decision":
                stored.append(entry.event)
            elif not isinstance(entry.event, OwnerChanged):
                cause_id, stored = entry.event.event_id, []
                decided = self._core.handle(entry.event, entry.now_us, entry.seq)
                self._observe(entry.event)
            if isinstance(entry.event, SettingsChanged):
                set_at = datetime.fromisoformat(entry.ts)
                self._change_settings(entry.event, set_at)  # what has become impossible since is left out
        self._closed.clear()
        self._grace = False
        started = datetime.fromisoformat(entries[0].ts) - timedelta(microseconds=entries[0].now_us)
        since_us = max((self._clock.wall() - started) // timedelta(microseconds=1), entries[-1].now_us)
        self._base_us = self._clock.now_us() - since_us
        await self.timeline.load(entries, started, past_ids)
        if list(decided[: len(stored)]) == stored:
            self._complete(decided[len(stored) :], cause_id, entries[-1].now_us)

    def _complete(self, lost: Sequence[Decision], cause_id: str, now_us: int) -> None:
        """Record what the last step decided and the process did not live to store. An action that it would have
        started has not begun: only a start that was stored is dispatched."""
        for decision in lost:
            self.timeline.record(decision, now_us=now_us, turn_id=self._core.turn_id, parent_event_id=cause_id)
        self._never_begun = [decision for decision in lost if isinstance(decision, ActionStarted)]
