"""The command line: `voice-agent serve | file | replay | sessions | models | config | doctor | bench`."""

from __future__ import annotations

import asyncio
import logging
import os
import sys
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Annotated, Any, Literal

import typer
from rich.console import Console
from rich.logging import RichHandler
from rich.table import Table

from agent.clock import utc_now
from agent.config.load import Loaded, load, values_of
from agent.errors import AgentError, AudioError, EngineError, ModelError, SettingsError, StoreError, first_of

CONFIG = Path("agent.toml")

EXIT_CODES: tuple[tuple[type[AgentError], int], ...] = (
    (SettingsError, 2),
    (AudioError, 3),
    (EngineError, 4),
    (StoreError, 5),
    (ModelError, 6),
    (AgentError, 1),
)
"""What the process ends with: 2 settings, 3 audio, 4 an engine, 5 the timeline, 6 a model, 1 anything else."""

main = typer.Typer(
    name="voice-agent",
    help="A real-time voice agent on your own machine.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
console = Console(emoji=False)
"""What is shown is shown as it is: rich would take the ":CD:" of a fingerprint for a picture."""
err = Console(stderr=True, emoji=False)

ConfigOption = Annotated[Path | None, typer.Option("--config", help="Settings file; agent.toml here if there is one.")]
OwnerOption = Annotated[str | None, typer.Option("--owner", help="Of this owner alone; local is who has no name.")]
SetOption = Annotated[list[str] | None, typer.Option("--set", help="table.key=value; may be repeated.")]


VerboseOption = Annotated[bool, typer.Option("--verbose", "-v", help="Log more, to standard error.")]


def settings_of(config: Path | None, overrides: list[str] | None) -> Loaded:
    """The settings in force for a command."""
    path = config or (CONFIG if CONFIG.exists() else None)
    return load(path, os.environ, overrides or [])


def clear_errors(command: Callable[..., None]) -> Callable[..., None]:
    """Errors raised on purpose become one line and an exit code; groups of them too."""

    @wraps(command)
    def run(*args: Any, **kwargs: Any) -> None:
        try:
            command(*args, **kwargs)
        except AgentError as error:
            raise _exit(error) from None
        except BaseExceptionGroup as group:
            if (first := first_of(group)) is None:
                raise
            raise _exit(first) from None

    return run


def _exit(error: AgentError) -> typer.Exit:
    err.print(f"[red]error[/red] ({error.code}): {error}", highlight=False, soft_wrap=True)
    return typer.Exit(next(code for kind, code in EXIT_CODES if isinstance(error, kind)))


@main.callback()
def _main(
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Log more, to standard error.")] = False,
) -> None:
    logging.basicConfig(
        level=logging.WARNING, format="%(name)s: %(message)s", handlers=[RichHandler(console=err, show_path=False)]
    )
    if verbose:
        logging.getLogger("agent").setLevel(logging.DEBUG)


@main.command()
@clear_errors
def serve(
    host: Annotated[str | None, typer.Option(help="Address to listen on.")] = None,
    port: Annotated[int | None, typer.Option(help="Port; 0 takes a free one.")] = None,
    lan: Annotated[bool, typer.Option("--lan", help="For the phones and computers of this network, too.")] = False,
    config: ConfigOption = None,
    overrides: SetOption = None,
) -> None:
    """Start the agent and print the URL to open."""
    from agent import lan as network
    from agent.serving import run_server

    flags = [f"server.host={host}"] if host is not None else []
    flags += [f"server.port={port}"] if port is not None else []
    given = [*(overrides or []), *flags]
    settings, here = settings_of(config, given).settings, None
    if lan:
        folder = settings.timeline.path.with_name("voice-agent-lan")
        here = network.prepare(folder, network.address(), utc_now())
        settings = settings_of(config, [*given, *here.overrides(settings.server)]).settings
    asyncio.run(run_server(settings, config or CONFIG, console, here))


@main.command()
@clear_errors
def file(
    inputs: Annotated[list[Path], typer.Argument(help="What the user says, in order: any audio file.")],
    out: Annotated[Path | None, typer.Option(help="Stereo WAV: the user left, the agent right.")] = None,
    timeline: Annotated[Path | None, typer.Option(help="The timeline as JSON lines.")] = None,
    report: Annotated[str | None, typer.Option(help="The report as JSON; - for standard output.")] = None,
    clock: Annotated[Literal["virtual", "real"], typer.Option(help="virtual: as fast as it goes.")] = "virtual",
    following: Annotated[
        list[str] | None,
        typer.Option(
            "--next", help="When each next file starts: after-reply, at=MS or overlap=MS; one, or one per file."
        ),
    ] = None,
    charge_compute: Annotated[bool, typer.Option(help="Let virtual time pass while engines compute.")] = False,
    time_zone: Annotated[str, typer.Option(help="The user's time zone.")] = "UTC",
    config: ConfigOption = None,
    overrides: SetOption = None,
) -> None:
    """Talk to the agent with recorded audio, without a browser."""
    from agent.headless import FileRun, run_headless

    run = FileRun(inputs, out, timeline, report, clock, following or [], charge_compute, time_zone)
    run_headless(run, settings_of(config, overrides), err)


@main.command()
@clear_errors
def replay(
    session: Annotated[
        str, typer.Argument(help="A timeline file (JSON lines), or the id of a stored session, or how it begins.")
    ],
    turns: Annotated[bool, typer.Option("--turns", help="The record of every turn instead of the transcript.")] = False,
    json_file: Annotated[
        str, typer.Option("--json", help="Figures, intent and turn records as JSON; - for standard output.")
    ] = "",
    config: ConfigOption = None,
    overrides: Annotated[
        list[str] | None,
        typer.Option("--set", help="table.key=value: decide again under this setting; timeline.path: where to look."),
    ] = None,
) -> None:
    """Feed a stored timeline to a fresh core; show its transcript, latency waterfall and figures.

    With --set, show what the core would have decided otherwise.
    """
    from agent.show import ReplayRun, replay_command

    where = [override for override in overrides or [] if override.startswith("timeline.")]
    changes = values_of([override for override in overrides or [] if override not in where])
    run = ReplayRun(session, turns, json_file, changes)
    if not replay_command(run, settings_of(config, where).settings, console):
        raise typer.Exit(1)


sessions = typer.Typer(help="Stored sessions: list, export, check and delete them.", invoke_without_command=True)
main.add_typer(sessions, name="sessions")


@sessions.callback()
@clear_errors
def sessions_(
    context: typer.Context,
    everything: Annotated[bool, typer.Option("--all", help="The older ones, too.")] = False,
    owner: OwnerOption = None,
    config: ConfigOption = None,
    overrides: SetOption = None,
) -> None:
    """List the stored sessions, newest first."""
    from agent.sessions_command import list_sessions

    if context.invoked_subcommand is None:
        asyncio.run(list_sessions(settings_of(config, overrides).settings, console, owner, everything=everything))


@sessions.command()
@clear_errors
def export(
    session: Annotated[str, typer.Argument(help="Its id, or how it begins.")],
    out: Annotated[Path | None, typer.Option(help="The file; standard output if there is none.")] = None,
    owner: OwnerOption = None,
    config: ConfigOption = None,
    overrides: SetOption = None,
) -> None:
    """Write a session as JSON lines, the form that `replay` reads."""
    from agent.sessions_command import export_session

    asyncio.run(export_session(session, out, settings_of(config, overrides).settings, owner))


@sessions.command()
@clear_errors
def link(
    session: Annotated[str, typer.Argument(help="Its id, or how it begins.")],
    owner: OwnerOption = None,
    config: ConfigOption = None,
    overrides: SetOption = None,
) -> None:
    """Print the address at which a running agent plays a session back; it is good for a day."""
    from agent.sessions_command import link_session

    asyncio.run(link_session(session, settings_of(config, overrides).settings, console, owner))


@sessions.command()
@clear_errors
def check(config: ConfigOption = None, overrides: SetOption = None) -> None:
    """Say what is wrong with what is stored."""
    from agent.sessions_command import check_sessions

    if not asyncio.run(check_sessions(settings_of(config, overrides).settings, console)):
        raise typer.Exit(1)


@sessions.command()
@clear_errors
def delete(
    session: Annotated[str, typer.Argument(help="Its id, or how it begins.")],
    owner: OwnerOption = None,
    config: ConfigOption = None,
    overrides: SetOption = None,
) -> None:
    """Erase a session for good, its audio included."""
    from agent.sessions_command import delete_session

    asyncio.run(delete_session(session, settings_of(config, overrides).settings, console, owner))


models = typer.Typer(help="Models to download: list, pull, remove and verify them.", invoke_without_command=True)
main.add_typer(models, name="models")

NamesArgument = Annotated[list[str], typer.Argument(help="Which, as `voice-agent models` names them.")]


@models.callback()
@clear_errors
def models_(context: typer.Context, config: ConfigOption = None, overrides: SetOption = None) -> None:
    """List the models, what they are, and which are installed."""
    if context.invoked_subcommand is None:
        list_(config, overrides)


@models.command(name="list")
@clear_errors
def list_(config: ConfigOption = None, overrides: SetOption = None) -> None:
    """List the models, what they are, and which are installed."""
    from agent.models.command import list_models
    from agent.models.folder import ModelsFolder

    list_models(ModelsFolder(settings_of(config, overrides).settings.models.folder), console)


@models.command()
@clear_errors
def pull(names: NamesArgument, config: ConfigOption = None, overrides: SetOption = None) -> None:
    """Download models; a download that broke off is gone on with."""
    from agent.models.command import pull_models
    from agent.models.folder import ModelsFolder

    folder = ModelsFolder(settings_of(config, overrides).settings.models.folder)
    try:
        asyncio.run(pull_models(folder, names, console, err))
    except KeyboardInterrupt:
        err.print("Interrupted; what was downloaded is kept, and the next pull goes on from there.")
        raise typer.Exit(130) from None


@models.command()
@clear_errors
def remove(names: NamesArgument, config: ConfigOption = None, overrides: SetOption = None) -> None:
    """Delete models from the folder."""
    from agent.models.command import remove_models
    from agent.models.folder import ModelsFolder

    remove_models(ModelsFolder(settings_of(config, overrides).settings.models.folder), names, console)


@models.command()
@clear_errors
def verify(
    names: Annotated[list[str] | None, typer.Argument(help="Which; all that are there if none is named.")] = None,
    config: ConfigOption = None,
    overrides: SetOption = None,
) -> None:
    """Compare the files of models with their checksums."""
    from agent.models.command import verify_models
    from agent.models.folder import ModelsFolder

    folder = ModelsFolder(settings_of(config, overrides).settings.models.folder)
    if not verify_models(folder, names or [], console):
        raise typer.Exit(1)


@main.command(name="config")
@clear_errors
def config_(
    show: Annotated[bool, typer.Option("--show", help="What is in force, and where it comes from.")] = False,
    config: ConfigOption = None,
    overrides: SetOption = None,
) -> None:
    """Print a documented agent.toml, or with --show what is in force."""
    from agent.auto import resolved
    from agent.config.show import describe, rows

    if not show:
        sys.stdout.write(describe())
        return
    table = Table("key", "value", "from", "meaning", box=None, pad_edge=False)
    loaded = settings_of(config, overrides)
    for row in rows(loaded):
        table.add_row(row.key, row.value, row.origin, row.doc)
    console.print(table)
    for choice in resolved(loaded.settings)[1]:
        console.print(str(choice), highlight=False, markup=False, soft_wrap=True)


@main.command()
@clear_errors
def doctor(config: ConfigOption = None, overrides: SetOption = None) -> None:
    """Say whether this machine has everything, and how fast it is."""
    from agent.doctor.command import run_doctor

    if not run_doctor(settings_of(config, overrides).settings, console):
        raise typer.Exit(1)


@main.command()
@clear_errors
def bench(
    quick: Annotated[bool, typer.Option("--quick", help="A few turns, about a minute.")] = False,
    load_: Annotated[bool, typer.Option("--load", help="Up to 12 sessions at once; about six minutes.")] = False,
    engines: Annotated[
        bool, typer.Option("--engines", help="Each combination of engines on the same recordings; what is set stays.")
    ] = False,
    inputs: Annotated[list[Path] | None, typer.Argument(help="The recordings for --engines: any audio file.")] = None,
    json_file: Annotated[Path | None, typer.Option("--json", help="The figures as JSON.")] = None,
    overrides: SetOption = None,
) -> None:
    """Measure every budget, from the audio that a caller hears; about six minutes."""
    from agent.bench.combinations import run_combinations
    from agent.bench.command import run_bench
    from agent.bench.load_command import run_load

    loaded = settings_of(None, overrides)
    if engines:
        run_combinations(inputs or [], loaded, json_file, console, err)
        return
    if inputs:
        raise SettingsError("recordings go with --engines; without it, bench makes its own")
    if load_:
        run_load(quick=quick, overrides=overrides or [], out=json_file, console=console, err=err)
        return
    run_bench(quick=quick, overrides=overrides or [], out=json_file, console=console, err=err)
