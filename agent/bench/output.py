"""Where a benchmark's progress and figures go."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from agent.conversation.events import Json
from agent.errors import SettingsError


@contextmanager
def progress_bar(err: Console, steps: int) -> Iterator[Callable[[str], None]]:
    """A bar; what it gives is to be told at the start of each step."""
    columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    # Drawn seldom: the bar must not take the processor from what is measured.
    with Progress(*columns, console=err, transient=True, refresh_per_second=2) as progress:
        task = progress.add_task("starting", total=steps)
        yield lambda what: progress.update(task, description=what, advance=1)


def check_folder(out: Path | None) -> None:
    """Raises `SettingsError` when the file could not be written, before minutes are spent."""
    if out is not None and not out.resolve().parent.is_dir():
        raise SettingsError(f"{out} cannot be written: its folder is not there")


def write_json(out: Path | None, found: Mapping[str, Json]) -> None:
    """Raises `SettingsError`."""
    if out is None:
        return
    try:
        out.write_text(json.dumps(found, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    except OSError as error:
        raise SettingsError(f"{out} cannot be written: {error.strerror}") from error
