"""`voice-agent serve`: the agent behind its page."""

from __future__ import annotations

import asyncio
import gc
import signal
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console

from agent.app import App
from agent.config.change import with_changes
from agent.config.load import save
from agent.conversation.events import Json
from agent.errors import SettingsError
from agent.settings import Settings
from agent.transport.http import create_app
from agent.transport.server import listen, serve


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


async def run_server(settings: Settings, config: Path, console: Console) -> None:
    """Serve until stopped. Raises `AgentError` when something it needs is not there."""
    server = settings.server
    listen(server.host, server.port).close()  # before the engines take their seconds to load
    console.print("Loading the engines …", style="dim")
    with closing_on_sigterm():
        await _serve(settings, config, console)


async def _serve(settings: Settings, config: Path, console: Console) -> None:
    server = settings.server
    async with App(settings) as app:

        def keep(changes: Mapping[str, Json]) -> Settings:
            changed = with_changes(app.settings, changes)
            save(config, changes)
            app.settings = changed
            return changed

        # What the engines loaded stays: a collection that walks it all takes 150 ms, eight frames of every call.
        gc.collect()
        gc.freeze()
        web = create_app(app, settings, web=web_folder(), save=keep, engines=app.engines.names, key=app.token_key())

        def ready(url: str) -> None:
            names = ", ".join(f"{kind} {name}" for kind, name in app.engines.names.items())
            console.print(f"Engines: {names}.", style="dim")
            console.print(f"Open [bold]{url}[/bold] and talk. Ctrl-C stops it.")

        await serve(web, server.host, server.port, ready, settings.limits.message_bytes)
