"""`voice-agent serve`: the agent behind its page."""

from __future__ import annotations

import asyncio
import gc
import io
import signal
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import segno
from rich.console import Console

from agent.app import NO_PARTS, App
from agent.auto import marked
from agent.config.change import with_changes
from agent.config.load import save
from agent.conversation.events import Json
from agent.errors import SettingsError
from agent.lan import Lan
from agent.parts import Parts
from agent.settings import Settings
from agent.transport.archive import Archive
from agent.transport.http import create_app
from agent.transport.server import check_tls, listen, serve


def web_folder() -> Path:
    """Where the page lies: beside the package in a checkout, inside it when installed."""
    package = Path(__file__).resolve().parent
    for folder in (package / "_web", package.parent / "web"):
        if (folder / "index.html").exists():
            return folder
    raise SettingsError("the page's files are missing: install the package again, or run from a checkout")


@contextmanager
def closing_on_sigterm() -> Iterator[None]:
    """SIGTERM cancels the task inside, as Ctrl-C does, so that on the way out sessions come to rest, what they did is
    recorded and their leases are given back. The process then ends with 143, as one that the signal killed."""
    loop, task, told = asyncio.get_running_loop(), asyncio.current_task(), False

    def stop() -> None:
        nonlocal told
        if not told and task is not None:  # a second one must not break off the first one's end
            told = True
            task.cancel()

    before = signal.signal(signal.SIGTERM, lambda *_: loop.call_soon_threadsafe(stop))
    try:
        yield
    except asyncio.CancelledError:
        if told:
            raise SystemExit(128 + signal.SIGTERM) from None
        raise
    finally:
        signal.signal(signal.SIGTERM, before)


async def run_server(
    settings: Settings, config: Path, console: Console, lan: Lan | None = None, parts: Parts = NO_PARTS
) -> None:
    """Serve until stopped. Raises `AgentError` when something it needs is not there."""
    server = settings.server
    check_tls(server)
    listen(server.host, server.port).close()  # before the engines take their seconds to load
    console.print("Loading the engines …", style="dim")
    with closing_on_sigterm():
        await _serve(settings, config, console, lan, parts)


async def _serve(settings: Settings, config: Path, console: Console, lan: Lan | None, parts: Parts) -> None:
    async with App(settings, parts=parts) as app:

        def keep(changes: Mapping[str, Json]) -> Settings:
            changed = with_changes(app.settings, changes)
            save(config, changes)
            app.settings = changed
            return changed

        # What the engines loaded stays: a collection that walks it all takes 150 ms, eight frames of every call.
        gc.collect()
        gc.freeze()
        web = create_app(
            app,
            settings,
            web=web_folder(),
            save=keep,
            engines=marked(app.engines.names, app.chosen),
            key=app.token_key(),
            archive=Archive(app.recorded, app.recordings, app.summaries),
        )

        def ready(url: str) -> None:
            names = ", ".join(f"{kind} {name}" for kind, name in app.engines.names.items())
            console.print(f"Engines: {names}.", style="dim")
            for choice in app.chosen:
                console.print(str(choice), style="dim", highlight=False, markup=False, soft_wrap=True)
            if lan is None:
                console.print(f"Open [bold]{url}[/bold] and talk. Ctrl-C stops it.")
            else:
                invite(console, lan, settings.server.token, urlsplit(url).port or 0)

        await serve(web, settings.server, ready, settings.limits.message_bytes)


def invite(console: Console, lan: Lan, token: str, port: int) -> None:
    """Say how other devices of the network get here. The token is shown on a terminal only: a log keeps no secret."""
    page = f"https://{lan.address}:{port}/"
    if console.is_terminal:
        link = f"{page}?token={token}"
        shown = io.StringIO()
        segno.make(link).terminal(shown, compact=True)
        console.print(shown.getvalue(), markup=False, highlight=False)
    else:
        link = f"{page}?token=… (the token is in {lan.certificate.with_name('token')})"
    console.print(
        "The browser will warn, since this machine signed its certificate itself: nobody else vouches for it. See that "
        f"the SHA-256 fingerprint it shows is\n{lan.fingerprint}\nand go on to the page.",
        style="dim",
        highlight=False,
        emoji=False,
        soft_wrap=True,
    )
    here = "here or on any device of this network"
    console.print(f"Open [bold]{link}[/bold] {here}, and talk. Ctrl-C stops it.", highlight=False, soft_wrap=True)
