"""`voice-agent sessions`: what is stored, shown, taken out, checked and erased, beside an agent that may be running."""

from __future__ import annotations

import sys
from datetime import timedelta
from pathlib import Path
from urllib.parse import urlencode

from rich.console import Console
from rich.table import Table
from rich.text import Text

from agent.clock import utc_now
from agent.errors import HeldByOther, StoreError, ToolError
from agent.owners import LOCAL, own_file
from agent.recordings import Recordings
from agent.settings import Settings
from agent.stored import ALL, named, stored_timelines
from agent.thinking.memory import Memory
from agent.timeline.export import jsonl
from agent.timeline.owner import owner_beside
from agent.timeline.store import Store, StoredSession
from agent.timeline.summary import first_words
from agent.transport.session_token import key_in

SHOWN = 50
FIRST_WORDS = 40
UNREADABLE = "damaged: run sessions check"
DELETE_TTL_S = 30.0
LINK_S = 86_400.0


async def list_sessions(
    settings: Settings, console: Console, owner: str | None = None, *, everything: bool = False
) -> None:
    """What is stored, of everybody or of one owner, newest first, and who holds it. Raises `StoreError`."""
    recordings = Recordings.beside(settings.timeline.path)
    async with stored_timelines(settings.timeline) as store:
        stored = await store.sessions(ALL, user=owner)
        shown = stored if everything else stored[:SHOWN]
        several = any(one.user != LOCAL for one in stored)
        columns = ["session", "begun", "entries", "audio", "", *(["owner"] if several else []), "first words"]
        table = Table(*columns, box=None, pad_edge=False)
        for column in table.columns:  # whole but for what was said, which is cut to what room there is
            column.no_wrap = True
        for column, width in zip(table.columns, (_longest(shown), 16, 7, 7), strict=False):
            column.min_width = width
        for one in shown:
            audio_s = recordings.seconds(one.session_id)
            table.add_row(
                one.session_id,
                _minute(one.created),
                str(one.last_seq - one.first_seq + 1),
                f"{timedelta(seconds=round(audio_s))}" if audio_s else "–",
                "held" if one.held(utc_now()) else "",
                *([one.user] if several else []),
                Text(_shortened(await _first_words(store, one))),
            )
    of_whom = f" of {owner}" if owner else ""
    console.print(table if stored else f"No session{of_whom} is stored in {settings.timeline.path}.")
    if len(shown) < len(stored):
        console.print(f"{len(stored) - len(shown)} older ones: --all shows them.")


async def export_session(name: str, out: Path | None, settings: Settings, owner: str | None = None) -> None:
    """The entries of a session as JSON lines, to a file or to standard output. Raises `StoreError`."""
    async with stored_timelines(settings.timeline) as store:
        found = await named(store, name, owner)
        try:
            target = sys.stdout if out is None else out.open("w", encoding="utf-8")
            try:
                async for line in jsonl(store, found.session_id):
                    target.write(line)
            finally:
                target.flush() if out is None else target.close()
        except OSError as error:
            raise StoreError(f"{out or 'standard output'} cannot be written: {error.strerror}") from error


async def check_sessions(settings: Settings, console: Console) -> bool:
    """Say what is wrong with the stored timelines and recordings; whether nothing is. Raises `StoreError`."""
    recordings = Recordings.beside(settings.timeline.path)
    async with stored_timelines(settings.timeline) as store:
        stored = await store.sessions(ALL)
        complaints = await store.check()
    complaints += recordings.check(one.session_id for one in stored)
    for complaint in complaints:
        console.print(complaint, style="red", highlight=False, markup=False, soft_wrap=True)
    if not complaints:
        console.print(f"{settings.timeline.path} is in order: {len(stored)} sessions.", highlight=False)
    return not complaints


async def delete_session(name: str, settings: Settings, console: Console, owner: str | None = None) -> None:
    """Erase a session, its audio and what was answered in it included. Raises `StoreError` for one that a running
    agent holds."""
    async with stored_timelines(settings.timeline) as store:
        found = await named(store, name, owner)
        holder = owner_beside(settings.timeline.path)
        try:
            # Held here, nobody can take it up while it goes.
            await store.acquire(found.session_id, holder.name, DELETE_TTL_S)
            await store.delete(found.session_id)
        except HeldByOther:
            raise StoreError(
                f"session {found.session_id} is held by a running agent: hang up there, or stop that agent"
            ) from None
        finally:
            holder.close()
    had_audio = Recordings.beside(settings.timeline.path).delete(found.session_id)
    await _forget_answers(found, settings)
    console.print(f"Deleted {found.session_id}{' and its audio' if had_audio else ''}.", highlight=False)


async def _forget_answers(session: StoredSession, settings: Settings) -> None:
    """Erase what tools answered in it. Raises `StoreError`."""
    path = own_file(settings.brain.memory, session.user)
    if not path.is_file():
        return
    memory = Memory(path)
    await memory.start()
    try:
        await memory.forget(session.session_id)
    except ToolError as error:
        raise StoreError(f"{path}: what was answered in {session.session_id} is not erased: {error}") from error
    finally:
        await memory.close()


async def link_session(name: str, settings: Settings, console: Console, owner: str | None = None) -> None:
    """Print where a running agent plays a session back, with a token to watch it for a day and nothing else. Raises
    `StoreError`."""
    async with stored_timelines(settings.timeline) as store:
        found = await named(store, name, owner)
    key = key_in(settings.timeline.path.with_name(f"{settings.timeline.path.name}.key"))
    now_s = utc_now().timestamp()
    own = key.check(key.issue(found.session_id, now_s, LINK_S, owner=found.user), now_s)
    secrets = {"session_token": key.mint(own, ["watch"], now_s, LINK_S)}
    host = f"http://localhost:{settings.server.port}"
    url = f"{host}/replay.html?session={found.session_id}#{urlencode(secrets)}"
    console.print(url, soft_wrap=True, highlight=False, markup=False)


async def _first_words(store: Store, one: StoredSession) -> str:
    try:
        return await first_words(store, one)
    except StoreError:  # of this one; the others can be read
        return UNREADABLE


def _longest(stored: list[StoredSession]) -> int:
    return max((len(one.session_id) for one in stored), default=0)


def _minute(ts: str) -> str:
    return ts[:16].replace("T", " ")


def _shortened(said: str) -> str:
    return said if len(said) <= FIRST_WORDS else said[: FIRST_WORDS - 1] + "…"
