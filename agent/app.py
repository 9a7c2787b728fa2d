"""The composition root: the only place that names engines, stores and services.

    async with App(settings) as app:            # engines loaded, nobody connected
        call = await app.open()                 # a conversation, its loops running
        call = await app.join(session_id)       # one more connection to it, or to one that rests in the store

An engine setting is one of the names below, `auto` for the best of them that is present, or
`module:Class`. Such a class is called with the settings of its table and the clock, and has the methods
of its port. `brain.tools` names tools of the user's own beside the built-in ones; a program brings both
as objects, in `Parts`.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING
from weakref import WeakValueDictionary

from agent import heavy_engines
from agent.auto import resolved
from agent.belongings import Belongings
from agent.clock import Clock
from agent.conversation.events import ReminderDue, SessionForget
from agent.errors import (
    AgentError,
    Fenced,
    HeldByOther,
    LimitReached,
    SessionGone,
    SessionHeld,
    SessionRests,
    SettingsError,
    StoreError,
    ToolError,
    first_of,
)
from agent.hearing.asr_pocketsphinx import PocketsphinxAsr
from agent.hearing.port import Asr, Vad
from agent.hearing.vad_webrtc import WebRtcVad
from agent.owners import LOCAL, NOBODY, no_place, owner_tokens
from agent.parts import Parts, engine_of, find_modules_here
from agent.recordings import Recordings
from agent.retention import retain
from agent.seats import Seat, Table
from agent.session import Engines, Session
from agent.settings import Settings
from agent.speaking.port import Tts
from agent.speaking.tts_espeak import EspeakTts
from agent.thinking.brain_skills import NOT_FOR_SKILLS, SkillsBrain
from agent.thinking.libraries import Libraries
from agent.thinking.port import Brain, Retriever
from agent.thinking.retrieval.folder import DocumentFolder
from agent.thinking.tools.catalogue import builtin_tools, sentences
from agent.thinking.tools.plugged import plugged_tools, skills_of, without_duplicates
from agent.timeline.entry import Entry
from agent.timeline.leases import Lease
from agent.timeline.memory import MemoryStore
from agent.timeline.owner import ALONE, Owner, owner_beside
from agent.timeline.reading import ended, read_all, read_kept
from agent.timeline.sqlite import SqliteStore
from agent.timeline.store import Store
from agent.timeline.summary import Summary, summaries
from agent.timeline.tenure import TTL_S, give_back
from agent.transport.port import Call
from agent.transport.session_token import TokenKey, key_in

if TYPE_CHECKING:
    from agent.telemetry.listener import Telemetry

OPEN_TIMEOUT_S = 10.0
CLOSE_TIMEOUT_S = 10.0
NOT_STORED = "this conversation is not stored any more"
MAX_BREAKS, BREAKS_S = 3, 600.0
"""As often as this in so many seconds a session may break off: something in it breaks the program."""
CACHE = Path(".cache") / "voice-agent"
NO_PARTS = Parts()

log = logging.getLogger("agent")


class App:
    """Engines, store and sessions of one process. Implements `transport.port.Sessions`."""

    def __init__(self, settings: Settings, *, cache: Path = CACHE, parts: Parts = NO_PARTS) -> None:
        settings, self.chosen = resolved(settings)
        for choice in self.chosen:
            log.info("%s", choice)
        self.settings = settings
        self.clock = Clock()
        named = owner_tokens(settings.server.owner_tokens, settings.server.token)
        self.owners = {name: Belongings(name, settings) for name in dict.fromkeys((LOCAL, *named))}
        self._expected = tuple(named) or (LOCAL,)
        """The owners who can come: where others have tokens, `local` without one cannot."""
        self.store = _store(settings, self.clock)
        self.recordings = Recordings.beside(settings.timeline.path)
        self._telemetry = _telemetry(settings)
        self._mcp = heavy_engines.mcp_servers(settings)
        self._documents = self._retriever(cache, parts)
        self._engines_of = self._engines(cache, parts)
        self.engines = self._engines_of[LOCAL]
        self.sessions: dict[str, Session] = {}
        self._tables: dict[str, Table] = {}
        self._running: dict[str, asyncio.Task[None]] = {}
        self._lingering: dict[str, asyncio.Task[None]] = {}
        """Of the sessions that nobody is left in, the one that has waited longest first."""
        self._broke_off: deque[tuple[str, int]] = deque(maxlen=64)
        """Sessions that an error stopped, and when, the last one last."""
        self._coming: dict[str, str] = {}
        """Sessions that have a place kept for them, and whose they are."""
        self._joining: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        """By session: two that come at once must not both take it from the store."""
        self._changed = asyncio.Event()
        self._stack = AsyncExitStack()

    def _engines(self, cache: Path, parts: Parts) -> dict[str, Engines]:
        """By owner: the same ones, with tools of their own."""
        settings, clock = self.settings, self.clock
        libraries = Libraries()
        find_modules_here()
        plugged = [*plugged_tools(settings.brain.tools), *plugged_tools(parts.tools)]
        skills = skills_of(plugged)
        known = sentences(people=self.owners[LOCAL].office.contacts.names, own=skills)
        own = partial(engine_of, parts=parts, clock=clock)
        asr: Asr = own(
            "asr",
            settings.asr,
            pocketsphinx=lambda: PocketsphinxAsr(settings.asr, known, clock, cache),
            whisper=lambda: heavy_engines.whisper(settings, clock),
        )
        spare = SkillsBrain(libraries, skills)
        brain: Brain = own(
            "brain", settings.brain, skills=lambda: spare, openai=lambda: heavy_engines.openai(settings, clock)
        )
        if self._mcp and brain is spare:
            log.warning("%s", NOT_FOR_SKILLS)
        fallback = spare if settings.brain.fallback == "skills" and brain is not spare else None
        tts: Tts = own(
            "tts",
            settings.tts,
            espeak=lambda: EspeakTts(settings.tts, clock),
            piper=lambda: heavy_engines.piper(settings, clock),
        )
        vad: Callable[[], Vad] = partial(
            own,
            "vad",
            settings.vad,
            webrtcvad=lambda: WebRtcVad(settings.vad),
            silero=lambda: heavy_engines.silero(settings.vad),
        )
        names = {"vad": vad().name, "asr": asr.name, "brain": brain.name, "tts": tts.name}

        def of(own: Belongings) -> Engines:
            documents = self._documents if own.owner == LOCAL else None
            builtin = builtin_tools(own.memory, own.timers, libraries, own.office, self._forget, documents)
            tools, speed = without_duplicates(builtin, plugged), partial(self._speed, own)
            sources = self._mcp if own.owner == LOCAL else ()  # they act with what belongs to whoever set them up
            return Engines(
                vad, asr, brain, tools, tts, speed, names, own.speed_asked, fallback, own.memory.forget, sources
            )

        return {name: of(own) for name, own in self.owners.items()}

    def _retriever(self, cache: Path, parts: Parts) -> Retriever | None:
        given = self.settings.documents
        if not given.folder and parts.documents is None:
            return None
        fts5 = partial(DocumentFolder, Path(given.folder).expanduser(), cache / "documents.sqlite3")
        found: Retriever = engine_of("documents", given, parts=parts, clock=self.clock, fts5=fts5)
        return found

    def _keep_days(self) -> int:
        return self.settings.sessions.keep_days

    def _forget(self, session_id: str) -> None:
        """Have a session forget what was said in it. Raises `ToolError`."""
        session = self.sessions.get(session_id)
        if session is None:
            raise ToolError("This conversation is not one that I can forget.", "not_found")
        session.post(SessionForget(source="tools"))

    def _speed(self, own: Belongings) -> float:
        return own.speed(self.settings.tts.speed)

    # ── life ─────────────────────────────────────────────────────────────────────────────

    async def __aenter__(self) -> App:
        """Load everything that is slow. Raises `EngineError` or `StoreError` saying what to do."""
        stack, engines = self._stack, self.engines
        try:
            self._owner = _owner(self.settings)
            stack.callback(self._owner.close)
            stack.push_async_callback(self.store.close)
            if self._telemetry is not None:
                stack.push_async_callback(self._telemetry.close)
            for own in self.owners.values():
                await own.memory.start()
                if own.memory.problem:
                    log.warning("%s Notes, lists and timers do not work.", own.memory.problem)
                stack.push_async_callback(own.memory.close)
                stack.push_async_callback(own.office.close)
            for engine in _started(engines):
                stack.push_async_callback(engine.close)
            await _start(engines)
            self._tasks = await stack.enter_async_context(asyncio.TaskGroup())
            self._chores = [
                *(self._tasks.create_task(self._ring(own), name="timers") for own in self.owners.values()),
                self._tasks.create_task(self._retain(), name="retention"),
            ]
            if self._documents is not None:
                stack.push_async_callback(self._documents.close)
                self._chores.append(self._tasks.create_task(self._documents.prepare(), name="documents"))
            self._connections = [
                self._tasks.create_task(server.run(), name=f"mcp {server.name}") for server in self._mcp
            ]
        except BaseException:
            await stack.aclose()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for chore in self._chores:
            chore.cancel()
        for session_id in list(self.sessions):
            await self.rest(session_id)
        for connection in self._connections:
            connection.cancel()
        await self._stack.aclose()

    async def _forget_answers(self, session_id: str) -> None:
        """Erase what tools answered in a session that is deleted, whosever it was."""
        for own in self.owners.values():
            try:
                await own.memory.forget(session_id)
            except ToolError as error:
                log.warning("what was answered in session %s is not erased: %s", session_id, error)

    async def _retain(self) -> None:
        await retain(self.store, self.recordings, self._keep_days, self.clock, self._forget_answers)

    async def _ring(self, own: Belongings) -> None:
        """Let an owner's timers ring while there is somebody of theirs to hear them."""
        while True:
            while not self._attended(own.owner):
                await self._change()
            async with asyncio.TaskGroup() as ringing:
                task = ringing.create_task(own.timers.run(self.clock, partial(self._remind, own.owner)))
                while self._attended(own.owner):
                    await self._change()
                task.cancel()

    def _attended(self, owner: str) -> list[Session]:
        sessions = (table.session for table in self._tables.values() if table)
        return [session for session in sessions if session.owner == owner]

    async def _change(self) -> None:
        """Wait until a session or a connection has come or gone."""
        self._changed.clear()
        await self._changed.wait()

    def _remind(self, owner: str, reminder_id: str, text: str) -> None:
        for session in self._attended(owner):
            session.post(ReminderDue(source="timers", reminder_id=reminder_id, text=text))

    def token_key(self) -> TokenKey:
        """What session tokens are signed with: kept beside the timelines, which they open. Raises `StoreError`."""
        timeline = self.settings.timeline
        return (
            TokenKey() if timeline.store == "memory" else key_in(timeline.path.with_name(f"{timeline.path.name}.key"))
        )

    # ── sessions ─────────────────────────────────────────────────────────────────────────

    async def open(self, session_id: str = "", *, owner: str = LOCAL) -> Seat:
        """A new session of this owner, its loops running. Raises `LimitReached` when there are too many,
        `StoreError`."""
        session_id = session_id or secrets.token_hex(12)
        async with self._room(session_id, owner):
            return await self._begin(session_id, [], owner)

    async def join(self, session_id: str, owner: str = LOCAL, *, wakes: bool = True) -> Seat:
        """See `transport.port.Sessions.join`. Raises `SessionGone` for one that was ended or is not stored as theirs,
        `SessionHeld` for one that another process has, `SessionRests`, `LimitReached`, `StoreError`.
        """
        if owner not in self.owners or await self._owner_of(session_id) != owner:
            raise SessionGone(NOT_STORED)  # another's is no more than one that never was
        async with self._joining.setdefault(session_id, asyncio.Lock()):
            session, running = self.sessions.get(session_id), self._running.get(session_id)
            if session is not None and running is not None and not session.open:
                await asyncio.wait([running], timeout=CLOSE_TIMEOUT_S)
            lingering = self._lingering.pop(session_id, None) if wakes else None
            if lingering is not None:
                lingering.cancel()
            table = self._tables.get(session_id)
            seat = await self._take_up(session_id, owner, wakes=wakes) if table is None else table.seat(wakes=wakes)
            self._changed.set()
            return seat

    async def _owner_of(self, session_id: str) -> str:
        """Whose session it is, nobody's if there is none."""
        if session_id in self.sessions:
            return self.sessions[session_id].owner
        stored = await self.store.session(session_id)
        return NOBODY if stored is None else stored.user

    async def _take_up(self, session_id: str, owner: str, *, wakes: bool) -> Seat:
        """Have a stored session go on from where its timeline ends."""
        since_us = self.clock.now_us() - round(BREAKS_S * 1_000_000)
        if sum(broken == session_id and at_us > since_us for broken, at_us in self._broke_off) >= MAX_BREAKS:
            raise SessionGone(f"this conversation broke off {MAX_BREAKS} times; the agent's log says why")
        stored = await read_kept(self.store, session_id)
        if not stored:
            raise SessionGone(NOT_STORED)
        if ended(stored):
            raise SessionGone("this conversation was ended")  # without a trace of who asked for it
        if not wakes:
            raise SessionRests("nobody is in this conversation: it can be watched again once somebody is")
        async with self._room(session_id, owner):
            return await self._begin(session_id, stored, owner)

    async def summaries(self, owner: str, limit: int) -> list[Summary]:
        """An owner's conversations, newest first. Raises `StoreError`."""
        return await summaries(self.store, owner, limit, self.clock.wall())

    async def recorded(self, session_id: str) -> list[Entry]:
        """What is stored of a session, up to now; nothing if it is not known. Raises `StoreError`."""
        return await read_kept(self.store, session_id)

    async def _begin(self, session_id: str, stored: list[Entry], owner: str) -> Seat:
        """Hold a session, and have it go on behind its last entry; `stored` is what of it has been read."""
        lease = await self._acquire(session_id, owner)
        try:
            stored += await read_all(self.store, session_id, stored[-1].seq if stored else 0)
            if ended(stored):
                raise SessionGone("this conversation was ended")
            recordings = self.recordings if self.settings.sessions.record else None
            engines = self._engines_of[owner]
            session = Session(session_id, engines, self.store, self.clock, self.settings, lease, recordings, owner)
            await session.restore(stored, await self.store.past_ids(session_id))
        except BaseException:
            await give_back(self.store, lease)
            raise
        return await self.run(session)

    async def _acquire(self, session_id: str, owner: str) -> Lease:
        try:
            return await self.store.acquire(session_id, self._owner.name, TTL_S, owner)
        except Fenced as deleted:  # meanwhile
            raise SessionGone(NOT_STORED) from deleted
        except HeldByOther as held:
            log.warning("%s", held)
            raise SessionHeld(
                "this conversation is held by another process of the agent: end it there, or wait until that stops"
            ) from held

    async def leave(self, call: Call, reason: str, *, for_good: bool) -> None:
        """See `transport.port.Sessions.leave`."""
        table = self._tables.get(call.session_id)
        if table is None or not isinstance(call, Seat) or call.session is not table.session:
            return  # the session has ended, or been taken up anew, before its connection did
        seat = call
        table.leave(seat)
        self._changed.set()
        if table or seat.session_id in self._lingering:
            return
        if for_good:
            await self.close(seat.session_id, reason)
        else:
            lingering = self._linger(seat.session_id)
            self._lingering[seat.session_id] = self._tasks.create_task(lingering, name=f"{seat.session_id} lingers")

    async def _linger(self, session_id: str) -> None:
        await asyncio.sleep(self.settings.sessions.linger_s)
        await self.rest(session_id)

    @asynccontextmanager
    async def _room(self, session_id: str, owner: str) -> AsyncIterator[None]:
        """A place for a session until it runs. Sessions that nobody is left in make way, the owner's own before those
        of others. Raises `LimitReached`."""
        while (full := self._full(owner)) and self._lingering:
            own = (waiting for waiting in self._lingering if self.sessions[waiting].owner == owner)
            waiting = next(own, next(iter(self._lingering)))
            self._lingering.pop(waiting).cancel()
            await self.rest(waiting)
        if full:
            raise LimitReached(full)
        self._coming[session_id] = owner
        try:
            yield
        finally:
            self._coming.pop(session_id, None)

    def _full(self, owner: str) -> str:
        open_ = {session_id: session.owner for session_id, session in self.sessions.items()} | self._coming
        return no_place(self.settings.limits.sessions, list(open_.values()), owner, self._expected)

    async def run(self, session: Session) -> Seat:
        """Own a session until it ends; its first seat, once its loops run."""
        if self._telemetry is not None:
            entries = session.entries(session.timeline.last_seq)
            self._tasks.create_task(self._telemetry.follow(entries), name=f"{session.session_id} telemetry")
        self.sessions[session.session_id] = session
        table = self._tables[session.session_id] = Table(session)
        seat = table.seat()
        self._changed.set()
        self._running[session.session_id] = self._tasks.create_task(self._run(session), name=session.session_id)
        async with asyncio.timeout(OPEN_TIMEOUT_S):
            await session.ready.wait()
        return seat

    async def _run(self, session: Session) -> None:
        try:
            await session.run()
        except* AgentError as errors:
            if any(type(error) is not StoreError for error in errors.exceptions):  # the disk's fault is not its own
                self._broke_off.append((session.session_id, self.clock.now_us()))
            for error in errors.exceptions:
                log.error("session %s broke off: %s", session.session_id, error)
        except* Exception:
            # The boundary between sessions: a fault of one must not reach the others.
            self._broke_off.append((session.session_id, self.clock.now_us()))
            log.exception("session %s broke off by a fault of the program", session.session_id)
        finally:
            session.ready.set()
            for table in (self.sessions, self._tables, self._running):
                table.pop(session.session_id, None)
            lingering = self._lingering.pop(session.session_id, None)
            if lingering is not None and lingering is not asyncio.current_task():
                lingering.cancel()
            self._changed.set()

    async def close(self, session_id: str, reason: str) -> None:
        """End a session for good and wait for its tasks. Unknown ids are ignored."""
        if session_id in self.sessions:
            self.sessions[session_id].close(reason)
            await self._ended(session_id)

    async def rest(self, session_id: str) -> None:
        """Stop a session so that it can be taken up again, and wait for its tasks. Unknown ids are ignored."""
        if session_id in self.sessions:
            self.sessions[session_id].rest()
            await self._ended(session_id)

    async def _ended(self, session_id: str) -> None:
        task = self._running.get(session_id)
        if task is None:
            return
        _, late = await asyncio.wait([task], timeout=CLOSE_TIMEOUT_S)
        if late:
            log.error("session %s did not end in %s s; cancelled", session_id, CLOSE_TIMEOUT_S)
            task.cancel()


def _telemetry(settings: Settings) -> Telemetry | None:
    if not settings.telemetry.wanted:
        return None
    from agent.telemetry.listener import telemetry  # the library takes its time to load

    return telemetry(settings.telemetry)


def _owner(settings: Settings) -> Owner:
    return Owner(ALONE) if settings.timeline.store == "memory" else owner_beside(settings.timeline.path)


def _started(engines: Engines) -> list[Brain | Tts | Asr]:
    """Those that are started and closed."""
    brains = [engines.brain, *([engines.fallback] if engines.fallback is not None else [])]
    return [*brains, engines.tts, engines.asr]


async def _start(engines: Engines) -> None:
    """All at once: the recogniser's processes load their models while the brain loads its libraries."""
    try:
        async with asyncio.TaskGroup() as tasks:
            for engine in reversed(_started(engines)):
                tasks.create_task(engine.start())
    except BaseExceptionGroup as group:
        raise first_of(group) or group from None


def _store(settings: Settings, clock: Clock) -> Store:
    if settings.timeline.store == "memory":
        return MemoryStore(clock=clock)
    if settings.timeline.store == "sqlite":
        return SqliteStore(settings.timeline.path, clock)
    raise SettingsError(f"timeline.store is {settings.timeline.store!r}; it must be memory or sqlite")
