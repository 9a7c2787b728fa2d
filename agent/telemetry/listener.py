"""Traces and metrics of a process: a listener on the timelines of its sessions.

Spans and metrics wait in OpenTelemetry's own bounded queues and are exported by its threads; what
does not fit is dropped there. Nothing in a session waits for them.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor

from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import ConsoleMetricExporter, MetricReader, PeriodicExportingMetricReader
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, ConsoleSpanExporter

from agent.clock import Clock
from agent.errors import AgentError, SettingsError
from agent.settings import TelemetrySettings
from agent.telemetry.meters import Instruments, Meters
from agent.telemetry.spans import Spans
from agent.timeline.entry import Entry

CLOSE_TIMEOUT_S = 5.0

log = logging.getLogger("agent.telemetry")


class Telemetry:
    """Owns the providers of spans and metrics."""

    def __init__(
        self, settings: TelemetrySettings, processors: list[SpanProcessor], readers: list[MetricReader]
    ) -> None:
        resource = Resource.create({"service.name": settings.service_name})
        self._tracers = TracerProvider(resource=resource, shutdown_on_exit=False)
        for processor in processors:
            self._tracers.add_span_processor(processor)
        self._meters = MeterProvider(metric_readers=readers, resource=resource, shutdown_on_exit=False)
        self._tracer = self._tracers.get_tracer("voice-agent")
        self._instruments = Instruments(self._meters.get_meter("voice-agent"))

    async def follow(self, entries: AsyncIterator[Entry]) -> None:
        """Trace one session until its timeline ends."""
        spans, meters = Spans(self._tracer), Meters(self._instruments)
        try:
            async for entry in entries:
                spans.apply(entry)
                meters.apply(entry)
        except AgentError as error:
            log.warning("a session is not traced any further: %s", error)
        except Exception:
            # The boundary to what is only watched: a fault here must not end the sessions.
            log.exception("a session is not traced any further")
        finally:
            meters.close()

    async def close(self) -> None:
        """Export what waits, for at most `CLOSE_TIMEOUT_S`."""
        executor = ThreadPoolExecutor(max_workers=1, thread_name_prefix="telemetry")
        loop = asyncio.get_running_loop()
        try:
            async with Clock().external(), asyncio.timeout(CLOSE_TIMEOUT_S):
                await loop.run_in_executor(executor, self._shut_down)
        except TimeoutError:
            log.warning("the last spans and metrics were not exported in %g s", CLOSE_TIMEOUT_S)
        finally:
            executor.shutdown(wait=False, cancel_futures=True)

    def _shut_down(self) -> None:
        self._tracers.shutdown()
        self._meters.shutdown()


def telemetry(settings: TelemetrySettings) -> Telemetry:
    """What the settings ask for. Raises `SettingsError` when the exporter for `endpoint` is not installed."""
    processors: list[SpanProcessor] = []
    readers: list[MetricReader] = []
    if settings.console:
        processors.append(BatchSpanProcessor(ConsoleSpanExporter()))
        readers.append(PeriodicExportingMetricReader(ConsoleMetricExporter()))
    if settings.endpoint:
        try:
            from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
            from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        except ImportError as error:
            raise SettingsError(
                "telemetry.endpoint needs the exporter: pip install 'voice-agent[telemetry]'"
            ) from error
        base = settings.endpoint.rstrip("/")
        processors.append(BatchSpanProcessor(OTLPSpanExporter(endpoint=f"{base}/v1/traces")))
        readers.append(PeriodicExportingMetricReader(OTLPMetricExporter(endpoint=f"{base}/v1/metrics")))
    return Telemetry(settings, processors, readers)
