"""Stored conversations, for the page that takes them up again or plays them back.

    GET /sessions                     those of the owner who asks, newest first, each with a token that opens it
    GET /sessions/ID/recorded         its entries, and where its audio lies
    GET /sessions/ID/recorded/START   the audio file that begins at START ms: stereo, the user left, the agent right

The last two need the conversation's own session token, and no more of it than to watch.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Annotated

from fastapi import Query, Request, Response
from fastapi.responses import FileResponse, JSONResponse
from starlette.exceptions import HTTPException

from agent.conversation.events import Json
from agent.errors import SessionGone, TokenRefused
from agent.owners import NOBODY
from agent.recordings import Part, Recordings
from agent.timeline.entry import Entry
from agent.timeline.summary import Summary
from agent.transport.openapi import Conversations, Earlier
from agent.transport.reception import Reception
from agent.transport.session_routes import given_by
from agent.transport.wire import entry_message

PATH = "/sessions/{session_id}/recorded"
MAX_LISTED = 100
LISTED_S = 3_600.0
"""How long the tokens of a list are good; a connection renews the one that let it in."""


@dataclass(frozen=True, slots=True)
class Archive:
    """What is stored. `entries` gives those that a session still has, none if it is not known; `summaries` so many
    of an owner's conversations."""

    entries: Callable[[str], Awaitable[list[Entry]]]
    recordings: Recordings
    summaries: Callable[[str, int], Awaitable[list[Summary]]]


class ArchiveRoutes:
    def __init__(self, reception: Reception, archive: Archive) -> None:
        self._reception = reception
        self._archive = archive

    async def earlier(self, request: Request, limit: Annotated[int, Query(ge=1, le=MAX_LISTED)] = 20) -> Response:
        owner, key, now_s = request.state.owner, self._reception.key, self._reception.now_s()
        if owner == NOBODY:
            raise TokenRefused("conversations are listed for their owner: this needs the owner's token")
        listed = [
            Earlier(**asdict(one), token=key.issue(one.session_id, now_s, LISTED_S, owner=owner))
            for one in await self._archive.summaries(owner, limit)
        ]
        told = Conversations(owner=owner, sessions=listed)
        return JSONResponse(told.model_dump(), headers={"Cache-Control": "no-store"})

    async def recorded(self, session_id: str, request: Request) -> Response:
        self._admit(session_id, request)
        entries = await self._archive.entries(session_id)
        if not entries:
            raise SessionGone("this conversation is not stored any more")
        audio: list[Json] = [
            {
                "start_ms": part.start_ms,
                "duration_ms": part.duration_ms,
                "path": f"/sessions/{session_id}/recorded/{part.start_ms}",
            }
            for part in await self._parts(session_id)
        ]
        about: dict[str, Json] = {"session_id": session_id, "audio": audio}
        return Response(await asyncio.to_thread(_recorded, about, entries), media_type="application/json")

    async def recorded_audio(self, session_id: str, start_ms: int, request: Request) -> Response:
        self._admit(session_id, request)
        part = next((part for part in await self._parts(session_id) if part.start_ms == start_ms), None)
        if part is None:
            raise HTTPException(404, "there is no audio that begins there; it may have been forgotten")
        return FileResponse(part.path, media_type="audio/wav", headers={"Cache-Control": "no-store"})

    def _admit(self, session_id: str, request: Request) -> None:
        _, grant = self._reception.member(session_id, given_by(request), request.state.owner)
        grant.require("watch")

    async def _parts(self, session_id: str) -> list[Part]:
        return await asyncio.to_thread(self._archive.recordings.parts, session_id)


def _recorded(about: dict[str, Json], entries: Sequence[Entry]) -> bytes:
    """The answer, entry by entry: others have their turn between them, as they have not in one dump of it all."""
    told = ",".join(entry_message(entry) for entry in entries)
    return f'{json.dumps(about)[:-1]}, "entries": [{told}]}}'.encode()
