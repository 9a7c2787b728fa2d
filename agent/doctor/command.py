"""`voice-agent doctor`: whether this machine can run the agent, and how fast it will be."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

from rich.console import Console

from agent.doctor.check import Check
from agent.doctor.machine import machine, packages, tools
from agent.settings import Settings

MARKS = {True: "[green]✓[/green]", False: "[red]✗[/red]", None: "[yellow]–[/yellow]"}


def run_doctor(settings: Settings, console: Console) -> bool:
    """Print every check as it is made; whether nothing essential is missing."""
    healthy = show(machine(), console)
    if not show(packages(), console):
        return False  # the rest could not even be imported
    from agent.doctor.files import files

    healthy = show(files(settings), console) and healthy
    healthy = asyncio.run(_show_engines(settings, console)) and healthy
    return show(tools(), console) and healthy


async def _show_engines(settings: Settings, console: Console) -> bool:
    from agent.doctor.engines import engines
    from agent.doctor.mcp_servers import mcp_servers

    healthy = True
    for checks in (engines(settings), mcp_servers(settings)):
        async for check in checks:
            healthy = show([check], console) and healthy
    return healthy


def show(checks: Iterable[Check], console: Console) -> bool:
    """Print checks; whether nothing essential is missing among them."""
    healthy = True
    for check in checks:
        mend = f"\n    → {check.mend}" if check.mend else ""
        console.print(f"{MARKS[check.ok]} [bold]{check.name}[/bold]  ", end="")
        console.print(check.says + mend, highlight=False, markup=False, soft_wrap=True)
        healthy = healthy and check.ok is not False
    return healthy
