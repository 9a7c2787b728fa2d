"""Listening: the HTTP app on a socket, from the first request to the last goodbye."""

from __future__ import annotations

import asyncio
import errno
import socket
import ssl
from collections.abc import Callable
from contextlib import closing

import uvicorn
from fastapi import FastAPI

from agent.errors import SettingsError
from agent.settings import Server
from agent.transport.peers import SHUTDOWN, PeerTable
from agent.transport.websocket import MAX_AUDIO_BYTES

GRACE_S = 5
"""How long open requests may take once the server is told to stop."""

UNREAD_S = 30.0
"""How long a client that is gone, or reads nothing, may leave what was sent to it lying in the network."""


class _Server(uvicorn.Server):
    """Says goodbye to every peer before connections are closed under them."""

    def __init__(self, config: uvicorn.Config, peers: PeerTable) -> None:
        super().__init__(config)
        self._peers = peers

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        await self._peers.close(SHUTDOWN)
        await super().shutdown(sockets)


def listen(host: str, port: int) -> socket.socket:
    """A listening socket; port 0 takes a free one. Raises `SettingsError` saying the way out."""
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0][0]
        sock = socket.create_server((host, port), family=family, backlog=128)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise SettingsError(
                f"port {port} on {host} is in use, perhaps by another voice agent; "
                "take another one with --set server.port=8701, or any free one with --set server.port=0"
            ) from error
        if error.errno == errno.EACCES:
            raise SettingsError(f"port {port} needs privileges; take one above 1023: --set server.port=8700") from error
        raise SettingsError(f"server.host {host} cannot be listened on: {error.strerror or error}") from error
    # What is accepted inherits these. asyncio sets the first one only where a socket says that it is TCP, which one of
    # `create_server` does not: an answer's second packet, and each frame of audio, would wait for the client's delayed
    # acknowledgement, some 40 ms.
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    if hasattr(socket, "TCP_USER_TIMEOUT"):  # Linux
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, round(UNREAD_S * 1_000))
    return sock


def check_tls(server: Server) -> None:
    """Raises `SettingsError` for a certificate that cannot be served."""
    if bool(server.tls_certificate) != bool(server.tls_key):
        raise SettingsError("server.tls_certificate and server.tls_key go together: set both, or none")
    if not server.tls_certificate:
        return
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(server.tls_certificate, server.tls_key)
    except (OSError, ssl.SSLError) as error:
        raise SettingsError(
            f"the certificate {server.tls_certificate} with the key {server.tls_key} cannot be used "
            f"({error.strerror or error}): give PEM files that belong together"
        ) from error


async def serve(
    app: FastAPI, settings: Server, ready: Callable[[str], None] = lambda url: None, message_bytes: int = 16_384
) -> None:
    """Serve an app of `http.create_app` until SIGINT, SIGTERM or cancellation.

    `ready` gets the URL once requests are taken. On the way out peers are told goodbye, open
    requests get `GRACE_S`, and the app's lifespan ends. Raises `SettingsError` when the address
    cannot be had. A signal that ended it is raised again afterwards, as uvicorn does.
    """
    check_tls(settings)
    with closing(listen(settings.host, settings.port)) as sock:
        config = uvicorn.Config(
            app,
            log_level="warning",
            access_log=False,  # it would write tokens given in the query
            proxy_headers=False,
            server_header=False,
            lifespan="on",
            http="h11",  # the other one takes headers without end
            ws="websockets-sansio",
            ws_max_size=max(message_bytes, MAX_AUDIO_BYTES) + 1_024,
            timeout_graceful_shutdown=GRACE_S,
            ssl_certfile=settings.tls_certificate or None,
            ssl_keyfile=settings.tls_key or None,
        )
        server = _Server(config, app.state.peers)
        url = _url(settings, sock.getsockname()[1])
        async with asyncio.TaskGroup() as tasks:
            serving = tasks.create_task(server.serve(sockets=[sock]), name="http")
            announcing = tasks.create_task(_announce(server, lambda: ready(url)), name="announce")
            try:
                await asyncio.shield(serving)
            except asyncio.CancelledError:
                server.should_exit = True
                await asyncio.wait([serving], timeout=3 * GRACE_S)
                raise
            finally:
                announcing.cancel()


async def _announce(server: uvicorn.Server, ready: Callable[[], None]) -> None:
    while not server.started:  # noqa: ASYNC110 - uvicorn has a flag and no event
        await asyncio.sleep(0.01)
    ready()


def _url(settings: Server, port: int) -> str:
    host, scheme = settings.host, "https" if settings.tls_certificate else "http"
    shown = "localhost" if host in ("127.0.0.1", "::1", "0.0.0.0", "::", "") else host  # noqa: S104 - only shown
    return f"{scheme}://[{shown}]:{port}/" if ":" in shown else f"{scheme}://{shown}:{port}/"
