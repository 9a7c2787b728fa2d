"""HTTP: signalling, the page and its configuration.

    POST   /calls        application/sdp offer → 201, the answer, Location: /calls/ID
    DELETE /calls/ID     hang up → 204; ?resume=true: leave, to come back
    POST   /offer        {"sdp", "type"} → {"sdp", "type", "session_id", "call"}
    WS     /ws           the call over a WebSocket (see `websocket`); ?control=ID steers the call ID (see `control`)
    …      /sessions/…   the conversation in text (see `session_routes`), and as it was (see `archive`)
    GET    /config.json  what the page needs to know
    PUT    /settings     {"table.key": value} → saved to the configuration file
    GET    /healthz      how many sessions there are, and how punctual the audio of each is;
                         ?playout_s=N: over the last N seconds instead of the last minute, which is the most
    GET    /openapi.json, /asyncapi.json
                         all this and the messages of every transport, for programs
    GET    /…            the page

A call is a new session, or goes on with an earlier one: see `arrival`. ID names the connection.

Errors are JSON: {"error": {"code", "message"}}.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import asdict, replace
from functools import partial
from importlib import metadata
from pathlib import Path
from typing import Any

from aiortc import RTCIceServer
from fastapi import FastAPI, Request, Response, WebSocket
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError
from starlette.exceptions import HTTPException
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

from agent.conversation.events import Json
from agent.errors import (
    AgentError,
    EngineError,
    Indeterminate,
    LimitReached,
    ScopeNeeded,
    SessionGone,
    SessionHeld,
    SessionRests,
    SettingsError,
    TokenRefused,
    TooFast,
    WireError,
)
from agent.owners import LOCAL, owner_tokens
from agent.settings import Settings
from agent.transport import asyncapi, wire
from agent.transport.archive import PATH, Archive, ArchiveRoutes
from agent.transport.arrival import Wish
from agent.transport.body import read_body
from agent.transport.control import ControlPeer, steered
from agent.transport.frame_clock import KEPT_US
from agent.transport.gate import Gate, is_loopback
from agent.transport.notices import Refused
from agent.transport.openapi import described
from agent.transport.peers import Peer, PeerTable
from agent.transport.port import Sessions
from agent.transport.qr import draw
from agent.transport.reception import Reception
from agent.transport.session_routes import Minting, SessionRoutes, given_by
from agent.transport.session_token import TokenKey
from agent.transport.webrtc import WebRtcPeer, ice_servers
from agent.transport.websocket import WebSocketPeer

RETRY_AFTER_S = 5
STATUS: tuple[tuple[type[AgentError], int], ...] = (
    (LimitReached, 503),
    (SessionHeld, 503),
    (SessionRests, 503),
    (Indeterminate, 503),
    (EngineError, 503),
    (TokenRefused, 403),
    (ScopeNeeded, 403),
    (SessionGone, 410),
    (TooFast, 429),
    (WireError, 400),
)
"""Of the errors that are answered; any other is 500."""
AGAIN = (LimitReached, SessionHeld, SessionRests, Indeterminate, TooFast)
"""Errors that may be gone at the next try, in a while."""
FINAL = (TokenRefused, WireError, SessionGone)
"""Refusals that are the same at the next try, unless they are one of those."""

SaveSettings = Callable[[Mapping[str, Json]], Settings]
"""Writes changed settings to the configuration file and returns what is then in force. Raises
`SettingsError` for values that are not possible."""

MEDIA_TYPES = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".ico": "image/x-icon",
    ".js": "text/javascript; charset=utf-8",
    ".json": "application/json",
    ".png": "image/png",
    ".svg": "image/svg+xml",
    ".wav": "audio/wav",
    ".webmanifest": "application/manifest+json",
    ".woff2": "font/woff2",
}
"""Of the page's files. The system's own table may be wrong (some say text/plain for .js)."""


class Offer(BaseModel):
    """A session description as WebRTC's own JSON; other clients' extra keys are ignored."""

    model_config = ConfigDict(strict=True, extra="ignore")
    sdp: str
    type: str = "offer"


class Page(StaticFiles):
    """The page's files, always checked for being new."""

    async def get_response(self, path: str, scope: Scope) -> Response:
        response = await super().get_response(path, scope)
        name = path if path not in ("", ".") else "index.html"
        media_type = MEDIA_TYPES.get(Path(name).suffix.lower())
        if media_type is not None and response.status_code == 200:
            response.headers["Content-Type"] = media_type
        response.headers["Cache-Control"] = "no-cache"
        return response


class _Handlers:
    """What stands behind the routes."""

    def __init__(
        self,
        reception: Reception,
        save: SaveSettings | None,
        engines: Mapping[str, str] | None,
    ) -> None:
        settings = reception.settings
        self.reception = reception
        self.sessions = reception.sessions
        self.settings = settings
        self.peers = reception.peers
        self.save = save
        self.engines = dict(engines or _engine_names(settings))
        self.ice_servers = [_page_server(server) for server in ice_servers(settings.server.ice_servers)]

    async def call(self, offer: str, request: Request) -> WebRtcPeer:
        wish = self.reception.wish(request.headers, request.state.owner)
        if len(offer.encode(errors="replace")) > self.settings.limits.sdp_bytes:
            raise HTTPException(413, f"the offer is longer than {self.settings.limits.sdp_bytes} bytes")
        self.peers.admit()
        welcome = partial(self.reception.arrive, wish)
        peer = await WebRtcPeer.answer(offer, self.sessions, self.settings, self.peers, welcome)
        self.peers.start(peer)
        return peer

    async def post_call(self, request: Request) -> Response:
        if request.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/sdp":
            raise HTTPException(415, "POST an SDP offer with Content-Type: application/sdp")
        body = await read_body(request, self.settings.limits.sdp_bytes)
        try:
            offer = body.decode()
        except UnicodeDecodeError as error:
            raise WireError("the offer is not UTF-8 text") from error
        peer = await self.call(offer, request)
        location = {"Location": f"/calls/{peer.connection_id}"}
        return Response(peer.answer_sdp, 201, location, media_type="application/sdp")

    async def post_offer(self, request: Request) -> Response:
        body = await read_body(request, 2 * self.settings.limits.sdp_bytes)
        try:
            offer = Offer.model_validate_json(body)
        except ValidationError as error:
            raise WireError('the body must be JSON like {"sdp": "v=0…", "type": "offer"}') from error
        if offer.type != "offer":
            raise WireError(f"type is {offer.type[:40]!r}; only offers are answered")
        peer = await self.call(offer.sdp, request)
        answer = {"sdp": peer.answer_sdp, "type": "answer"}
        return JSONResponse(answer | {"session_id": peer.session_id, "call": f"/calls/{peer.connection_id}"})

    async def delete_call(self, connection_id: str, request: Request, *, resume: bool = False) -> Response:
        reason = "the page was left" if resume else "hung up"
        peer = self.peers.peer(connection_id)
        if (
            peer is None
            or not self._reaches(peer, request)
            or not await self.peers.hang_up(connection_id, reason, for_good=not resume)
        ):
            raise HTTPException(404, "there is no such call; it may have ended already")
        return Response(status_code=204)

    def _reaches(self, peer: Peer, request: Request) -> bool:
        """Whether a call is of who asks: of a session that is theirs, or that their session token opens."""
        if request.state.owner == peer.device.grant.owner:
            return True
        try:
            return self.reception.wish(given_by(request), request.state.owner).session_id == peer.session_id
        except (TokenRefused, WireError):  # what is wrong with it would say that there is such a call
            return False

    async def websocket(self, websocket: WebSocket) -> None:
        await websocket.accept()
        try:
            given = {"user_agent": websocket.headers.get("user-agent", ""), **websocket.query_params}
            peer = await self._socket(websocket, self.reception.wish(given, websocket.state.owner))
        except AgentError as error:
            await websocket.send_text(Refused(code=error.code, message=str(error)).text())
            final = isinstance(error, FINAL) and not isinstance(error, AGAIN)
            await websocket.close(1008 if final else 1013, str(error)[:100])
            return
        async with self.peers.present(peer):
            await peer.run()

    async def _socket(self, websocket: WebSocket, wish: Wish) -> WebSocketPeer:
        """A call over the socket, or the control of one that goes on over WebRTC."""
        control = websocket.query_params.get("control")
        about = (self.sessions, self.settings, self.peers)
        if control is None:
            return WebSocketPeer(websocket, await self.reception.arrive(wish), *about)
        call = steered(self.peers, control, wish.grant)
        arrival = await self.reception.arrive(replace(wish, device_id=call.device.device_id))
        return ControlPeer(websocket, arrival, *about, call)

    async def config(self) -> Response:
        settings = self.settings
        return JSONResponse(
            {
                "ice_servers": self.ice_servers,
                "browser": settings.browser.model_dump(mode="json"),
                "vad": settings.vad.model_dump(mode="json"),
                "endpointing": asdict(settings.endpointing),
                "interruption": asdict(settings.interruption),
                "tts": {"speed": settings.tts.speed},
                "limits": settings.limits.model_dump(mode="json"),
                "engines": self.engines,
                "english_only": True,
                "version": _version(),
            }
        )

    async def health(self, request: Request) -> Response:
        asked = request.query_params.get("playout_s", str(KEPT_US // 1_000_000))
        if not asked.isdecimal() or len(asked) > 9:
            raise WireError("playout_s must be a whole number of seconds, like playout_s=20")
        playout = [asdict(jitter) for jitter in self.peers.jitters(int(asked) * 1_000_000)]
        return JSONResponse({"ok": True, "sessions": len(self.peers), "playout": playout})

    async def put_settings(self, request: Request) -> Response:
        if request.state.owner != LOCAL:
            raise HTTPException(403, "the settings are kept by who runs the agent: open the page with server.token")
        body = await read_body(request, self.settings.limits.message_bytes)
        try:
            changes = TypeAdapter(dict[str, bool | int | float | str | list[str]]).validate_json(body, strict=True)
        except ValidationError as error:
            raise WireError('the body must be JSON like {"vad.onset_ms": 80}') from error
        wire.check_changes(changes)  # type: ignore[arg-type]
        if self.save is None:
            raise HTTPException(409, "this server was started without a configuration file to save to")
        self.settings = self.save(changes)  # type: ignore[arg-type]
        return JSONResponse({"saved": sorted(changes)})


def create_app(
    sessions: Sessions,
    settings: Settings,
    *,
    web: Path | None = None,
    save: SaveSettings | None = None,
    engines: Mapping[str, str] | None = None,
    key: TokenKey | None = None,
    archive: Archive | None = None,
) -> FastAPI:
    """The whole HTTP side. `web`: the page's folder. `engines`: their names, where not those of
    the settings. `key` signs session tokens; without one they end with the process. `archive`: what is stored,
    if anything is.
    The app's lifespan runs its `PeerTable`, which is `app.state.peers`.

    Raises `SettingsError` for ICE servers that cannot be used, and for a server that others can
    reach without a token, or owners' tokens that cannot be.
    """
    server = settings.server
    tokens = owner_tokens(server.owner_tokens, server.token)
    if not is_loopback(server.host) and not tokens:
        raise SettingsError(
            f"server.host is {server.host}, which others can reach: set server.token to a long secret "
            "(the page then opens as /?token=SECRET), or listen on 127.0.0.1"
        )
    peers = PeerTable(settings.limits.devices)
    reception = Reception(sessions, settings, peers, key or TokenKey())
    handlers = _Handlers(reception, save, engines)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with peers, asyncio.TaskGroup() as tasks:
            watching = tasks.create_task(peers.watch_tokens(reception.ended), name="tokens")
            yield
            watching.cancel()

    version = _version()
    app = FastAPI(title="Voice agent", version=version, docs_url=None, redoc_url=None, lifespan=lifespan)
    app.state.peers = peers
    app.add_middleware(Gate, server=server, guest=reception.guest)
    app.add_exception_handler(AgentError, _agent_error)
    app.add_exception_handler(HTTPException, _http_error)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(Exception, _unforeseen)
    _route(app, handlers, reception, archive)
    messages = asyncapi.document(version)
    app.add_api_route("/asyncapi.json", lambda: JSONResponse(messages), methods=["GET"], include_in_schema=False)
    app.add_api_websocket_route("/ws", handlers.websocket)
    if web is not None:
        app.mount("/", Page(directory=web, html=True))
    return app


def _route(app: FastAPI, handlers: _Handlers, reception: Reception, archive: Archive | None) -> None:
    """Every path of HTTP itself, with what the OpenAPI document says of it."""
    routes = SessionRoutes(reception)
    describe = described(Offer, Minting)
    for method, path, handler in (
        ("POST", "/calls", handlers.post_call),
        ("DELETE", "/calls/{connection_id}", handlers.delete_call),
        ("POST", "/offer", handlers.post_offer),
        ("GET", "/config.json", handlers.config),
        ("PUT", "/settings", handlers.put_settings),
        ("GET", "/healthz", handlers.health),
        ("POST", "/qr", draw),
        ("POST", "/sessions", routes.begin),
        ("GET", "/sessions/{session_id}/events", routes.events),
        ("POST", "/sessions/{session_id}/commands", routes.command),
        ("POST", "/sessions/{session_id}/tokens", routes.mint),
        ("DELETE", "/sessions/{session_id}/tokens/{name}", routes.revoke),
    ):
        app.add_api_route(path, handler, methods=[method], **describe[handler.__name__])
    if archive is not None:
        stored = ArchiveRoutes(reception, archive)
        app.add_api_route("/sessions", stored.earlier, **describe["earlier"])
        app.add_api_route(PATH, stored.recorded, **describe["recorded"])
        app.add_api_route(f"{PATH}/{{start_ms}}", stored.recorded_audio, **describe["recorded_audio"])


async def _agent_error(request: Request, error: Exception) -> Response:
    code = error.code if isinstance(error, AgentError) else "agent"
    if isinstance(error, SettingsError):
        return _error(422 if request.method == "PUT" else 500, code, str(error))
    status = next((status for kind, status in STATUS if isinstance(error, kind)), 500)
    return _error(status, code, str(error), {"Retry-After": str(RETRY_AFTER_S)} if isinstance(error, AGAIN) else None)


async def _http_error(request: Request, error: Exception) -> Response:
    status = error.status_code if isinstance(error, HTTPException) else 500
    detail = error.detail if isinstance(error, HTTPException) else "error"
    return _error(status, f"http.{status}", detail)


async def _invalid(request: Request, error: Exception) -> Response:
    return _error(400, "wire", "the query has a value that cannot be")


async def _unforeseen(request: Request, error: Exception) -> Response:
    return _error(500, "internal", "something failed in the server; its log says what")


def _error(status: int, code: str, message: str, headers: dict[str, str] | None = None) -> Response:
    return JSONResponse({"error": {"code": code, "message": message}}, status, headers)


def _page_server(server: RTCIceServer) -> dict[str, Any]:
    known = {"urls": server.urls, "username": server.username, "credential": server.credential}
    return {name: value for name, value in known.items() if value is not None}


def _engine_names(settings: Settings) -> dict[str, str]:
    return {name: getattr(settings, name).engine for name in ("vad", "asr", "brain", "tts")}


def _version() -> str:
    try:
        return metadata.version("voice-agent")
    except metadata.PackageNotFoundError:
        return "unknown"
