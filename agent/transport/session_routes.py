"""A conversation by plain HTTP, in text: begun and steered by POST, followed as server-sent events.

    GET    /sessions                  who asks: their conversations (see `archive`)
    POST   /sessions                  begin, or come back → 201, the hello's payload (see `arrival`)
    GET    /sessions/ID/events        the timeline, on and on (see `sse`)
    POST   /sessions/ID/commands      {"event_id", "type", "payload"} as over a data channel → {"event_id", "seq"} once
                                      it is durable; the same id again does nothing more, and is answered the same
    POST   /sessions/ID/tokens        {"scopes": ["watch"], "valid_s": 3600} → 201, a token that allows no more than
                                      that: for a link to watch, to confirm, or to talk. "renews": true: it lets in
                                      for so long, and who has come in stays
    DELETE /sessions/ID/tokens/GRANT  revoke it, and what was minted from it → 204

All but the first two need the conversation's Session-Token, as a header or ?session_token=. Whatever is asked with
another one's is answered alike, whether there is such a conversation or not.
"""

from __future__ import annotations

import asyncio
import re
from typing import Annotated

from fastapi import Request, Response
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from agent.conversation.events import DeviceJoined
from agent.errors import WireError
from agent.transport.arrival import DEVICE_ID, SEEN, TOKEN, USER_AGENT
from agent.transport.body import read_body
from agent.transport.device import Device
from agent.transport.openapi import Minted, Taken
from agent.transport.port import Call
from agent.transport.reception import Reception
from agent.transport.session_token import Grant, Scope
from agent.transport.sse import EventsPeer, EventStream, paths_of
from agent.transport.token_bucket import TokenBuckets
from agent.transport.wire import HEARTBEAT, Command, read_command, scope_of

DAY_S = 86_400
YEAR_S = 365 * DAY_S

_GRANT_NAME = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{8})*")


class Minting(BaseModel):
    """What a token for somebody else is to allow, and for how long.

    `renews`: it lets somebody in for so long, and who has come in stays.
    """

    model_config = ConfigDict(strict=True, extra="forbid")
    scopes: Annotated[list[Scope], Field(min_length=1, max_length=3)] = ["watch"]
    valid_s: Annotated[int, Field(ge=1, le=YEAR_S)] = DAY_S
    renews: bool = False


class SessionRoutes:
    """What stands behind `/sessions`."""

    def __init__(self, reception: Reception) -> None:
        self._reception = reception
        self._peers = reception.peers
        self._limits = reception.settings.limits
        self._buckets = TokenBuckets(self._limits.messages_per_s)

    async def begin(self, request: Request) -> Response:
        reception = self._reception
        arrival = await reception.arrive(reception.wish(given_by(request), request.state.owner))
        session_id = arrival.call.session_id
        await reception.sessions.leave(arrival.call, "nobody reads its events yet", for_good=False)
        hello = arrival.hello().model_copy(update=paths_of(session_id))
        return JSONResponse(hello.model_dump(exclude_none=True), 201, {"Location": f"/sessions/{session_id}"})

    async def events(self, session_id: str, request: Request) -> Response:
        reception = self._reception
        wish, grant = reception.member(session_id, given_by(request), request.state.owner)
        grant.require("watch")
        arrival = await reception.come_back(wish, grant)
        return EventStream(EventsPeer(arrival, reception.sessions, reception.settings, self._peers), self._peers)

    # ── commands ─────────────────────────────────────────────────────────────────────────

    async def command(self, session_id: str, request: Request) -> Response:
        wish, grant = self._reception.member(session_id, given_by(request), request.state.owner)
        body = await read_body(request, self._limits.message_bytes)
        try:
            message = body.decode()
        except UnicodeDecodeError as error:
            raise WireError("the command is not UTF-8 text") from error
        device = self._peers.device(session_id, wish.device_id)
        if device is not None:
            command = device.read(message)
            return await _given_to(device, command)
        command = self._read(message, grant)
        call = await self._reception.sessions.join(session_id, grant.owner, wakes=grant.talks)
        try:
            device = Device(call, "post", self._limits, self._peers.clock, device_id=wish.device_id, grant=grant)
            return await _given_to(device, command)
        finally:
            await self._reception.sessions.leave(call, "its command was taken", for_good=False)

    def _read(self, message: str, grant: Grant) -> Command:
        """From somebody who is not connected, before their session is taken up for it."""
        bucket = self._buckets.of(grant.session_id, grant.name)
        command = read_command(message, bucket, self._peers.clock.now_us(), self._limits)
        grant.require(scope_of(command.type))
        if command.type == DeviceJoined.type:
            raise WireError(f"{command.type}: a device is here while it reads the events, under the same Device-Id")
        return command

    # ── tokens ───────────────────────────────────────────────────────────────────────────

    async def mint(self, session_id: str, request: Request) -> Response:
        _, grant = self._reception.member(session_id, given_by(request), request.state.owner)
        body = await read_body(request, self._limits.message_bytes)
        try:
            wanted = Minting.model_validate_json(body or b"{}")
        except ValidationError as error:
            raise WireError('the body must be JSON like {"scopes": ["watch"], "valid_s": 3600}') from error
        key, now_s = self._reception.key, self._reception.now_s()
        token = key.mint(grant, wanted.scopes, now_s, wanted.valid_s, renews=wanted.renews)
        minted = key.check(token, now_s)
        revoke = f"/sessions/{session_id}/tokens/{minted.name}"
        told = Minted(token=token, scopes=sorted(minted.scopes), expires_s=minted.expires_s, revoke=revoke)
        return JSONResponse(told.model_dump(), 201, {"Location": revoke})

    async def revoke(self, session_id: str, name: str, request: Request) -> Response:
        _, grant = self._reception.member(session_id, given_by(request), request.state.owner)
        if not _GRANT_NAME.fullmatch(name):
            raise WireError("the token to revoke is named as its `revoke` says")
        await asyncio.to_thread(self._reception.key.revoke, grant, name)
        self._peers.expel(self._reception.ended)
        return Response(status_code=204)


async def _given_to(device: Device, command: Command) -> Response:
    """Hand it to the session; the answer, once it is durable."""
    call: Call = device.call
    device.take(command)
    if command.type == HEARTBEAT:
        return JSONResponse(Taken(event_id=command.event_id).model_dump(exclude_none=True))
    receipt = await call.recorded(command.event_id)
    if receipt.code:
        return JSONResponse({"error": {"code": receipt.code, "message": receipt.message}}, 409)
    return JSONResponse(Taken(event_id=command.event_id, seq=receipt.seq).model_dump(exclude_none=True))


def given_by(request: Request) -> dict[str, str]:
    """What a device says of itself: in headers, or in the query where it can set none."""
    query, said = request.query_params, dict[str, str]()  # a query has letters that no header holds
    for name in (TOKEN, SEEN, DEVICE_ID, USER_AGENT):
        said[name] = request.headers.get(name) or query.get(name.lower().replace("-", "_"), "")
    said[SEEN] = request.headers.get("Last-Event-ID") or said[SEEN]
    return said
