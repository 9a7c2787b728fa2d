"""The two libraries that are slow to load, pint and dateparser, in a thread of their own.

Building pint's registry takes some 700 ms and the first date 240 ms, with the GIL held for
tens of milliseconds: `start` does both before anyone is listening.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from functools import cache
from typing import Any, TypeVar

from agent.clock import Clock
from agent.errors import ToolError

T = TypeVar("T")


class Libraries:
    """Loads on `start`, or on first use."""

    def __init__(self) -> None:
        self._executor = ThreadPoolExecutor(max_workers=1, thread_name_prefix="libraries")
        self._registry: Any = None
        self._dates: Any = None

    async def start(self) -> None:
        """Load and warm up. May be called again. Raises `ToolError` when a library is missing."""
        await self._in_thread(self._load)

    async def close(self) -> None:
        self._executor.shutdown(wait=False)

    async def check(self) -> str:
        """A preflight: what is missing, or empty."""
        try:
            await self.start()
        except ToolError as error:
            return str(error)
        return ""

    async def convert(self, value: float, source: str, target: str) -> float:
        """Convert between two of pint's units. Raises `ToolError` (class input)."""
        return await self._in_thread(lambda: self._convert(value, source, target))

    async def date(self, text: str, now: datetime) -> datetime | None:
        """The day that `text` names, in the future where that is open; None if it names none."""
        return await self._in_thread(lambda: self._date(text, now))

    async def _in_thread(self, work: Callable[[], T]) -> T:
        async with Clock().external():
            return await asyncio.get_running_loop().run_in_executor(self._executor, work)

    def _load(self) -> None:
        if self._registry is not None:
            return
        try:
            import pint  # noqa: F401 - whether it is there
            from dateparser.date import DateDataParser
        except ImportError as error:
            raise ToolError(f"{error.name} is missing. Install the project's dependencies again.", "crash") from error
        self._dates = DateDataParser
        self._date("in three days", datetime(2026, 1, 1))  # noqa: DTZ001 - any day; it only warms up
        self._registry = _registry()

    def _convert(self, value: float, source: str, target: str) -> float:
        self._load()
        import pint

        try:
            return float(self._registry.Quantity(value, source).to(target).magnitude)
        except pint.DimensionalityError:
            raise ToolError("Those two measure different things.", "input") from None
        except (pint.PintError, ValueError, TypeError, AttributeError, OverflowError, AssertionError):
            raise ToolError("I don't know that unit.", "input") from None

    def _date(self, text: str, now: datetime) -> datetime | None:
        if self._dates is None:
            self._load()
        settings = {"PREFER_DATES_FROM": "future", "RELATIVE_BASE": now.replace(tzinfo=None)}
        found = self._dates(languages=["en"], settings=settings).get_date_data(text).date_obj
        return found.replace(tzinfo=now.tzinfo) if isinstance(found, datetime) else None


@cache
def _registry() -> Any:
    """Pint's, made and warmed up once in a process."""
    import pint

    registry: Any = pint.UnitRegistry()
    registry.Quantity(1.0, "mile").to("kilometer")
    return registry
