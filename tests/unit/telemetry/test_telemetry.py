"""Spans and metrics of the golden timelines, through OpenTelemetry's own in-memory exporters."""

from __future__ import annotations

import asyncio
import logging
import sys
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from agent.app import App
from agent.clock import run_virtual
from agent.conversation.events import TextInput
from agent.errors import LimitReached, SettingsError
from agent.settings import Settings, TelemetrySettings
from agent.telemetry.listener import Telemetry, telemetry
from agent.timeline.codec import loads
from agent.timeline.entry import Entry

FIXTURES = Path(__file__).parents[2] / "fixtures"
START_NS = 1_767_225_600 * 10**9
"""2026-01-01, when the golden sessions began."""


class Sink:
    """A listener that keeps what it would export."""

    def __init__(self) -> None:
        self.exporter, self.reader = InMemorySpanExporter(), InMemoryMetricReader()
        self.telemetry = Telemetry(TelemetrySettings(), [SimpleSpanProcessor(self.exporter)], [self.reader])

    def follow(self, entries: Sequence[Entry], *, error: Exception | None = None) -> None:
        async def stream() -> AsyncIterator[Entry]:
            for entry in entries:
                yield entry
            if error is not None:
                raise error

        run_virtual(self.telemetry.follow(stream()))

    @property
    def spans(self) -> list[ReadableSpan]:
        return sorted(self.exporter.get_finished_spans(), key=lambda span: (span.start_time or 0, span.name))

    def named(self, name: str) -> list[ReadableSpan]:
        return [span for span in self.spans if span.name == name]

    def metrics(self) -> dict[str, dict[tuple[Any, ...], Any]]:
        """Values, or (count, sum) of histograms, by name and attribute values."""
        data = self.reader.get_metrics_data()
        found: dict[str, dict[tuple[Any, ...], Any]] = {}
        for metric in data.resource_metrics[0].scope_metrics[0].metrics if data else ():
            for point in metric.data.data_points:
                value = getattr(point, "value", None)
                where = found.setdefault(metric.name, {})
                where[tuple((point.attributes or {}).values())] = (
                    (point.count, point.sum) if value is None else value  # type: ignore[union-attr]
                )
        return found


def golden(name: str) -> list[Entry]:
    return [loads(line) for line in (FIXTURES / f"timeline_{name}.jsonl").read_text().splitlines()]


def ms(span: ReadableSpan) -> tuple[float, float]:
    """When it began and ended, in session milliseconds."""
    assert span.start_time is not None
    assert span.end_time is not None
    return (span.start_time - START_NS) / 1e6, (span.end_time - START_NS) / 1e6


def test_a_turn_has_its_stages_as_children_at_the_timelines_own_times() -> None:
    sink = Sink()
    sink.follow(golden("answer"))
    turn = sink.named("turn")[0]
    assert turn.attributes is not None
    assert turn.attributes["turn.words"] == 6
    assert turn.attributes["reply.outcome"] == "completed"
    assert turn.context is not None
    children = [span for span in sink.spans if span.parent and span.parent.span_id == turn.context.span_id]
    assert {span.name for span in children} == {"listening", "model", "tool", "tts", "playback"}
    (tool,) = sink.named("tool")
    assert (ms(tool), tool.attributes and tool.attributes["tool.name"]) == ((2_120.0, 3_000.0), "time")
    assert ms(sink.named("playback")[0])[0] == 2_920.0
    (announced,) = sink.named("announcement")
    assert announced.parent is None
    assert all(span.end_time is not None for span in sink.spans)


def test_no_words_leave_the_machine() -> None:
    sink = Sink()
    for name in ("answer", "barge_in"):
        sink.follow(golden(name))
    exported = "".join(span.to_json() for span in sink.spans).lower()
    assert not [word for word in ("tokyo", "fox", "noon", "friday", "story") if word in exported]


def test_an_interruption_is_a_span_with_its_verdict_and_metrics_count_it() -> None:
    sink = Sink()
    sink.follow(golden("barge_in"))
    verdicts = [(span.attributes or {})["interruption.verdict"] for span in sink.named("interruption")]
    assert verdicts == ["dismissed", "confirmed"]
    metrics = sink.metrics()
    assert metrics["voice_agent.interruptions"] == {("suspected",): 2, ("dismissed",): 1, ("confirmed",): 1}
    assert metrics["voice_agent.turns"] == {("interrupted",): 1, ("completed",): 1}
    assert metrics["voice_agent.cancel.ack"] == {("playback",): (1, 4.0), ("tts",): (1, 12.0)}
    assert metrics["voice_agent.response"] == {(): (2, 30.0 + 201.0)}
    assert "voice_agent.ghost_actions" not in metrics


def test_a_turn_that_was_ended_too_early_and_goes_on_counts_once() -> None:
    """Its first two parts had replies that nobody heard: they were no turns, and so had no response time."""
    sink = Sink()
    sink.follow(golden("cut_off"))
    metrics = sink.metrics()
    assert metrics["voice_agent.turns"] == {("completed",): 3, ("interrupted",): 2}
    assert metrics["voice_agent.response"][()][0] == 5
    continued = [(span.attributes or {}).get("turn.joins") for span in sink.named("turn")]
    assert [turn for turn in continued if turn] == ["t1", "t2"]


def test_a_continued_turn_of_which_something_was_heard_counts_as_interrupted() -> None:
    sink = Sink()
    sink.follow(golden("cut_off_heard"))
    assert sink.metrics()["voice_agent.turns"] == {("interrupted",): 1}


def test_a_turn_that_was_cut_last_counts_at_the_end() -> None:
    sink = Sink()
    entries = golden("barge_in")
    cut = next(n for n, entry in enumerate(entries) if entry.event.type == "reply.done")
    sink.follow(entries[: cut + 1])
    assert sink.metrics()["voice_agent.turns"] == {("interrupted",): 1}


def test_ghost_actions_and_late_commits_are_counted_and_every_span_ends() -> None:
    sink = Sink()
    sink.follow(golden("faults"))
    metrics = sink.metrics()
    assert metrics["voice_agent.ghost_actions"] == {(): 3}
    assert metrics["voice_agent.late_commits"] == {(): 2}


def test_a_listener_that_cannot_go_on_says_so_and_harms_nobody(caplog: pytest.LogCaptureFixture) -> None:
    sink = Sink()
    with caplog.at_level(logging.WARNING, "agent.telemetry"):
        sink.follow(golden("answer"), error=LimitReached("fell behind"))
        sink.follow(golden("answer"), error=ValueError("a fault"))
    assert [record.levelname for record in caplog.records] == ["WARNING", "ERROR"]
    assert len(sink.named("announcement")) == 2


def test_what_waits_is_exported_at_the_end() -> None:
    sink = Sink()
    sink.follow(golden("answer"))
    run_virtual(sink.telemetry.close())
    assert sink.exporter._stopped


def test_it_is_off_by_default_and_listens_to_real_sessions_when_asked(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def settings(**telemetry: Any) -> Settings:
        memory = {"engine": "skills", "memory": Path(":memory:")}
        return Settings.model_validate({"timeline": {"store": "memory"}, "brain": memory, "telemetry": telemetry})

    sink = Sink()
    monkeypatch.setattr("agent.telemetry.listener.telemetry", lambda _: sink.telemetry)

    async def talk() -> None:
        assert App(settings(), cache=tmp_path)._telemetry is None
        async with App(settings(console=True), cache=tmp_path) as app:
            session = await app.open()
            session.post(TextInput(event_id="hello-1", source="test", text="what is two plus two"))
            await asyncio.sleep(1.0)

    run_virtual(talk())
    assert {"turn", "listening", "model"} <= {span.name for span in sink.spans}


def test_an_endpoint_without_its_exporter_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "opentelemetry.exporter.otlp.proto.http.metric_exporter", None)
    with pytest.raises(SettingsError, match=r"voice-agent\[telemetry\]"):
        telemetry(TelemetrySettings(endpoint="http://localhost:4318"))
