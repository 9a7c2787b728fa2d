"""The composition root: the only place that names engines, stores and services.

    async with App(settings) as app:            # engines loaded, nobody connected
        session = await app.open()              # a conversation, its loops running

An engine setting is one of the names below or `module:Class`. Such a class is called with the
settings of its table and the clock, and has the methods of its port. `brain.tools` names tools of the
user's own beside the built-in ones.
"""

from __future__ import annotations

import asyncio
import importlib
import logging
import secrets
import sys
from collections.abc import Callable
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

from agent.clock import Clock
from agent.conversation.events import ReminderDue
from agent.errors import AgentError, LimitReached, SettingsError
from agent.hearing.asr_pocketsphinx import PocketsphinxAsr
from agent.hearing.port import Asr, Vad
from agent.hearing.vad_webrtc import WebRtcVad
from agent.session import Engines, Session
from agent.settings import Settings
from agent.speaking.port import Tts
from agent.speaking.tts_espeak import EspeakTts
from agent.thinking.brain_skills import SkillsBrain
from agent.thinking.libraries import Libraries
from agent.thinking.memory import Memory
from agent.thinking.port import Brain
from agent.thinking.timers import Timers
from agent.thinking.tools.catalogue import builtin_tools, sentences
from agent.thinking.tools.office import Office
from agent.thinking.tools.plugged import plugged_tools, skills_of, without_duplicates
from agent.timeline.memory import MemoryStore
from agent.timeline.sqlite import SqliteStore
from agent.timeline.store import Store

if TYPE_CHECKING:
    from agent.telemetry.listener import Telemetry

OPEN_TIMEOUT_S = 10.0
CLOSE_TIMEOUT_S = 10.0
CACHE = Path(".cache") / "voice-agent"

log = logging.getLogger("agent")


class App:
    """Engines, store and sessions of one process. Implements `transport.port.Sessions`."""

    def __init__(self, settings: Settings, *, cache: Path = CACHE) -> None:
        self.settings = settings
        self.clock = Clock()
        self.memory = Memory(settings.brain.memory)
        self.timers = Timers(self.memory)
        self.office = Office.of(settings.mail, settings.calendar, settings.brain.memory)
        self.store = _store(settings, self.clock)
        self._telemetry = _telemetry(settings)
        self.engines = self._engines(cache)
        self.sessions: dict[str, Session] = {}
        self._running: dict[str, asyncio.Task[None]] = {}
        self._changed = asyncio.Event()
        self._stack = AsyncExitStack()

    def _engines(self, cache: Path) -> Engines:
        settings, clock = self.settings, self.clock
        libraries = Libraries()
        _find_modules_here()
        plugged = plugged_tools(settings.brain.tools)
        tools = without_duplicates(builtin_tools(self.memory, self.timers, libraries, self.office), plugged)
        skills = skills_of(plugged)
        known = sentences(people=self.office.contacts.names, own=skills)
        own = partial(_engine, clock=clock)
        asr: Asr = own("asr", settings.asr, pocketsphinx=lambda: PocketsphinxAsr(settings.asr, known, clock, cache))
        brain: Brain = own("brain", settings.brain, skills=lambda: SkillsBrain(libraries, skills))
        tts: Tts = own("tts", settings.tts, espeak=lambda: EspeakTts(settings.tts, clock))
        vad: Callable[[], Vad] = partial(own, "vad", settings.vad, webrtcvad=lambda: WebRtcVad(settings.vad))
        names = {"vad": vad().name, "asr": asr.name, "brain": brain.name, "tts": tts.name}
        return Engines(vad, asr, brain, tools, tts, self._speed, names)

    def _speed(self) -> float:
        return float(self.memory.preference("speech_speed", self.settings.tts.speed))

    # ── life ─────────────────────────────────────────────────────────────────────────────

    async def __aenter__(self) -> App:
        """Load everything that is slow. Raises `EngineError` or `StoreError` saying what to do."""
        stack, engines = self._stack, self.engines
        try:
            stack.push_async_callback(self.store.close)
            if self._telemetry is not None:
                stack.push_async_callback(self._telemetry.close)
            await self.memory.start()
            if self.memory.problem:
                log.warning("%s Notes, lists and timers do not work.", self.memory.problem)
            stack.push_async_callback(self.memory.close)
            stack.push_async_callback(self.office.close)
            for engine in (engines.brain, engines.tts, engines.asr):
                stack.push_async_callback(engine.close)
                await engine.start()
            self._tasks = await stack.enter_async_context(asyncio.TaskGroup())
            self._ringing = self._tasks.create_task(self._ring(), name="timers")
        except BaseException:
            await stack.aclose()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ringing.cancel()
        for session_id in list(self.sessions):
            await self.close(session_id, "shutdown")
        await self._stack.aclose()

    async def _ring(self) -> None:
        """Let timers ring while there is somebody to hear them."""
        while True:
            while not self.sessions:
                await self._change()
            async with asyncio.TaskGroup() as ringing:
                task = ringing.create_task(self.timers.run(self.clock, self._remind))
                while self.sessions:
                    await self._change()
                task.cancel()

    async def _change(self) -> None:
        """Wait until a session has come or gone."""
        self._changed.clear()
        await self._changed.wait()

    def _remind(self, reminder_id: str, text: str) -> None:
        for session in self.sessions.values():
            session.post(ReminderDue(source="timers", reminder_id=reminder_id, text=text))

    # ── sessions ─────────────────────────────────────────────────────────────────────────

    async def open(self) -> Session:
        """A new session, its loops running. Raises `LimitReached` when there are too many."""
        if len(self.sessions) >= self.settings.limits.sessions:
            raise LimitReached(
                f"{len(self.sessions)} sessions are open, which is the limit; try again when one has ended, "
                "or raise limits.sessions"
            )
        session = Session(secrets.token_urlsafe(12), self.engines, self.store, self.clock, self.settings)
        return await self.run(session)

    async def run(self, session: Session) -> Session:
        """Own a session until it ends; returns once its loops run."""
        if self._telemetry is not None:
            entries = session.entries(session.timeline.last_seq)
            self._tasks.create_task(self._telemetry.follow(entries), name=f"{session.session_id} telemetry")
        self.sessions[session.session_id] = session
        self._changed.set()
        self._running[session.session_id] = self._tasks.create_task(self._run(session), name=session.session_id)
        async with asyncio.timeout(OPEN_TIMEOUT_S):
            await session.ready.wait()
        return session

    async def _run(self, session: Session) -> None:
        try:
            await session.run()
        except* AgentError as errors:
            for error in errors.exceptions:
                log.error("session %s ended: %s", session.session_id, error)
        except* Exception:
            # The boundary between sessions: a fault of one must not reach the others.
            log.exception("session %s ended by a fault of the program", session.session_id)
        finally:
            session.ready.set()
            self.sessions.pop(session.session_id, None)
            self._running.pop(session.session_id, None)
            self._changed.set()

    async def close(self, session_id: str, reason: str) -> None:
        """End a session and wait for its tasks. Unknown ids are ignored."""
        session, task = self.sessions.get(session_id), self._running.get(session_id)
        if session is None or task is None:
            return
        session.close(reason)
        _, late = await asyncio.wait([task], timeout=CLOSE_TIMEOUT_S)
        if late:
            log.error("session %s did not end in %s s; cancelled", session_id, CLOSE_TIMEOUT_S)
            task.cancel()


def _find_modules_here() -> None:
    """Modules that settings name may lie in the working directory, which an installed command does not search."""
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.append(here)


def _telemetry(settings: Settings) -> Telemetry | None:
    if not settings.telemetry.wanted:
        return None
    from agent.telemetry.listener import telemetry  # the library takes its time to load

    return telemetry(settings.telemetry)


def _store(settings: Settings, clock: Clock) -> Store:
    if settings.timeline.store == "memory":
        return MemoryStore()
    if settings.timeline.store == "sqlite":
        return SqliteStore(settings.timeline.path, clock)
    raise SettingsError(f"timeline.store is {settings.timeline.store!r}; it must be memory or sqlite")


def _engine(table: str, settings: Any, *, clock: Clock, **known: Callable[[], Any]) -> Any:
    """Make an engine by its short name or its `module:Class`."""
    name: str = settings.engine
    if name in known:
        return known[name]()
    module, colon, attribute = name.partition(":")
    if not colon:
        raise SettingsError(f"{table}.engine is {name!r}; it must be {' or '.join(known)}, or module:Class")
    try:
        return getattr(importlib.import_module(module), attribute)(settings, clock)
    except (ImportError, AttributeError) as error:
        raise SettingsError(f"{table}.engine is {name!r}, which cannot be loaded: {error}") from error
