"""Makes the helpers under tests/ importable as `tests.…`, and tells a stolen machine from a broken program."""

import os
import sys
from collections.abc import Generator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from agent.bench.steal import Steal

STOLEN = 0.1
"""From this share of the machine's time on that a hypervisor took away, a failure in real time says nothing."""

REAL_CLOCK = ("realtime", "live")
FOLDERS = {"browser", "realtime"}
"""Where `scripts/test` looks for those."""

_steal = pytest.StashKey[Steal]()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if any(map(item.get_closest_marker, REAL_CLOCK)) and not FOLDERS & set(item.path.parts):
            raise pytest.UsageError(f"{item.nodeid} belongs to one of {', '.join(FOLDERS)}: it is marked so")


def pytest_runtest_setup(item: pytest.Item) -> None:
    item.stash[_steal] = Steal()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """In the second run of what failed on the real clock (`scripts/test`), skip what fails on a stolen machine."""
    report = yield
    stolen = item.stash[_steal].share() if _steal in item.stash else None
    again = os.environ.get("VOICE_AGENT_TESTS_AGAIN") and (
        item.get_closest_marker("realtime") or item.get_closest_marker("live")
    )
    if again and report.failed and call.excinfo is not None and stolen is not None and stolen >= STOLEN:
        path, line, _ = item.location
        why = f"Skipped: a hypervisor took {stolen:.0%} of the machine's time; it failed with: {call.excinfo.exconly()}"
        report.outcome, report.longrepr = "skipped", (path, (line or 0) + 1, why[:400])
    return report
