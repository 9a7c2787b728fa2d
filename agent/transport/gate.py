"""Who may talk to this server, decided before anything else reads the request.

A page of another origin must not reach a voice agent on the reader's own machine: neither by
a form or a fetch (the Origin is checked) nor under a name of its own that resolves to
127.0.0.1 (DNS rebinding; the Host is checked). Where owners have tokens, everything but the page's files
needs one; a session token that was minted for somebody else does instead for what concerns its session. Whose
token it was, the handlers find as `request.state.owner`.
"""

from __future__ import annotations

import ipaddress
import json
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import parse_qs, urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from agent.owners import NOBODY, owner_of, owner_tokens
from agent.settings import Server

GUARDED = (
    "/calls",
    "/offer",
    "/config.json",
    "/settings",
    "/ws",
    "/sessions",
    "/qr",
    "/openapi.json",
    "/asyncapi.json",
)
"""Paths that need the token; others are the page's own files and /healthz."""

VISITED = ("/calls", "/offer", "/config.json", "/ws", "/sessions")
"""Of them, those that a guest may see. What is found there, the session token decides."""

SECURITY_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'self'; connect-src 'self' ws: wss:; media-src 'self' blob: mediastream:; "
        "img-src 'self' data:; object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Permissions-Policy": "microphone=(self), camera=(), geolocation=()",
    "Cross-Origin-Opener-Policy": "same-origin",
}


@dataclass(frozen=True, slots=True)
class Refusal:
    status: int
    code: str
    message: str


def is_loopback(host: str) -> bool:
    """Whether an address or name means this machine only."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _hostname(netloc: str) -> str:
    try:
        return (urlsplit(f"//{netloc}").hostname or "").lower()
    except ValueError:
        return ""


Guest = Callable[[str], Refusal | None]
"""Why who shows this session token, and no owner's, must not be answered. None for one that was minted for somebody
else, whom it lets into its session and nothing else."""

UNKNOWN = Refusal(401, "token", "a token is needed: Authorization: Bearer TOKEN, or ?token=TOKEN")


def judge(
    method: str, path: str, query: str, headers: Headers, server: Server, guest: Guest = lambda token: UNKNOWN
) -> Refusal | None:
    """Why a request must not be answered, or None. WebSockets have the method "WEBSOCKET"."""
    host = headers.get("host", "")
    if is_loopback(server.host) and not _known_host(host, server):
        return Refusal(
            421, "host", f"this server does not answer to the name {host[:100]!r}; open it as http://localhost"
        )
    origin = headers.get("origin")
    reads = method in ("GET", "HEAD") and not _below(path, "/sessions")  # whose reader is a device that comes in
    if not reads and origin is not None and not _known_origin(origin, host, server):
        return Refusal(
            403, "origin", f"pages of {origin[:100]!r} may not use this server; server.origins lists those that may"
        )
    if method == "OPTIONS" or not any(_below(path, prefix) for prefix in GUARDED):
        return None
    if asker(query, headers, server) != NOBODY:
        return None
    return guest(_session_token(query, headers)) if any(_below(path, prefix) for prefix in VISITED) else UNKNOWN


def _below(path: str, prefix: str) -> bool:
    return path == prefix or path.startswith(prefix + "/")


def _known_host(host: str, server: Server) -> bool:
    name = _hostname(host)
    names = {"localhost", "127.0.0.1", "::1", server.host.lower()}
    return name in names or name in {_hostname(urlsplit(origin).netloc) for origin in server.origins}


def _known_origin(origin: str, host: str, server: Server) -> bool:
    try:
        parts = urlsplit(origin)
    except ValueError:
        return False
    same = parts.scheme in ("http", "https") and parts.netloc.lower() == host.lower() != ""
    return same or origin.lower() in {known.lower().rstrip("/") for known in server.origins}


def asker(query: str, headers: Headers, server: Server) -> str:
    """The owner who asks, `NOBODY` if no token says. Raises `ValueError` for a query with too many fields."""
    scheme, _, given = headers.get("authorization", "").partition(" ")
    offered = [given.strip()] if scheme.lower() == "bearer" else []
    offered += parse_qs(query, max_num_fields=20).get("token", [])
    return owner_of(offered, owner_tokens(server.owner_tokens, server.token))


def _session_token(query: str, headers: Headers) -> str:
    return headers.get("session-token") or parse_qs(query, max_num_fields=20).get("session_token", [""])[0]


class Gate:
    """ASGI middleware: refuses by `judge`, and adds the security and cross-origin headers."""

    def __init__(self, app: ASGIApp, server: Server, guest: Guest) -> None:
        self._app = app
        self._server = server
        self._guest = guest

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        method = scope["method"] if scope["type"] == "http" else "WEBSOCKET"
        headers = Headers(scope=scope)
        try:
            query = scope.get("query_string", b"").decode("latin-1")
            scope["state"] = {**scope.get("state", {}), "owner": asker(query, headers, self._server)}
            refusal = judge(method, scope["path"], query, headers, self._server, self._guest)
        except ValueError:
            refusal = Refusal(400, "request", "the query has too many fields")
        if scope["type"] == "websocket":
            await self._websocket(refusal, scope, receive, send)
            return
        origin = headers.get("origin", "")
        allowed = origin if origin.lower() in {known.lower().rstrip("/") for known in self._server.origins} else ""

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                _add_headers(MutableHeaders(scope=message), allowed)
            await send(message)

        if refusal is not None:
            await _respond(send_with_headers, refusal)
        elif method == "OPTIONS":
            await _respond(send_with_headers, None)
        else:
            await self._app(scope, receive, send_with_headers)

    async def _websocket(self, refusal: Refusal | None, scope: Scope, receive: Receive, send: Send) -> None:
        if refusal is None:
            await self._app(scope, receive, send)
            return
        await receive()
        await send({"type": "websocket.close", "code": 1008, "reason": refusal.message[:120]})


def _add_headers(headers: MutableHeaders, allowed_origin: str) -> None:
    for name, value in SECURITY_HEADERS.items():
        headers.setdefault(name, value)
    headers.setdefault("Cache-Control", "no-cache")
    if allowed_origin:
        headers["Access-Control-Allow-Origin"] = allowed_origin
        headers["Access-Control-Allow-Methods"] = "GET, POST, PUT, DELETE"
        headers["Access-Control-Allow-Headers"] = (
            "Authorization, Content-Type, Session-Token, Session-Seen, Device-Id, Device-Sound, Last-Event-ID"
        )
        headers["Access-Control-Expose-Headers"] = "Location, Retry-After"
        headers.add_vary_header("Origin")


async def _respond(send: Send, refusal: Refusal | None) -> None:
    """A refusal as JSON, or the empty answer to a preflight request."""
    body = b""
    headers = [(b"content-type", b"application/json")]
    if refusal is not None:
        body = json.dumps({"error": {"code": refusal.code, "message": refusal.message}}).encode()
        if refusal.status == 401:
            headers.append((b"www-authenticate", b"Bearer"))
    headers.append((b"content-length", str(len(body)).encode()))
    status = 204 if refusal is None else refusal.status
    await send({"type": "http.response.start", "status": status, "headers": headers if refusal else []})
    await send({"type": "http.response.body", "body": body})
