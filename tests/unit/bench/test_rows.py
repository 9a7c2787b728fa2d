"""The table's lines, from made-up results."""

import json
from io import StringIO

import numpy as np
import pytest
from rich.console import Console

from agent.bench.clock_map import ClockMap
from agent.bench.command import show, to_json
from agent.bench.crowd import Crowd
from agent.bench.floor import Floor
from agent.bench.heard import rebuild
from agent.bench.page import PageCuts
from agent.bench.recognition import Recognition
from agent.bench.rows import Budget, rows
from agent.bench.run import Measured, Single
from agent.bench.scenario import Talk
from agent.bench.voices import RATE, Voice, noise_burst, shortened, spoken_part
from agent.errors import AudioError
from agent.transport.frame_clock import Jitter

STAGES = (
    "last speech sample", "turn.end", "voice to voice", "barge-in", "noise burst", '"uh"', "cancel.requested",
    "1 session", "4 sessions", "append", "server CPU", "microphone quantum", "server start",
)  # fmt: skip


def crowd(**changes):
    values = {
        "sessions": 4, "waits_ms": [], "lateness_ms": [], "playout": [], "window_s": 30, "floor": Floor(),
        "server_cpu_s": None, "callers_cpu_s": None, "setup_worst_ms": None,
    }  # fmt: skip
    return Crowd(**(values | changes))


def measured(**changes):
    single = Single(Talk(), rebuild([], {}), ClockMap(), [], None, 10.0, [], 10, Floor())
    values = {
        "machine": "a machine", "load": None, "voice": Voice("nobody", {}, {"hello": "yellow"}), "ready_s": 1.5,
        "single": single, "crowd": crowd(), "page": PageCuts([], missing="needs Chromium"),
        "append_ms": [], "recognitions": [], "stolen": {"the whole run": 0.25, "1 session": None},
    }  # fmt: skip
    return Measured(**(values | changes))


def row(found, part):
    return next(one for one in found if part in one.stage)


def test_every_stage_has_a_line_with_a_number_or_a_reason():
    found = rows(measured())
    for stage in STAGES:
        assert row(found, stage).measured
    assert row(found, "microphone quantum").measured == "not measured: needs Chromium"
    assert all(one.within is None for one in found)


def test_budgets_are_judged():
    found = rows(measured(append_ms=[0.5] * 99 + [11.0], page=PageCuts([8.0, 9.0], output_ms=40.0)))
    assert row(found, "append").within
    assert row(found, "microphone quantum").within
    lanes = PageCuts([9.0], output_ms=40.0, lane_cuts_ms=[6.0, 7.0], missed=1)
    page = next(row for row in rows(measured(page=lanes)) if "graph" in row.stage)
    assert page.measured.startswith("6.5")
    assert "its own events: 9.0 ms" in page.how
    assert "1 missed" in page.how
    found = rows(measured(append_ms=[0.5, 30.0], page=PageCuts([8.0, 9.0], output_ms=60.0)))
    assert not row(found, "append").within
    assert not row(found, "microphone quantum").within
    playout = [{"p50_ms": 0.1, "p99_ms": late, "max_ms": late, "frames": 100, "skipped": 0} for late in (1.0, 6.0)]
    found = rows(measured(crowd=crowd(lateness_ms=[0.0], playout=playout)))
    jitter = [one for one in found if "the server's own clock" in one.how]
    assert [one.within for one in jitter] == [None, False, None]


def test_each_recogniser_has_its_cost_and_its_delay_or_a_reason():
    jitter = Jitter(150, 0.2, 6.5, 7.0, 0)
    heard = Recognition("whisper", 0.31, [140.0, 180.0], right=1, jitter=jitter, floor=Floor([1.0]))
    absent = Recognition("other", missing="the model is not there")
    found = rows(measured(recognitions=[heard, absent]))
    assert row(found, "whisper: CPU").measured == "310 ms"
    assert row(found, "whisper: CPU").how.endswith("1 of 2 right")
    assert row(found, "whisper: last sample").measured.startswith("160")
    ticks = row(found, "whisper: 20 ms clock")
    assert ticks.measured == "0.2 / 6.5 ms (median / p99); a bare timer at the same time: p99 1.0 ms"
    assert ticks.within is False
    for part in ("other: CPU", "other: last sample", "other: 20 ms clock"):
        assert row(found, part).measured == "not measured: the model is not there"


def test_the_playout_clock_stands_beside_its_floor():
    floor = Floor([0.0] * 98 + [8.0, 8.0], 0.6)
    found = rows(measured(crowd=crowd(lateness_ms=[9.0], floor=floor)))
    clock = row(found, "playout clock, 4 sessions talking")
    assert clock.measured.endswith("; a bare timer at the same time: p99 8.0 ms")
    assert (clock.data["bare_timer_p99_ms"], clock.data["stolen"], clock.within) == (8.0, 0.6, False)
    assert "no bare timer" in row(found, "1 session").measured


def test_a_crowd_tells_its_waits_and_apart_from_them_its_setting_up():
    found = rows(measured(crowd=crowd(waits_ms=[300.0, float("inf")], setup_worst_ms=120.25)))
    assert row(found, "the same, 4 sessions").measured == "300 / 300 ms (median / p95); 1 without"
    assert row(found, "4 calls are set up").measured == "120.2 ms"
    found = rows(measured(crowd=Crowd.failed(4, "a call broke off")))
    assert row(found, "the same, 4 sessions").measured == "not measured: a call broke off"
    assert row(found, "4 calls are set up").measured.startswith("not measured")


def test_table_and_json_hold_every_row():
    found = rows(measured())
    out = StringIO()
    show(found, measured(), Console(file=out, width=200))
    for stage in STAGES:
        assert stage in out.getvalue()
    assert "yellow" in out.getvalue()
    assert "(steal): the whole run 25%.\n" in out.getvalue()
    data = json.loads(json.dumps(to_json(found, measured())))
    assert len(data["rows"]) == len(found)


def test_a_budget_reads_like_one():
    assert str(Budget({50: 350, 95: 500})) == "350 ms median, 500 ms p95"


def test_sounds_have_their_lengths():
    assert noise_burst(150).size == RATE * 150 // 1_000
    assert np.array_equal(noise_burst(), noise_burst())
    tone = np.full(RATE, 5_000, np.int16)
    assert shortened(tone, 270).size == RATE * 270 // 1_000
    assert shortened(tone, 270)[-1] == 0
    assert shortened(tone[:100], 270).size == 100
    part = spoken_part(np.concatenate((np.zeros(RATE, np.int16), tone, np.zeros(RATE, np.int16))))
    assert part.size == RATE
    assert part.max() == 20_000
    with pytest.raises(AudioError, match="no sound"):
        spoken_part(np.zeros(RATE, np.int16))
