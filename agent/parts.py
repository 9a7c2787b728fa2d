"""The parts that the agent is made of: brought by a program as objects, or named in the settings."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agent.clock import Clock
from agent.errors import SettingsError
from agent.hearing.port import Asr, Vad
from agent.speaking.port import Tts
from agent.thinking.port import Brain, Retriever


@dataclass(frozen=True, slots=True)
class Parts:
    """What a program brings. An engine is an object or its class, which is called with the settings of its table and
    the clock. Of the voice activity it is the class: every conversation has its own. `tools`: each a tool or a list of
    them."""

    tools: Sequence[object] = ()
    brain: Brain | type[Brain] | None = None
    asr: Asr | type[Asr] | None = None
    tts: Tts | type[Tts] | None = None
    vad: type[Vad] | None = None
    documents: Retriever | type[Retriever] | None = None


def find_modules_here() -> None:
    """Modules that settings name may lie in the working directory, which an installed command does not search."""
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.append(here)


def engine_of(table: str, settings: Any, *, parts: Parts, clock: Clock, **known: Callable[[], Any]) -> Any:
    """An engine that a program brings, or one made by its short name or its `module:Class`. Raises `SettingsError`."""
    if (given := getattr(parts, table)) is not None:
        return given(settings, clock) if isinstance(given, type) else given
    name: str = settings.engine
    if name in known:
        return known[name]()
    module, colon, attribute = name.partition(":")
    if not colon:
        raise SettingsError(f"{table}.engine is {name!r}; it must be {' or '.join(known)}, or module:Class")
    try:
        return getattr(importlib.import_module(module), attribute)(settings, clock)
    except (ImportError, AttributeError) as error:
        raise SettingsError(f"{table}.engine is {name!r}, which cannot be loaded: {error}") from error
