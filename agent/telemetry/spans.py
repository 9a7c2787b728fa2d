"""Spans of a session, derived from its timeline: nothing else is instrumented.

    turn                     turn.start … reply.done, or turn.end where nothing was said
    ├── listening            turn.start … turn.end
    ├── model                model.start … model.done
    ├── tool                 tool.start or action.started … tool.result
    ├── tts                  tts.say … tts.chunk, one span a chunk
    ├── playback             playback.start … playback.stop
    └── interruption         interruption.suspected … confirmed or dismissed

A turn that goes on with one that was ended too early names it (`turn.joins`). What the agent says
unasked is a root span `announcement`. A span that was cancelled ends with its `cancel.ack`. No words are
exported, only their number: a trace may leave the machine.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from opentelemetry.context import Context
from opentelemetry.trace import Span, Status, StatusCode, Tracer, set_span_in_context

from agent.conversation import decisions as d
from agent.conversation import events as e
from agent.timeline.entry import Entry
from agent.timeline.projections.bounded import remember

ROOTS_KEPT = 16
OPEN_KEPT = 256
"""Open spans; beyond it the oldest one ends, without a result."""

Attributes = Mapping[str, str | int | float | bool]
Key = str
"""What an open span is known by: `reply|kind|detail`."""


class Spans:
    """A fold over one session's entries, in order; ended spans go to the tracer."""

    def __init__(self, tracer: Tracer) -> None:
        self._tracer = tracer
        self._roots: dict[str, Span] = {}
        """By turn id, or by reply id for what is said unasked. Ended ones still are parents."""
        self._root_of: dict[str, str] = {}
        self._open: dict[Key, Span] = {}
        self._session_id = ""
        self._base_ns: int | None = None

    def apply(self, entry: Entry) -> None:
        at_ns = self._time_ns(entry)
        self._session_id = entry.session_id
        event = entry.event
        match event:
            case d.TurnStart() | d.TurnEnd():
                self._on_turn(event, at_ns)
            case d.ModelStart() | e.ModelToken() | e.ModelDone():
                self._on_model(event, at_ns)
            case d.ToolStart() | d.ActionStarted() | e.ToolResult():
                self._on_tool(event, at_ns)
            case d.TtsSay() | e.TtsChunk() | e.TtsFailed() | e.PlaybackStarted() | d.PlaybackStop():
                self._on_speech(event, at_ns)
            case d.InterruptionSuspected() | d.InterruptionConfirmed() | d.InterruptionDismissed():
                self._on_interruption(event, at_ns)
            case e.CancelAck():
                self._end_all(f"{event.reply_id}|{event.target.partition(':')[0]}|", at_ns, cancelled=True)
            case d.ReplyDone():
                self._on_reply_done(event, at_ns)
            case e.SessionClosed() | e.SessionResumed():
                self._end_all("", at_ns)

    def _time_ns(self, entry: Entry) -> int:
        """The entry's moment since the epoch: the first one's wall time, and the session's clock from there."""
        if self._base_ns is None:
            wall = datetime.fromisoformat(entry.ts)
            self._base_ns = round(wall.timestamp() * 1_000) * 1_000_000 - entry.now_us * 1_000
        return self._base_ns + entry.now_us * 1_000

    # ── what opens and ends ──────────────────────────────────────────────────────────────

    def _on_turn(self, event: d.TurnStart | d.TurnEnd, at_ns: int) -> None:
        root = self._root(event.turn_id, "turn", at_ns)
        key = f"{event.turn_id}|listening|"
        if isinstance(event, d.TurnStart):
            self._start(key, "listening", root, at_ns)
            return
        if event.joins:
            root.set_attribute("turn.joins", event.joins)
        root.set_attributes({"turn.words": len(event.text.split()), "turn.understood": event.understood})
        evidence = {
            f"evidence.{name}": value
            for name, value in event.evidence.items()
            if isinstance(value, str | int | float | bool)
        }
        self._end(key, at_ns, evidence)
        if not event.text:
            root.end(at_ns)

    def _on_model(self, event: d.ModelStart | e.ModelToken | e.ModelDone, at_ns: int) -> None:
        key = f"{event.reply_id}|model|{event.step}"
        match event:
            case d.ModelStart():
                span = self._start(key, "model", self._root_for(event, at_ns), at_ns)
                span.set_attributes({"model.step": event.step, "model.speculative": event.speculative})
            case e.ModelToken():
                if key in self._open:
                    self._open[key].add_event("token", timestamp=at_ns)
            case e.ModelDone():
                self._end(key, at_ns, _tokens(event.usage), error=event.error)

    def _on_tool(self, event: d.ToolStart | d.ActionStarted | e.ToolResult, at_ns: int) -> None:
        call_id = event.call_id or (event.action_id.rpartition(":")[2] if isinstance(event, d.ActionStarted) else "")
        key = f"{event.reply_id}|tool|{call_id}"
        if isinstance(event, e.ToolResult):
            self._end(key, at_ns, error="" if event.ok else event.error_class or "crash")
            return
        span = self._start(key, "tool", self._root_for(event, at_ns), at_ns)
        span.set_attributes({"tool.name": event.name, "tool.effect": "write" if event.type != "tool.start" else "read"})

    def _on_speech(
        self, event: d.TtsSay | e.TtsChunk | e.TtsFailed | e.PlaybackStarted | d.PlaybackStop, at_ns: int
    ) -> None:
        reply = event.reply_id
        match event:
            case d.TtsSay():
                self._start(f"{reply}|tts|{event.chunk}", "tts", self._root_for(event, at_ns), at_ns)
            case e.TtsChunk():
                audio_ms = event.samples * 1_000 // e.REPLY_RATE
                self._end(f"{reply}|tts|{event.chunk}", at_ns, {"tts.audio_ms": audio_ms})
            case e.TtsFailed():
                self._end(f"{reply}|tts|{event.chunk}", at_ns, error="tts")
            case e.PlaybackStarted():
                if root := self._roots.get(self._root_of.get(reply, "")):
                    self._start(f"{reply}|playback|", "playback", root, at_ns)
            case d.PlaybackStop():
                heard: Attributes = {"playback.heard_ms": event.heard_ms, "playback.method": event.method}
                self._end(f"{reply}|playback|", at_ns, heard)

    def _on_interruption(
        self, event: d.InterruptionSuspected | d.InterruptionConfirmed | d.InterruptionDismissed, at_ns: int
    ) -> None:
        key = f"{event.reply_id}|interruption|"
        if key not in self._open:
            self._start(key, "interruption", self._root_for(event, at_ns), at_ns)
        if not isinstance(event, d.InterruptionSuspected):
            verdict = event.type.rpartition(".")[2]
            self._end(key, at_ns, {"interruption.verdict": verdict, "interruption.evidence": event.evidence})

    def _on_reply_done(self, event: d.ReplyDone, at_ns: int) -> None:
        for kind in ("model", "tts", "playback", "interruption"):
            self._end_all(f"{event.reply_id}|{kind}|", at_ns)
        root = self._roots.get(self._root_of.pop(event.reply_id, ""))
        if root is not None and event.outcome != "discarded" and root.is_recording():
            root.set_attribute("reply.outcome", event.outcome)
            root.end(at_ns)

    # ── plumbing ─────────────────────────────────────────────────────────────────────────

    def _root(self, key: str, name: str, at_ns: int) -> Span:
        if key not in self._roots:
            span = self._tracer.start_span(name, context=Context(), start_time=at_ns)
            span.set_attributes({"session.id": self._session_id, f"{name}.id": key})
            remember(self._roots, key, span, ROOTS_KEPT)
        return self._roots[key]

    def _root_for(self, event: d.Decision, at_ns: int) -> Span:
        key = event.turn_id or event.reply_id
        remember(self._root_of, event.reply_id, key, OPEN_KEPT)
        return self._root(key, "turn" if event.turn_id else "announcement", at_ns)

    def _start(self, key: Key, name: str, parent: Span, at_ns: int) -> Span:
        self._end(key, at_ns)
        if len(self._open) >= OPEN_KEPT:
            self._end(next(iter(self._open)), at_ns)
        span = self._tracer.start_span(name, context=set_span_in_context(parent, Context()), start_time=at_ns)
        self._open[key] = span
        return span

    def _end(self, key: Key, at_ns: int, attributes: Attributes | None = None, *, error: str = "") -> None:
        span = self._open.pop(key, None)
        if span is None:
            return
        span.set_attributes(attributes or {})
        if error:
            span.set_status(Status(StatusCode.ERROR, error))
        span.end(at_ns)

    def _end_all(self, prefix: str, at_ns: int, *, cancelled: bool = False) -> None:
        for key in [key for key in self._open if key.startswith(prefix)]:
            self._end(key, at_ns, {"cancelled": True} if cancelled else {})
        if not prefix:
            for root in self._roots.values():
                if root.is_recording():
                    root.end(at_ns)


def _tokens(usage: e.Usage | None) -> Attributes:
    """By the names of OpenTelemetry's conventions for generative models."""
    if usage is None:
        return {}
    return {
        "gen_ai.usage.input_tokens": usage.prompt_tokens,
        "gen_ai.usage.cache_read.input_tokens": usage.cached_tokens,
        "gen_ai.usage.output_tokens": usage.completion_tokens,
    }
