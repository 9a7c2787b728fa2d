"""Figures from recordings of what a caller heard, and from the timeline's own times."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from agent.bench.alignment import Reference, continuity
from agent.bench.clock_map import ClockMap
from agent.bench.heard import FRAME_US, Heard
from agent.bench.scenario import Ask, Barge, Burst
from agent.conversation.decisions import CancelRequested, PlaybackPause, PlaybackResume, PlaybackStop
from agent.conversation.events import CancelAck, Json
from agent.timeline.entry import Entry
from agent.timeline.projections.latency import latency

MAX_PAUSE_MS = 600
WENT_ON_MS = 60
"""A pause up to here is none: three frames, less than a breath."""
BEFORE_BURST_US = 1_500_000
RESUMED_US = 2_000_000
"""A reply that is not audible so long after going on does not count as heard again."""
QUIET_STALL = 0.35
"""A turn counts as quiet when the machine stalled less than this share of its wait."""

Outcome = Literal["went on", "paused", "paused too long", "killed"]


@dataclass(frozen=True, slots=True)
class AskTimes:
    """Milliseconds of one request; None for what did not happen.

    The first three are the caller's: last speech sample captured to `turn.end`, to the first audible frame
    behind aiortc's jitter buffer, and to the arrival of that frame's packet. The others are the program's own.
    """

    turn_end_ms: float | None
    heard_ms: float | None
    arrived_ms: float | None
    own_turn_end_ms: float | None
    own_first_audio_ms: float | None
    own_voice_to_voice_ms: float | None
    quiet: bool


@dataclass(frozen=True, slots=True)
class BurstResult:
    outcome: Outcome
    paused_ms: float
    missing_ms: float | None
    repeated_ms: float | None


def percentile(values: Sequence[float], percent: float) -> float:
    """Linear interpolation between closest ranks. Raises `ValueError` without values."""
    if not values:
        raise ValueError("there are no values")
    ordered = sorted(values)
    low, part = divmod((len(ordered) - 1) * percent / 100, 1)
    below = ordered[int(low)]
    above = ordered[int(low) + 1] if part else below
    # What never happened is infinite: there is nothing between two of those.
    return float(below if above == below else below + part * (above - below))


def ask_times(ask: Ask, heard: Heard, clocks: ClockMap, turns: Sequence[dict[str, Json]]) -> AskTimes:
    """`turns`: the projection `latency` of the same session."""
    turn = _turn_of(ask, clocks, turns)
    first = _first_audible(ask, heard)
    arrived_us = None if first is None else int(heard.arrived_us[first])
    handed_us = None if first is None or heard.handed_us[first] < 0 else int(heard.handed_us[first])
    end_ms, user_ms, audio_ms = (_number(turn, name) for name in ("turn_end_ms", "user_end_ms", "first_audio_ms"))
    seen_us = None if end_ms is None else clocks.to_client_us(round(end_ms * 1_000))
    return AskTimes(
        turn_end_ms=_since(seen_us, ask.last_us),
        heard_ms=_since(handed_us, ask.last_us),
        arrived_ms=_since(arrived_us, ask.last_us),
        own_turn_end_ms=_difference(end_ms, user_ms),
        own_first_audio_ms=_difference(audio_ms, end_ms),
        own_voice_to_voice_ms=_difference(audio_ms, user_ms),
        quiet=quiet(ask.stalled),
    )


def quiet(stalled: float | None) -> bool:
    """Whether the machine had time; where that is unknown it is assumed."""
    return stalled is None or stalled < QUIET_STALL


def voice_to_voice_ms(ask: Ask, heard: Heard) -> float | None:
    """Last speech sample to the arrival of the first audible packet of the answer, None without one."""
    first = _first_audible(ask, heard)
    return None if first is None else _since(int(heard.arrived_us[first]), ask.last_us)


def _first_audible(ask: Ask, heard: Heard) -> int | None:
    audible = heard.audible_between(ask.first_us, ask.until_us)
    return int(audible[0]) if audible.size else None


def _turn_of(ask: Ask, clocks: ClockMap, turns: Sequence[dict[str, Json]]) -> dict[str, Json]:
    """The first turn that ended behind the request's first sample; the empty one if there is none."""
    for turn in turns:
        end_ms = _number(turn, "turn_end_ms")
        if end_ms is not None and ask.first_us < clocks.to_client_us(round(end_ms * 1_000)) < ask.until_us:
            return turn
    return {}


def _number(turn: dict[str, Json], name: str) -> float | None:
    value = turn.get(name)
    return float(value) if isinstance(value, int | float) else None


def _since(at_us: int | None, from_us: int) -> float | None:
    return None if at_us is None else (at_us - from_us) / 1_000


def _difference(later_ms: float | None, earlier_ms: float | None) -> float | None:
    return None if later_ms is None or earlier_ms is None else later_ms - earlier_ms


# ── interruptions ────────────────────────────────────────────────────────────────────────


def cut_ms(barge: Barge, heard: Heard, clocks: ClockMap) -> tuple[float, float] | None:
    """First sample of the words to the last audible frame of the reply: behind aiortc's jitter
    buffer, and at the packet's arrival. None when the reply was not cut.
    """
    if barge.answer_us is None:
        return None
    # The answer's own frames follow half a second behind the cut; one frame is margin enough.
    last = heard.audible_between(barge.first_us, clocks.to_client_us(barge.answer_us) - FRAME_US)
    if not last.size:
        return None
    arrived_us, handed_us = int(heard.arrived_us[last[-1]]), int(heard.handed_us[last[-1]])
    arrived_ms = (arrived_us - barge.first_us) / 1_000
    return ((handed_us - barge.first_us) / 1_000 if handed_us >= 0 else arrived_ms), arrived_ms


def burst_result(burst: Burst, heard: Heard, reference: Reference | None) -> BurstResult:
    """What a sound did to the reply that played."""
    after = heard.audible_between(burst.first_us, burst.until_us)
    silent_us = burst.until_us - (int(heard.arrived_us[after[-1]]) if after.size else burst.first_us)
    if silent_us > 1_500_000 or not after.size:
        return BurstResult("killed", silent_us / 1_000, None, None)
    pcm = heard.pcm_between(burst.first_us - BEFORE_BURST_US, burst.until_us)
    found = continuity(pcm, reference) if reference is not None else None
    if found is None:
        return BurstResult("went on", 0.0, None, None)
    outcome: Outcome = "went on"
    if found.paused_ms > WENT_ON_MS:
        outcome = "paused" if found.paused_ms <= MAX_PAUSE_MS else "paused too long"
    return BurstResult(outcome, found.paused_ms, found.missing_ms, found.repeated_ms)


def cancel_ms(entries: Iterable[Entry]) -> list[float]:
    """Of each cancelled reply: its first `cancel.requested` to the last `cancel.ack`.

    A target that never acknowledged counts as infinitely late.
    """
    requested: dict[str, dict[str, int]] = {}
    acked: dict[str, dict[str, int]] = {}
    for entry in entries:
        event = entry.event
        if isinstance(event, CancelRequested):
            requested.setdefault(event.reply_id, {}).setdefault(event.target, entry.now_us)
        elif isinstance(event, CancelAck):
            acked.setdefault(event.reply_id, {}).setdefault(event.target, entry.now_us)
    found = []
    for reply_id, targets in requested.items():
        acks = acked.get(reply_id, {})
        complete = all(target in acks for target in targets)
        last_us = max((acks[target] for target in targets if target in acks), default=0)
        found.append((last_us - min(targets.values())) / 1_000 if complete else float("inf"))
    return found


def pauses(entries: Iterable[Entry]) -> list[tuple[int, int]]:
    """Of each reply that was paused and went on: both times, on the session's clock."""
    open_us: dict[str, int] = {}
    found = []
    for entry in entries:
        event = entry.event
        if isinstance(event, PlaybackPause):
            open_us.setdefault(event.reply_id, entry.now_us)
        elif isinstance(event, PlaybackStop):
            open_us.pop(event.reply_id, None)
        elif isinstance(event, PlaybackResume) and event.reply_id in open_us:
            found.append((open_us.pop(event.reply_id), entry.now_us))
    return found


def resume_gap_ms(pause: tuple[int, int], heard: Heard, clocks: ClockMap) -> float | None:
    """How long a caller heard nothing because of a pause: from its begin, or the end of the last audible
    frame where that is later, to the next audible frame's arrival. None when nothing more was heard.
    """
    began_us, resumed_us = map(clocks.to_client_us, pause)
    before = heard.audible_between(began_us - FRAME_US, resumed_us)
    after = heard.audible_between(resumed_us + 1, resumed_us + RESUMED_US)
    if not after.size:
        return None
    silent_us = max(began_us, int(heard.arrived_us[before[-1]]) + FRAME_US) if before.size else began_us
    return (int(heard.arrived_us[after[0]]) - silent_us) / 1_000


def waterfalls(entries: Sequence[Entry]) -> list[dict[str, Json]]:
    """The latencies of every turn, as the program itself tells them."""
    return latency(entries)
