"""The kinds of values that sentences carry: how each is recognised, parsed and exemplified."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache

from agent.thinking.tools import expressions, lists, moments, numerals, quantities
from agent.thinking.tools.places import Place, find_place, known_names
from agent.thinking.tools.utterance import Utterance

SlotValue = int | float | str | Place | list[str] | None


@dataclass(frozen=True, slots=True)
class SlotContext:
    """What a slot may need to know: the current time in the user's zone."""

    now: datetime


@dataclass(frozen=True, slots=True)
class Slot:
    """`regex` says which words it may cover, the space before them included, `parse` decides;
    `samples` are normalised words."""

    regex: str
    parse: Callable[[Utterance, SlotContext], SlotValue]
    samples: Sequence[str]
    free: bool = False
    """Covers any words: sentences with it are not matched fuzzily."""


def _words_of(words: Sequence[str], more: str = "") -> str:
    """A regex for any run of these words, as long as possible."""
    found = sorted({*map(re.escape, words)}, key=lambda word: (-len(word), word))
    return "(?: (?:" + "|".join([*found, *([more] if more else [])]) + ")){1,12}"


def _number(said: Utterance, _: SlotContext) -> SlotValue:
    value = numerals.number(said.words)
    if value is None:
        return None
    return int(value) if value.denominator == 1 else float(value)


def _spell_times() -> list[str]:
    hours = [numerals.spoken(hour) for hour in range(1, 13)]
    plain = [f"{hour} {half}" for hour in hours for half in ("am", "pm")]
    halves = [f"{hour} thirty" for hour in hours] + [f"half past {hour}" for hour in hours]
    minutes = [
        f"{hours[i % 12]} {minute}" for i, minute in enumerate(("fifteen", "forty five", "twenty", "ten", "fifty"))
    ]
    days = ["seven tomorrow morning", "eight in the evening", "six in the morning", "nine oclock tomorrow", "noon"]
    return plain + [f"{hour} oclock" for hour in hours] + halves + minutes + days


_NUMERIC = r"[-−]?[\d.,]*\d"
_TIME_WORDS = (
    *numerals.NUMBER_WORDS, "oh", "oclock", "quarter", "past", "to", "after", "am", "pm", "a", "m", "p", "in", "the",
    "morning", "afternoon", "evening", "night", "tonight", "tomorrow", "today", "on", "at", "noon", "midday",
    "midnight", "this", "next", "minutes", *moments.WEEKDAYS,
)  # fmt: skip
_DURATION_WORDS = (
    *numerals.NUMBER_WORDS, "a", "an", "and", "of", "quarter", "quarters", "third",
    *(unit + s for unit in moments.UNIT_SECONDS for s in ("", "s") if unit + s != "ss"),
)  # fmt: skip
_COUNTS = [*range(1, 61), 75, 90, 100, 120]
_DURATIONS = [
    *(f"{numerals.spoken(n)} minute{'s' if n > 1 else ''}" for n in _COUNTS[:60]),
    *(f"{numerals.spoken(n)} seconds" for n in (5, 10, 15, 20, 30, 40, 45, 50, 60, 90)),
    *(f"{numerals.spoken(n)} hour{'s' if n > 1 else ''}" for n in range(1, 13)),
    "a minute", "an hour", "half an hour", "an hour and a half", "one and a half hours", "two and a half minutes",
    "one hour and thirty minutes", "two minutes and thirty seconds", "one minute and thirty seconds", "a day",
    "a minute and a half", "half a minute", "a quarter of an hour",
]  # fmt: skip
_SPANS = [
    *(f"{numerals.spoken(n)} minute" for n in range(1, 61)),
    *(f"{numerals.spoken(n)} second" for n in (5, 10, 15, 20, 30, 45, 60, 90)),
    *(f"{numerals.spoken(n)} hour" for n in range(1, 13)),
]
_LARGE = (
    *(
        110,
        120,
        125,
        144,
        150,
        180,
        200,
        212,
        225,
        250,
        256,
        300,
        350,
        400,
        451,
        500,
        512,
        600,
        700,
        750,
        800,
        900,
        999,
    ),
    *(1000, 1024, 1500, 2000, 2500, 5000, 10000, 100000, 1000000),
)
_NUMBERS = [
    *(numerals.spoken(n) for n in (*range(101), *_LARGE)),
    *("two point five", "three point one four", "zero point five", "one and a half", "minus three", "minus ten"),
    *("minus forty", "a hundred", "a thousand"),
]


def _text(said: Utterance, _: SlotContext) -> SlotValue:
    return said.original_of(0, len(said.text)) or None


def _items(said: Utterance, _: SlotContext) -> SlotValue:
    return lists.split_items(said.original_of(0, len(said.text))) or None


def _who(said: Utterance, _: SlotContext) -> SlotValue:
    """Names or addresses; no name has more than four words."""
    names = lists.split_items(said.original_of(0, len(said.text)))
    plain = all(len(name.split()) <= 4 and not _NO_NAME & set(name.lower().split()) for name in names)
    return names if names and plain else None


_NO_NAME = frozenset("about saying that on at to for in from with tomorrow today tonight be".split())


def _guest(said: Utterance, context: SlotContext) -> SlotValue:
    """Whom one meets: a name or two."""
    return _text(said, context) if _who(said, context) else None


def _moment(said: Utterance, context: SlotContext) -> SlotValue:
    at = moments.moment(said.words, context.now)
    return at.isoformat() if at else None


def _hour(said: Utterance, context: SlotContext) -> SlotValue:
    return said.original_of(0, len(said.text)) if moments.moment(said.words, context.now) else None


SLOTS: dict[str, Slot] = {
    "number": Slot(_words_of([*numerals.NUMBER_WORDS, "a", "and", "quarter", "third", "quarters"], _NUMERIC),
    _number, _NUMBERS),
    "duration": Slot(
        _words_of(_DURATION_WORDS, _NUMERIC), lambda said, _: moments.duration(said.words), _DURATIONS
    ),
    "span": Slot(_words_of(_DURATION_WORDS, _NUMERIC), lambda said, _: moments.duration(said.words), _SPANS),
    "moment": Slot(
        _words_of(_TIME_WORDS, r"\d{1,2}(?:[:.]\d\d)?"),
        lambda said, context: at.isoformat() if (at := moments.moment(said.words, context.now)) else None,
        _spell_times(),
    ),
    "place": Slot(r" .{1,40}?", lambda said, _: find_place(said.text), tuple(known_names())),
    "unit": Slot(r" .{1,30}?", lambda said, _: quantities.unit(said.text), quantities.SPOKEN_UNITS),
    "quantity": Slot(
        r" .{1,60}?", lambda said, _: quantities.quantity(said.words), quantities.sample_quantities()
    ),
    "expression": Slot(r" .{1,300}", lambda said, _: expressions.symbols(said.words), expressions.samples()),
    "list": Slot(r" .{1,30}?", lambda said, _: lists.list_name(said.text), lists.SPOKEN_LISTS),
    "items": Slot(
        r" .+?", _items, lists.SAMPLE_ITEMS, True
    ),
    "item": Slot(r" .+?", _text, lists.SAMPLE_ITEMS, True),
    "task": Slot(r" .+?", _text, lists.SAMPLE_TASKS, True),
    "fact": Slot(r" .+?", _text, lists.SAMPLE_FACTS, True),
    "topic": Slot(r" .{1,60}?", _text, lists.SAMPLE_TOPICS, True),
    "label": Slot(r" [a-z']+(?: [a-z']+)?", lambda said, _: said.text, lists.SAMPLE_LABELS, True),
    "person": Slot(r" .{1,40}?", _text, lists.SAMPLE_NAMES, True),
    "day": Slot(r" .{1,40}?", lambda said, _: said.text, lists.SAMPLE_DAYS, True),
    "who": Slot(r" .{1,200}?", _who, lists.SAMPLE_PEOPLE[:1], True),
    "guest": Slot(r" .{1,60}?", _guest, lists.SAMPLE_PEOPLE, True),
    "body": Slot(r" .+?", _text, lists.SAMPLE_BODIES, True),
    "kind": Slot(f" (?:{'|'.join(lists.ADDRESS_KINDS)})", lambda said, _: said.text, lists.ADDRESS_KINDS[:3]),
    "event": Slot(
        rf"(?: .{{1,40}}?)?? (?:{'|'.join(sorted(lists.EVENTS))})", lambda said, _: said.text, lists.SAMPLE_EVENTS, True
    ),
    "title": Slot(r" .{1,80}?", _text, lists.SAMPLE_EVENTS, True),
    "when": Slot(_words_of(_TIME_WORDS, r"\d{1,2}(?:[:.]\d\d)?"), _moment, lists.SAMPLE_WHENS, True),
    "hour": Slot(_words_of(_TIME_WORDS, r"\d{1,2}(?:[:.]\d\d)?"), _hour, lists.SAMPLE_HOURS, True),
    "weekday": Slot(
        f"(?: next| this)?(?: (?:{'|'.join(moments.WEEKDAYS)}|tomorrow|today))", lambda said, _: said.text,
        (*moments.WEEKDAYS, "tomorrow"), True,
    ),
}  # fmt: skip


@cache
def slot(kind: str) -> Slot:
    """The slot of a kind of `SLOTS`, or one for the words of `one|another`. Raises `KeyError`."""
    if "|" not in kind:
        return SLOTS[kind]
    choices = [choice.strip() for choice in kind.split("|") if choice.strip()]
    longest_first = sorted(map(re.escape, choices), key=len, reverse=True)
    return Slot(f"(?: (?:{'|'.join(longest_first)}))", lambda said, _: said.text, choices)
