"""The budgets, and what was measured of each."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Literal

from agent.bench.alignment import Reference
from agent.bench.crowd import Crowd
from agent.bench.floor import Floor
from agent.bench.measures import (
    MAX_PAUSE_MS,
    AskTimes,
    BurstResult,
    ask_times,
    burst_result,
    cancel_ms,
    cut_ms,
    pauses,
    percentile,
    quiet,
    resume_gap_ms,
    waterfalls,
)
from agent.bench.page import PageCuts
from agent.bench.plan import HESITATION_MS, NOISE_MS
from agent.bench.recognition import HANGOVER_MS, Recognition
from agent.bench.run import Measured, Single
from agent.bench.speech_cost import SpeechCost
from agent.conversation.events import Json

STOCK = "the caller's recording, aiortc's own jitter buffer (80 ms) inside"
BARE = "the caller's recording, at the packet's arrival: a receiver without any buffer"
OWN = "the program's own events"
UNHARMED = ("went on", "paused")


@dataclass(frozen=True, slots=True)
class Budget:
    """At most this many `unit`, at each percentile; 50 is the median."""

    limits: dict[int, float]
    unit: str = "ms"

    def __str__(self) -> str:
        parts = (f"{limit:g} {self.unit} {_name(percent)}" for percent, limit in self.limits.items())
        return ", ".join(parts)


JITTER = Budget({99: 5})


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the result. `within` is None where there is no budget or nothing was measured."""

    stage: str
    budget: str
    measured: str
    n: int
    how: str
    within: bool | None = None
    data: dict[str, Json] = field(default_factory=dict)

    def to_json(self) -> dict[str, Json]:
        return {
            "stage": self.stage, "budget": self.budget, "measured": self.measured, "n": self.n, "how": self.how,
            "within": self.within, **self.data,
        }  # fmt: skip


def rows(measured: Measured) -> list[Row]:
    """Every row, in the order of a conversation."""
    single = measured.single
    return [
        *_ask_rows(single),
        _crowd_row(measured.crowd),
        *_cut_rows(single),
        *_burst_rows(single),
        *_resume_rows(single),
        _times("cancel.requested → last cancel.ack", Budget({99: 50}), cancel_ms(single.entries), OWN, shown=(50, 99)),
        *_jitter_rows(single, measured.crowd),
        _times(
            "append to the durable timeline", Budget({50: 1, 99: 10}), measured.append_ms,
            "one entry at a time, in a temporary folder", shown=(50, 99), digits=1,
        ),
        _cpu_row(single),
        *speech_rows(measured.speech),
        *(row for recognition in measured.recognitions for row in recognition_rows(recognition)),
        _page_row(measured.page),
        Row("server start → takes calls", "", f"{measured.ready_s:.1f} s", 1, "its process, engines loaded"),
    ]  # fmt: skip


# ── requests ─────────────────────────────────────────────────────────────────────────────


def _ask_rows(single: Single) -> list[Row]:
    turns = waterfalls(single.entries)
    asks = [ask_times(ask, single.heard, single.clocks, turns) for ask in single.talk.asks]
    close = f"±{single.clocks.uncertainty_us / 1_000:.1f} ms" if single.clocks.known else "unknown"

    def row(stage: str, budget: Budget | None, take: Callable[[AskTimes], float | None], how: str) -> Row:
        return _asked(stage, budget, asks, take, how)

    return [
        row("last speech sample → turn.end, complete request", Budget({50: 200}), lambda a: a.turn_end_ms,
            f"the caller's sample clock, mapped to the session's ({close})"),
        row("  the same", None, lambda a: a.own_turn_end_ms, f"{OWN}: from the last frame that its VAD calls speech"),
        row("turn.end → first reply sample out", Budget({50: 40}), lambda a: a.own_first_audio_ms, OWN),
        row("voice to voice", Budget({50: 350, 95: 500}), lambda a: a.heard_ms, STOCK),
        row("  the same", None, lambda a: a.arrived_ms, BARE),
        row("  the same", None, lambda a: a.own_voice_to_voice_ms, f"{OWN}: to the first sample out"),
    ]  # fmt: skip


def _asked(
    stage: str, budget: Budget | None, asks: Sequence[AskTimes], take: Callable[[AskTimes], float | None], how: str
) -> Row:
    values = [value for ask in asks if (value := take(ask)) is not None]
    calm = [value for ask in asks if ask.quiet and (value := take(ask)) is not None]
    return _times(stage, budget, values, how, calm=calm, lost=len(asks) - len(values))


def _crowd_row(crowd: Crowd) -> Row:
    heard = [wait for wait in crowd.waits_ms if math.isfinite(wait)]
    stage, lost = f"  the same, {crowd.sessions} sessions talking", len(crowd.waits_ms) - len(heard)
    if crowd.failure:
        return Row(stage, "", f"not measured: {crowd.failure}", 0, BARE)
    return _times(stage, None, heard, f"{BARE}; {crowd.window_s} s", lost=lost)


# ── interruptions ────────────────────────────────────────────────────────────────────────


def _cut_rows(single: Single) -> list[Row]:
    barges = single.talk.barges
    pairs = [(barge, cut_ms(barge, single.heard, single.clocks)) for barge in barges]
    cuts = [(cut, quiet(barge.stalled)) for barge, cut in pairs if cut is not None]
    rows_ = []
    for index, (stage, budget, how) in enumerate(
        (("barge-in → silence at the ear, server only", Budget({50: 250}), STOCK), ("  the same", None, BARE))
    ):
        values = [cut[index] for cut, _ in cuts]
        calm = [cut[index] for cut, calm in cuts if calm]
        rows_.append(_times(stage, budget, values, how, calm=calm, lost=len(barges) - len(values)))
    return rows_


def _burst_rows(single: Single) -> list[Row]:
    talk = single.talk
    heard_whole = single.heard.pcm_between(*talk.reference_us)
    reference = Reference(heard_whole) if heard_whole.size else None
    found: dict[str, list[BurstResult]] = {"noise": [], "hesitation": []}
    for burst in talk.bursts:
        found[burst.kind].append(burst_result(burst, single.heard, reference))
    return [
        _burst_row(
            f"{NOISE_MS} ms noise burst during speech", "goes on, or pauses ≤ 0.6 s; nothing lost", found["noise"]
        ),
        _burst_row(
            f'{HESITATION_MS} ms "uh" during speech', "goes on: no pause over 0.6 s; nothing lost", found["hesitation"]
        ),
    ]


def _resume_rows(single: Single) -> list[Row]:
    found = pauses(single.entries)
    gaps_ms = [gap for pause in found if (gap := resume_gap_ms(pause, single.heard, single.clocks)) is not None]
    own_ms = [(resumed_us - began_us) / 1_000 for began_us, resumed_us in found]
    stage, how = "pause for a sound that is dismissed → audible again", f"{BARE}, from the program's own pause on"
    return [
        _times(stage, Budget({50: MAX_PAUSE_MS}), gaps_ms, how, lost=len(found) - len(gaps_ms)),
        _times("  the same", None, own_ms, f"{OWN}: playback.pause → playback.resume"),
    ]


def _burst_row(stage: str, budget: str, results: Sequence[BurstResult]) -> Row:
    how = "the caller's recording, set against the same story heard undisturbed"
    if not results:
        return Row(stage, budget, "not measured: no story played", 0, how)
    counts: Counter[str] = Counter(result.outcome for result in results)
    paused_ms = [result.paused_ms for result in results if result.outcome.startswith("paused")]
    missing_ms = [result.missing_ms for result in results if result.missing_ms is not None]
    repeated_ms = [result.repeated_ms for result in results if result.repeated_ms is not None]
    parts = [f"{count} {outcome}" for outcome, count in counts.most_common()]
    parts += [f"longest pause {max(paused_ms):.0f} ms"] if paused_ms else []
    parts += [f"lost {max(missing_ms):.0f} ms, repeated ≤ {max(repeated_ms):.0f} ms"] if missing_ms else []
    parts += [f"{len(results) - len(missing_ms)} not compared"] if len(missing_ms) < len(results) else []
    within = all(result.outcome in UNHARMED for result in results) and max(missing_ms, default=0.0) == 0.0
    data: dict[str, Json] = {
        "outcomes": dict(counts.items()), "paused_ms": list(paused_ms),
        "missing_ms": list(missing_ms), "repeated_ms": list(repeated_ms),
    }  # fmt: skip
    return Row(stage, budget, "; ".join(parts), len(results), how, within, data)


# ── clocks, disk, processor, page ────────────────────────────────────────────────────────


def _jitter_rows(single: Single, crowd: Crowd) -> list[Row]:
    alone_ms = [float(late) for late in single.heard.lateness_ms(*single.talk.span_us)]
    return [
        *_clock_rows("1 session", alone_ms, single.playout, single.playout_s, single.floor),
        *_clock_rows(
            f"{crowd.sessions} sessions talking", crowd.lateness_ms, crowd.playout, crowd.window_s, crowd.floor
        ),
        _setup_row(crowd),
    ]


def _clock_rows(
    name: str, late_ms: Sequence[float], playout: Sequence[dict[str, Json]], window_s: int, floor: Floor
) -> list[Row]:
    at_ear = "RTP arrival at the caller against the most punctual packet"
    heard = _times(f"20 ms playout clock, {name}", JITTER, late_ms, at_ear, shown=(50, 99), digits=1)
    return [_on_floor(heard, floor), _on_floor(_server_jitter(playout, window_s), floor)]


def _server_jitter(playout: Sequence[dict[str, Json]], window_s: int) -> Row:
    how = f"the server's own clock, {window_s} s of that without setting up, its worst call"
    if not playout:
        return Row("  the same", str(JITTER), "not measured: the server named no call", 0, how)
    row = _jitter("  the same", playout, how)
    return replace(row, data=row.data | {"window_s": window_s})


def _jitter(stage: str, clocks: Sequence[dict[str, Json]], how: str) -> Row:
    """The worst of some playout clocks."""
    worst = {key: max(float(str(clock[key])) for clock in clocks) for key in ("p50_ms", "p99_ms", "max_ms")}
    frames = sum(int(str(clock["frames"])) for clock in clocks)
    skipped = sum(int(str(clock["skipped"])) for clock in clocks)
    text = f"{worst['p50_ms']:.1f} / {worst['p99_ms']:.1f} ms (median / p99)"
    text += f"; {skipped} frames skipped" if skipped else ""
    data: dict[str, Json] = {**worst, "skipped": skipped}
    return Row(stage, str(JITTER), text, frames, how, worst["p99_ms"] <= JITTER.limits[99], data)


def _setup_row(crowd: Crowd) -> Row:
    stage = f"  its latest frame while {crowd.sessions} calls are set up"
    how = "the server's own clock: calls placed, recognisers started, each answered once"
    if crowd.setup_worst_ms is None:
        return Row(stage, "", "not measured: the server named no call", 0, how)
    value = crowd.setup_worst_ms
    return Row(stage, "", f"{value:.1f} ms", crowd.sessions, how, data={"max_ms": value})


def _on_floor(row: Row, floor: Floor) -> Row:
    """With what a bare timer did meanwhile: a clock on this machine can hardly be better."""
    if not floor.late_ms:
        return replace(row, measured=row.measured + "; no bare timer ran")
    late_ms = percentile(floor.late_ms, 99)
    return replace(
        row,
        measured=f"{row.measured}; a bare timer at the same time: p99 {late_ms:.1f} ms",
        data=row.data | {"bare_timer_p99_ms": late_ms, "stolen": floor.stolen},
    )


def _cpu_row(single: Single) -> Row:
    stage, budget = "server CPU, one session talking", Budget({50: 15}, "s a minute")
    how = f"its processes, over {single.wall_s:.0f} s of conversation"
    if single.cpu_s is None:
        return Row(stage, "15 s a minute", "not measured: needs /proc", 0, how)
    value = single.cpu_s * 60 / single.wall_s
    return Row(
        stage, "15 s a minute", f"{value:.1f} s a minute", 1, how, value <= budget.limits[50], {"cpu_s_per_min": value}
    )


def speech_rows(costs: Sequence[SpeechCost]) -> list[Row]:
    """What each voice that is present takes."""
    rows_, how = [], "two sentences, again and again, nobody listening; the quickest first audio"
    for cost in costs:
        if cost.failure:
            rows_.append(Row(f"speech, {cost.engine}", "", f"not measured: {cost.failure}", 0, how))
            continue
        parts = [f"first audio after {cost.first_ms:.1f} ms", f"{cost.real_time_share:.3f} of real time"]
        parts += [f"{cost.cpu_share:.3f} s of CPU for a second of speech"] if cost.cpu_share is not None else []
        parts += [f"a playout's clock meanwhile {cost.jitter.p99_ms:.1f} ms late (p99)"] if cost.jitter else []
        data: dict[str, Json] = {"first_ms": cost.first_ms, "cpu_share": cost.cpu_share}
        data |= {"clock_p99_ms": cost.jitter.p99_ms} if cost.jitter else {}
        rows_.append(Row(f"speech, {cost.engine}", "", "; ".join(parts), 1, how, data=data))
    return rows_


def recognition_rows(recognition: Recognition) -> list[Row]:
    """What a recogniser alone costs, how late its text is, and how punctual a playout beside it."""
    cpu = f"{recognition.engine}: CPU for a second of speech"
    final = f"{recognition.engine}: last sample → final text"
    clock = f"{recognition.engine}: 20 ms clock while it works"
    asked = len(recognition.final_ms)
    how = f"requests in real time, alone; {recognition.right} of {asked} right"
    late = f"asked for behind {HANGOVER_MS} ms of silence, which are in it"
    punctual = "the clock of a playout, in the program that it hears for"
    if recognition.missing or recognition.jitter is None:
        reason = f"not measured: {recognition.missing}"
        return [Row(cpu, "", reason, 0, how), Row(final, "", reason, 0, late), Row(clock, "", reason, 0, punctual)]
    share = recognition.cpu_share
    costs = Row(cpu, "", "not measured: needs /proc", 0, how)
    if share is not None:
        costs = Row(cpu, "", f"{share * 1_000:.0f} ms", asked, how, data={"cpu_s_per_s": share})
    ticks = _on_floor(_jitter(clock, [asdict(recognition.jitter)], punctual), recognition.floor)
    return [costs, _times(final, None, recognition.final_ms, late), ticks]


def _page_row(page: PageCuts) -> Row:
    stage = "first loud microphone quantum → zero in the page's graph"
    budget, how = Budget({50: 20}), "Chromium, from what came by in its audio graph"
    if page.lane_cuts_ms and page.cuts_ms:
        how += f" (its own events: {percentile(page.cuts_ms, 50):.1f} ms)"
    elif page.cuts_ms:
        how = "Chromium, the page's own events"
    cuts_ms = page.lane_cuts_ms or page.cuts_ms
    if not cuts_ms:
        return Row(stage, str(budget), f"not measured: {page.missing}", 0, how)
    how += f"; {page.output_ms:.0f} ms of output latency behind it" + f"; {page.missed} missed" * bool(page.missed)
    row = _times(stage, budget, cuts_ms, how, digits=1)
    total = percentile(cuts_ms, 50) + page.output_ms
    within = bool(row.within) and total <= 60
    data = row.data | {"output_ms": page.output_ms, "to_ear_ms": total}
    return Row(stage, f"{budget}; 60 ms to the ear", row.measured, row.n, row.how, within, data)


# ── figures ──────────────────────────────────────────────────────────────────────────────


def _times(
    stage: str,
    budget: Budget | None,
    values: Sequence[float],
    how: str,
    *,
    shown: tuple[Literal[50], Literal[95, 99]] = (50, 95),
    calm: Sequence[float] | None = None,
    lost: int = 0,
    digits: int = 0,
) -> Row:
    """A row of times. `calm`: those of turns in which the machine was not busy with other work,
    shown when they are not all. `lost`: how many were awaited in vain, each a miss of the budget."""
    limits = str(budget) if budget else ""
    if not values:
        reason = f"it did not happen in {lost} of {lost} tries" if lost else "nothing was there to be measured"
        return Row(stage, limits, f"not measured: {reason}", 0, how, False if lost and budget else None)
    found = {percent: percentile(values, percent) for percent in (50, 95, 99)}
    text = " / ".join(f"{found[percent]:.{digits}f}" for percent in shown)
    text += f" ms ({' / '.join(_name(percent) for percent in shown)})"
    if calm is not None and 0 < len(calm) < len(values):
        text += f"; {percentile(calm, 50):.{digits}f} ms median of {len(calm)} with the machine quiet"
    text += f"; {lost} without" if lost else ""
    within = None if budget is None else not lost and all(found[p] <= limit for p, limit in budget.limits.items())
    data: dict[str, Json] = {f"p{percent}_ms": value for percent, value in found.items()}
    data |= {"lost": lost, "quiet_p50_ms": percentile(calm, 50) if calm else None, "quiet_n": len(calm or values)}
    if len(values) <= 200:
        data["values_ms"] = [round(value, 3) for value in values]
    return Row(stage, limits, text, len(values), how, within, data)


def _name(percent: int) -> str:
    return "median" if percent == 50 else f"p{percent}"
