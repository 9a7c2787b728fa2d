"""An agent of your own, in Python.

from agent import Agent, tool

@tool(effect="read", examples=["how much water is left"])
def water_left() -> str:
    '''How much water is left in the tank.'''
    return "420 litres."

Agent("You look after a garden.", tools=[water_left]).serve()
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import tomlkit
from rich.console import Console

from agent.config.load import load
from agent.conversation.events import Json
from agent.errors import SettingsError
from agent.headless import FileRun, run_headless
from agent.hearing.port import Asr, Vad
from agent.parts import Parts
from agent.serving import run_server
from agent.speaking.port import Tts
from agent.thinking.port import Brain
from agent.thinking.tools.plugged import plugged_tools

CONFIG = Path("agent.toml")


class Agent:
    """What it is told, what it can do and what it runs on.

    `instructions` are for a brain that is a model. A tool is made by `@tool`, has the methods of
    `agent.thinking.port.Tool`, or is named as `module:attribute`; it comes beside the built-in ones. An engine is
    given by its name, as in `agent.toml`, by its class, or as an object; else it is that of the settings. These come
    from `agent.toml`, the environment, and then from here: `settings={"tts.speed": 1.2}`.

    Raises `SettingsError` for what cannot be.
    """

    def __init__(
        self,
        instructions: str = "",
        *,
        tools: Sequence[object] = (),
        brain: str | Brain | type[Brain] = "",
        asr: str | Asr | type[Asr] = "",
        tts: str | Tts | type[Tts] = "",
        vad: str | type[Vad] = "",
        settings: Mapping[str, Json] | None = None,
        config: Path | str = CONFIG,
    ) -> None:
        self.config = Path(config)
        engines: dict[str, object] = {"brain": brain, "asr": asr, "tts": tts, "vad": vad}
        given: dict[str, Json] = dict(settings or {})
        given |= {f"{table}.engine": engine for table, engine in engines.items() if engine and isinstance(engine, str)}
        if instructions:
            given["brain.instructions"] = instructions
        overrides = [f"{key}={_toml(key, value)}" for key, value in given.items()]
        self.loaded = load(self.config if self.config.exists() else None, os.environ, overrides)
        self.tools = plugged_tools(tools)
        self._parts = Parts(
            self.tools,
            brain=None if isinstance(brain, str) else brain,
            asr=None if isinstance(asr, str) else asr,
            tts=None if isinstance(tts, str) else tts,
            vad=None if isinstance(vad, str) else vad,
        )

    def serve(self) -> None:
        """Serve the page until Ctrl-C. Raises `AgentError` when something it needs is not there."""
        asyncio.run(run_server(self.loaded.settings, self.config, Console(emoji=False), parts=self._parts))

    def run_file(
        self,
        *recordings: Path | str,
        out: Path | str | None = None,
        timeline: Path | str | None = None,
        time_zone: str = "UTC",
    ) -> dict[str, Json]:
        """Play recordings to it as the user's voice, as fast as it goes, and print the transcript.

        `out`: a stereo WAV of the conversation; `timeline`: its events as JSON lines. Returns the report: `turns`, with
        what `user` and `agent` said, and what came of them. Raises `AgentError`.
        """
        run = FileRun(
            [Path(recording) for recording in recordings],
            Path(out) if out is not None else None,
            Path(timeline) if timeline is not None else None,
            time_zone=time_zone,
        )
        return run_headless(run, self.loaded, Console(stderr=True, emoji=False), self._parts)


def _toml(key: str, value: object) -> str:
    """As it would stand in `agent.toml`."""
    try:
        return tomlkit.item(value).as_string().strip()
    except (ValueError, TypeError) as error:
        raise SettingsError(f"{key} cannot be {value!r:.60}: {error}") from error
