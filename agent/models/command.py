"""`voice-agent models`: what can be used, what is there, and how it gets there."""

from __future__ import annotations

from collections.abc import Sequence

import httpx
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn
from rich.table import Table

from agent.errors import ModelError
from agent.models.download import Download, Unreachable, client, discard, fetch, settle
from agent.models.folder import ModelsFolder, agreed
from agent.models.manifest import Model, ModelFile
from agent.models.pins import Pins

STATES = {"installed": "[green]installed[/green]", "begun": "[yellow]begun[/yellow]", "absent": "–"}
VERDICTS = {
    "verified": "[green]✓[/green] {}",
    "pinned": "[green]✓[/green] {}: no published checksum could be verified; its own is pinned from here on",
    "altered": "[red]✗[/red] {}: not what it was, or should be",
    "missing": "[red]✗[/red] {}: not there",
}


def list_models(models: ModelsFolder, console: Console) -> None:
    """Every model of the manifest, and whether it is installed."""
    table = Table("model", "size", "", "what it is, and its licence", box=None, pad_edge=False)
    for column in table.columns[:3]:
        column.no_wrap = True
    for model in models.manifest.models:
        size, what = f"{model.bytes / 1e6:,.0f} MB", f"{model.about}. [dim]{model.licence}[/dim]"
        table.add_row(model.name, size, STATES[models.state(model)], what)
    console.print(table)
    console.print(f"\nThey live in {models.folder.resolve()}.", highlight=False, soft_wrap=True)


async def pull_models(models: ModelsFolder, names: Sequence[str], console: Console, err: Console) -> None:
    """Download what is missing of each. Raises `ModelError`; what was downloaded so far is kept."""
    wanted = [models.manifest.model(name) for name in names]
    async with client() as http:
        for model in wanted:
            try:
                pinned = await _pull(models, model, http, err)
            except Unreachable as error:
                raise ModelError(f"{error}\n{by_hand(models, model)}") from error
            console.print(f"{model.name} is in {models.path(model).resolve()}", highlight=False, soft_wrap=True)
            if pinned:
                told = f"No checksum of its publisher could be verified for {', '.join(pinned)}: pinned as downloaded."
                console.print(told, style="dim", highlight=False)


def remove_models(models: ModelsFolder, names: Sequence[str], console: Console) -> None:
    """Raises `ModelError`."""
    for model in [models.manifest.model(name) for name in names]:
        freed = models.remove(model)
        console.print(f"{model.name}: {freed / 1e6:,.1f} MB freed" if freed else f"{model.name} was not there")


def verify_models(models: ModelsFolder, names: Sequence[str], console: Console) -> bool:
    """Hash what is there, or what is named; whether all of it is as it should be. Raises `ModelError`."""
    chosen = [models.manifest.model(name) for name in names]
    healthy = True
    for model in chosen or [one for one in models.manifest.models if models.state(one) != "absent"]:
        for found in models.verify(model):
            console.print(VERDICTS[found.verdict].format(f"{model.name}/{found.file}"), highlight=False)
            healthy = healthy and found.verdict in ("verified", "pinned")
    if not healthy:
        console.print("`voice-agent models pull NAME` gets what is missing; `remove` it first if it was altered.")
    return healthy


def by_hand(models: ModelsFolder, model: Model) -> str:
    """What to do on a machine that the server cannot be reached from."""
    urls = "\n".join(f"    {model.url(file)}" for file in model.files)
    folder = models.path(model).resolve()
    return (
        f"Fetch these where there is a network:\n{urls}\nput them into {folder}\n"
        f"and run `voice-agent models verify {model.name}`. Or pull again: what is there is kept."
    )


async def _pull(models: ModelsFolder, model: Model, http: httpx.AsyncClient, err: Console) -> list[str]:
    """Get the files that are missing; the names of those that were pinned."""
    pins, pinned = Pins(models.folder), []
    missing = [file for file in model.files if not (models.path(model) / file.name).is_file()]
    columns = (
        TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn()
    )  # fmt: skip
    with Progress(*columns, console=err) as progress:
        for file in missing:
            bar = progress.add_task(file.name, total=file.bytes)
            download = Download(
                model.url(file), models.path(model) / file.name, file.bytes,
                lambda done, bar=bar: progress.update(bar, completed=done),  # type: ignore[misc]
            )  # fmt: skip
            if await _get(download, pins, model, file, http):
                pinned.append(file.name)
            progress.update(bar, total=(size := download.target.stat().st_size), completed=size)
    return pinned


async def _get(download: Download, pins: Pins, model: Model, file: ModelFile, http: httpx.AsyncClient) -> bool:
    """Download, check and put one file in its place; whether it was pinned."""
    found = await fetch(download, http)
    try:
        verdict = agreed(pins, model, file, found)
    except OSError as error:
        raise ModelError(f"the checksum of {file.name} could not be kept: {error}") from error
    if verdict == "altered":
        discard(download)
        wanted = file.sha256 or pins.get(model.name, file.name)
        raise ModelError(
            f"{download.url} has the checksum {found}, and must have {wanted}: it was changed there or on the way. "
            "It was dropped; pull again, and if that stays so, do not use it"
        )
    settle(download)
    return verdict == "pinned"
