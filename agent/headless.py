"""`voice-agent file`: the whole conversation on recorded audio, without a browser."""

from __future__ import annotations

import asyncio
import json
import secrets
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from agent.app import NO_PARTS, App
from agent.clock import run_virtual
from agent.config.load import DEFAULT, Loaded
from agent.conversation.events import Json
from agent.errors import AudioError, EngineError
from agent.owners import LOCAL
from agent.parts import Parts
from agent.settings import Settings
from agent.show import show_transcript
from agent.timeline.codec import dumps
from agent.timeline.entry import Entry
from agent.transport.file_plan import Utterance, plan_files
from agent.transport.file_report import build_report
from agent.transport.files import run_files
from agent.transport.recording import Recording

SESSION_ID = "file"


@dataclass(frozen=True, slots=True)
class FileRun:
    """One headless run. `report` may be `-` for standard output."""

    inputs: Sequence[Path]
    out: Path | None = None
    timeline: Path | None = None
    report: str | None = None
    clock: Literal["virtual", "real"] = "virtual"
    following: Sequence[str] = ()
    charge_compute: bool = False
    time_zone: str = "UTC"


def run_headless(run: FileRun, loaded: Loaded, console: Console, parts: Parts = NO_PARTS) -> dict[str, Json]:
    """Talk to the agent with files, write what was asked for and print the transcript, unless the report takes its
    place. Returns the report. Raises `AgentError`."""
    plan = plan_files(run.inputs, run.following)
    settings = for_files(loaded)
    with Progress(
        TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn(), console=console, transient=True
    ) as progress:
        work = _converse(plan, settings, run.time_zone, progress, parts)
        if run.clock == "virtual":
            recording, entries, pending, engines = run_virtual(work, charge_compute=run.charge_compute)
        else:
            recording, entries, pending, engines = asyncio.run(work)
    report = {"complete": recording.complete, **build_report(entries, recording, settings, engines, pending)}
    try:
        if run.out is not None:
            recording.write_wav(run.out)
        if run.timeline is not None:
            run.timeline.write_text("".join(dumps(entry) + "\n" for entry in entries), encoding="utf-8")
        _write_report(run.report, report)
    except OSError as error:
        raise AudioError(f"{error.filename} cannot be written: {error.strerror}") from error
    if run.report != "-":
        show_transcript(Console(emoji=False), entries)
    if not recording.complete:
        raise EngineError("the session ended before the files did; the timeline and --verbose say why")
    return report


def for_files(loaded: Loaded) -> Settings:
    """The settings of a headless run: nothing is kept between runs unless the configuration says where, and no
    recogniser is started for a second conversation.

    So a run depends on nothing but its files and its configuration.
    """
    settings = loaded.settings
    if loaded.origin["brain.memory"] == DEFAULT:
        brain = settings.brain.model_copy(update={"memory": Path(":memory:")})
        settings = settings.model_copy(update={"brain": brain})
    if loaded.origin["timeline.store"] == DEFAULT and loaded.origin["timeline.path"] == DEFAULT:
        timeline = settings.timeline.model_copy(update={"store": "memory"})
        settings = settings.model_copy(update={"timeline": timeline})
    if loaded.origin["asr.workers"] == DEFAULT:
        settings = settings.model_copy(update={"asr": settings.asr.model_copy(update={"workers": 1})})
    return settings


async def _converse(
    plan: Sequence[Utterance], settings: Settings, time_zone: str, progress: Progress, parts: Parts
) -> tuple[Recording, list[Entry], list[Json], dict[str, str]]:
    task = progress.add_task("loading", total=1.0)
    async with App(settings, parts=parts) as app:
        progress.update(task, description="talking")
        # A file that keeps timelines keeps each run's.
        taken = await app.store.session(SESSION_ID)
        call = await app.open(f"{SESSION_ID}-{secrets.token_hex(4)}" if taken else SESSION_ID)
        recording = await run_files(
            call,
            app.clock,
            plan,
            time_zone=time_zone,
            progress=lambda share: progress.update(task, completed=share),
        )
        pending: list[Json] = [timer.to_json() for timer in app.owners[LOCAL].timers.pending()]
        await app.close(call.session_id, "files done")
        return recording, call.session.timeline.window(), pending, app.engines.names


def _write_report(target: str | None, report: dict[str, Json]) -> None:
    if target is None:
        return
    text = json.dumps(report, indent=2, ensure_ascii=False) + "\n"
    if target == "-":
        sys.stdout.write(text)
    else:
        Path(target).write_text(text, encoding="utf-8")
