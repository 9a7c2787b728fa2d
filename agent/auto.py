"""Which engine `auto` stands for: the best one that is present.

Present is what can start without anything being fetched: its package is there, and its model, if it needs one. The
last candidate of each table comes with the program, so there always is one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Literal

from agent.models.folder import ModelsFolder
from agent.settings import Settings

AUTO = "auto"

Table = Literal["vad", "asr", "brain", "tts"]


@dataclass(frozen=True, slots=True)
class Candidate:
    """An engine that `auto` may take. `model`: one of its own models must be installed; `endpoint`: one at an endpoint
    must be named. `mend` says how to get it."""

    engine: str
    package: str
    mend: str = ""
    model: bool = False
    endpoint: bool = False


CANDIDATES: Mapping[Table, Sequence[Candidate]] = {
    "vad": (Candidate("silero", "faster_whisper", "pip install faster-whisper"), Candidate("webrtcvad", "webrtcvad")),
    "asr": (
        Candidate("whisper", "faster_whisper", "voice-agent models pull whisper-base.en", model=True),
        Candidate("pocketsphinx", "pocketsphinx"),
    ),
    "brain": (
        Candidate("openai", "openai", "set brain.base_url and brain.model to a chat API's", endpoint=True),
        Candidate("skills", "agent"),
    ),
    "tts": (
        Candidate("piper", "piper", "voice-agent models pull piper-en_US-lessac-medium", model=True),
        Candidate("espeak", "espeakng_loader"),
    ),
}
"""The best first."""


@dataclass(frozen=True, slots=True)
class Present:
    """What this machine has: a test for packages, and the installed models of each engine, the one to prefer first."""

    package: Callable[[str], bool]
    models: Mapping[str, Sequence[str]]


@dataclass(frozen=True, slots=True)
class Choice:
    """What `auto` took for a table. `model` is empty where it stays as it is set; `better` says how to get a better
    engine, empty if this is the best."""

    table: Table
    engine: str
    model: str
    better: str

    def __str__(self) -> str:
        taken = f"{self.table}.engine = auto took {self.engine}" + (f" with {self.model}" if self.model else "")
        return taken + (f"; better: {self.better}" if self.better else "")


def choose(table: Table, model: str, present: Present) -> Choice:
    """The best candidate of a table. `model` is the table's own setting, taken before others if it is there."""
    return available(table, model, present)[0]


def available(table: Table, model: str, present: Present) -> list[Choice]:
    """All candidates of a table that could be taken, the best first."""
    found, better = [], ""
    for candidate in CANDIDATES[table]:
        installed = present.models.get(candidate.engine, ())
        if _ready(candidate, model, installed, present):
            other = installed[0] if candidate.model and model not in installed and not _is_path(model) else ""
            found.append(Choice(table, candidate.engine, other, better))
        better = better or f"{candidate.engine} ({candidate.mend})"
    return found


def _ready(candidate: Candidate, model: str, installed: Sequence[str], present: Present) -> bool:
    embedded = not candidate.mend
    if embedded or not present.package(candidate.package):
        return embedded
    if candidate.model:
        return bool(installed) or _is_path(model)
    return bool(model) or not candidate.endpoint


def _is_path(model: str) -> bool:
    """A voice or folder of the user's own, which `auto` takes as it is named."""
    return "/" in model or model.endswith(".onnx")


def resolved(settings: Settings) -> tuple[Settings, tuple[Choice, ...]]:
    """The settings with an engine for every `auto`, and what was chosen. Raises `ModelError`."""
    wanted = [table for table in CANDIDATES if getattr(settings, table).engine == AUTO]
    if not wanted:
        return settings, ()
    here = present(settings)
    choices = tuple(choose(table, getattr(getattr(settings, table), "model", ""), here) for table in wanted)
    for choice in choices:
        settings = applied(settings, choice)
    return settings, choices


def applied(settings: Settings, choice: Choice) -> Settings:
    """The settings with this engine."""
    update = {"engine": choice.engine} | ({"model": choice.model} if choice.model else {})
    table = getattr(settings, choice.table).model_copy(update=update)
    return settings.model_copy(update={choice.table: table})


def marked(names: Mapping[str, str], chosen: Sequence[Choice]) -> dict[str, str]:
    """The names of engines as people read them: those that `auto` took say so."""
    taken = {choice.table for choice in chosen}
    return {table: f"{name} (auto)" if table in taken else name for table, name in names.items()}


def present(settings: Settings) -> Present:
    """What is there. Raises `ModelError` for a manifest that cannot be read."""
    folder = ModelsFolder(settings.models.folder)
    installed: dict[str, list[str]] = {}
    for model in folder.manifest.models:
        if folder.state(model) == "installed":
            installed.setdefault(model.engine, []).append(model.name)
    return Present(lambda package: find_spec(package) is not None, installed)
