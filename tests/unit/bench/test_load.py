"""The load's levels and what is said of them, from made-up crowds."""

import json
import math
from contextlib import asynccontextmanager
from io import StringIO

import pytest
from rich.console import Console
from typer.testing import CliRunner

from agent.bench.crowd import Crowd
from agent.bench.floor import Floor
from agent.bench.load import Level, Load
from agent.bench.load_command import show_load, verdict
from agent.bench.plan import FULL_LOAD, QUICK_LOAD
from agent.bench.voices import Voice
from agent.cli import main
from agent.config.load import load as parse


def crowd(sessions, *waits_ms, **changes):
    values = {
        "lateness_ms": [], "playout": [{"p99_ms": 3.0}, {"p99_ms": 4.5}], "window_s": 30,
        "floor": Floor([1.0] * 99 + [2.0], 0.5), "server_cpu_s": 10.0, "callers_cpu_s": None, "setup_worst_ms": None,
    }  # fmt: skip
    return Crowd(sessions=sessions, waits_ms=list(waits_ms), **(values | changes))


def level(sessions, *waits_ms, **changes):
    return Level.of(crowd(sessions, *waits_ms, **changes))


def load(*levels):
    return Load("a machine", "somebody", {}, levels)


def test_a_level_tells_cpu_by_the_minute_and_session_and_the_worst_call():
    found = level(4, 300.0, 400.0, 500.0)
    assert (found.p50_ms, found.p95_ms, found.asks, found.unanswered) == (400, 490, 3, 0)
    assert (found.server_cpu_s, found.callers_cpu_s) == (5.0, None)
    assert found.playout_p99_ms == 4.5
    assert found.timer_p99_ms == pytest.approx(1.0, abs=0.1)
    bare = level(1, 300.0, playout=[], floor=Floor())
    assert (bare.playout_p99_ms, bare.timer_p99_ms, bare.stolen) == (None, None, None)


def test_a_question_without_answer_is_infinitely_late():
    found = level(2, 300.0, 310.0, math.inf)
    assert (found.p50_ms, found.p95_ms, found.unanswered) == (310, math.inf, 1)
    assert found.to_json()["p95_ms"] is None


@pytest.mark.parametrize(
    ("levels", "doubled_at", "said"),
    [
        ([level(1, 300.0), level(2, 599.0), level(4, 600.0), level(8, 400.0)], 4, "p95 has doubled at 4 sessions"),
        ([level(1, 300.0), level(12, 599.0)], None, "p95 has not doubled up to 12 sessions (300 ms → 599 ms"),
        ([level(1, 300.0), level(2, math.inf)], 2, "at 2 sessions (300 ms → no answer"),
        ([level(1, math.inf), level(2, math.inf)], None, "cannot be said: 1 session already"),
        ([level(1, 300.0)], None, "not doubled up to 1 session ("),
    ],
)
def test_where_p95_has_doubled(levels, doubled_at, said):
    found = load(*levels)
    assert found.doubled_at == doubled_at
    assert said in verdict(found)


def test_table_and_json_hold_every_level():
    found = load(level(1, 300.0), level(2, 310.0, math.inf))
    out = StringIO()
    show_load(found, Console(file=out, width=200))
    assert "no answer" in out.getvalue()
    assert "unknown" in out.getvalue()
    assert "50%" in out.getvalue()
    assert "callers run on the server's cores" in out.getvalue()
    assert [one["sessions"] for one in json.loads(json.dumps(found.to_json()))["levels"]] == [1, 2]


def test_too_many_sessions_are_a_result():
    found = load(level(1, 300.0), Level.of(Crowd.failed(12, "a call broke off")))
    assert found.doubled_at == 12
    out = StringIO()
    show_load(found, Console(file=out, width=200))
    assert "12 sessions: a call broke off." in out.getvalue()
    json.dumps(found.to_json())


@pytest.mark.parametrize(
    ("arguments", "sessions", "limit_and_workers"),
    [
        ([], [1, 2, 4, 8, 12], (12, 12)),
        (["--quick"], [1, 2, 4], (4, 4)),
        (["--set", "limits.sessions=3"], [1, 2], (3, 12)),
    ],
)
def test_the_command_measures_what_the_limit_allows(tmp_path, monkeypatch, arguments, sessions, limit_and_workers):
    limits = []

    async def choose_voice(texts, sounds):
        return Voice("somebody", {}, {"hello": "yellow"})

    @asynccontextmanager
    async def running(folder, overrides, clock):
        settings = parse(None, {}, overrides).settings
        limits.append((settings.limits.sessions, settings.asr.workers))
        yield None

    async def crowds(server, voice, clock, stages, step):
        return [crowd(stage.sessions, 300.0 * stage.sessions) for stage in stages]

    for fake in (choose_voice, running, crowds):
        monkeypatch.setattr(f"agent.bench.load.{fake.__name__}", fake)
    out = tmp_path / "load.json"
    result = CliRunner().invoke(main, ["bench", "--load", "--json", str(out), *arguments])
    assert result.exit_code == 0, result.output
    assert "p95 has doubled at 2 sessions" in result.output
    assert limits == [limit_and_workers]
    assert [one["sessions"] for one in json.loads(out.read_text())["levels"]] == sessions


def test_sessions_only_grow():
    for stages in (FULL_LOAD, QUICK_LOAD):
        sessions = [stage.sessions for stage in stages]
        assert sessions == sorted(set(sessions))
        assert sessions[0] == 1


def test_the_command_refuses_a_file_in_no_folder_before_it_measures(tmp_path):
    result = CliRunner().invoke(main, ["bench", "--load", "--json", str(tmp_path / "none" / "load.json")])
    assert result.exit_code == 2
    assert "its folder is not there" in result.output
