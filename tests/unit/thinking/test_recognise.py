"""Parsing: numbers, times, places, templates; and that nothing makes it raise."""

import contextlib
from datetime import UTC, datetime
from functools import cache
from pathlib import Path

import pocketsphinx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.errors import ToolError
from agent.thinking.port import UserContext
from agent.thinking.tools import expressions, moments, numerals
from agent.thinking.tools.catalogue import SKILLS, sentences
from agent.thinking.tools.lists import said_list, split_items
from agent.thinking.tools.pattern import Pattern
from agent.thinking.tools.places import find_place
from agent.thinking.tools.quantities import quantity
from agent.thinking.tools.recognise import Recogniser
from agent.thinking.tools.skill import Ask, Past, Say
from agent.thinking.tools.utterance import normalise

NOW = datetime(2026, 3, 4, 15, 20, tzinfo=UTC)
PAST = Past(UserContext(NOW))


@cache
def recogniser() -> Recogniser:
    return Recogniser(SKILLS)


def test_every_example_sentence_is_understood() -> None:
    """What the recogniser is taught to hear must mean something, with or without what went before."""
    followed = [
        Past(UserContext(NOW), ["before"], Ask(*last), result)
        for last, result in (
            (("current_time", {}), None),
            (("find_date", {"when": "easter"}), None),
            (("calculate", {"expression": "1 + 1"}), {"exact": "2"}),
            (("convert_units", {"value": 1, "from": "mile", "to": "kilometer"}), None),
            (("set_timer", {}), {"kind": "timer", "label": "", "seconds": 60}),
            (("add_to_list", {"list": "shopping"}), None),
            (("read_list", {}), None),
            (("send_email", {"to": ["anna"], "body": "the meeting at three is on friday at four pm"}), None),
            (("send_email", {"to": ["anna"], "body": "the meeting is at three"}), None),
            (("add_appointment", {"title": "meeting", "at": "2026-03-05T15:00:00"}), None),
            (("add_appointment", {}), {"uid": "u", "title": "Meeting", "start": "2026-03-05T15:00:00"}),
        )
    ]
    missed = [
        sentence
        for sentence in sentences()[::7]
        if not any(recogniser().recognise(sentence, past, {}) for past in (PAST, *followed))
    ]
    assert missed == []


@pytest.mark.parametrize("hum", ["um", "hmm", "mhm", "uh-huh"])
def test_a_hum_before_a_request_changes_nothing(hum: str) -> None:
    assert recogniser().recognise(f"{hum} set a timer for ten minutes", PAST, {}) == recogniser().recognise(
        "set a timer for ten minutes", PAST, {}
    )


def test_example_sentences_are_many_and_pronounceable() -> None:
    dictionary = Path(pocketsphinx.get_model_path()) / "en-us" / "cmudict-en-us.dict"
    with dictionary.open(encoding="utf-8") as lines:
        vocabulary = {line.split(maxsplit=1)[0] for line in lines}
    found = sentences(vocabulary)
    assert len(found) > 3_000
    assert len(set(found)) == len(found)
    assert all(sentence == sentence.lower() and not any(sign.isdigit() for sign in sentence) for sentence in found)
    assert len(found) > 0.95 * len(sentences())
    for expected in ("what time is it in tokyo right now", "stop that please", "and in paris", "never mind", "yes"):
        assert expected in found


@given(st.text(max_size=200))
def test_any_text_is_parsed_without_an_error(text: str) -> None:
    recogniser().recognise(text, PAST, {})


WORDS = st.sampled_from(
    "what is the time in tokyo set a timer for ten minutes and half past to add milk my list remind me at minus "
    "point two hundred percent of divided by squared 7*8 (3 ) 1h30m 5km %%% note that".split()
)


@given(st.lists(WORDS, max_size=25).map(" ".join))
def test_any_order_of_known_words_is_parsed_without_an_error(text: str) -> None:
    past = Past(UserContext(NOW), [], Ask("calculate", {"expression": "1 + 1"}), {"exact": "2"})
    for answer in recogniser().recognise(text, past, {"set_timer": 92.0}):
        assert isinstance(answer, Ask | Say)


@given(st.integers(min_value=-(10**12), max_value=10**12))
def test_numbers_said_are_numbers_heard(value: int) -> None:
    assert numerals.number(numerals.spoken(value).split()) == value


@pytest.mark.parametrize(
    ("text", "value"),
    [("two hundred and five", 205), ("three point one four", 3.14), ("minus four", -4), ("a dozen", 12),
     ("1,000.5", 1000.5),
     ("ten and a half", 10.5), ("half", 0.5), ("three quarters", 0.75), ("a million", 10**6), ("-3", -3),
     ("two thousand twenty six", 2026), ("four two", None), ("hello", None), ("", None)],
)  # fmt: skip
def test_numbers(text: str, value: float | None) -> None:
    found = numerals.number(text.split())
    assert (None if found is None else float(found)) == (None if value is None else pytest.approx(value))


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("ten minutes", 600), ("an hour and a half", 5400), ("one hour thirty minutes", 5400), ("half an hour", 1800),
     ("two and a half minutes", 150), ("90 seconds", 90), ("1 h 30 m", 5400), ("one hour thirty", 5400),
     ("a minute and a half", 90), ("a quarter of an hour", 900), ("ten", None), ("minutes", None),
     ("minus ten minutes", None),
     ("nine hundred years", None)],
)  # fmt: skip
def test_durations(text: str, seconds: int | None) -> None:
    assert moments.duration(text.split()) == seconds


@pytest.mark.parametrize(
    ("text", "at"),
    [("seven", "04T19:00"), ("seven am", "05T07:00"), ("seven thirty", "04T19:30"), ("half past four", "04T16:30"),
     ("quarter to nine", "04T20:45"), ("twenty past three pm", "05T15:20"), ("noon", "05T12:00"),
     ("midnight", "05T00:00"),
     ("tomorrow at seven", "05T07:00"), ("two tomorrow", "05T14:00"), ("nine oclock tomorrow", "05T09:00"),
     ("tonight at nine", "04T21:00"),
     ("on friday at ten", "06T10:00"), ("eight in the evening", "04T20:00"), ("16:45", "04T16:45"),
     ("7:05 pm", "04T19:05"),
     ("seven oh five", "04T19:05"), ("twenty five", None), ("twelve am", "05T00:00"), ("tomorrow", None),
     ("in the morning", None)],
)  # fmt: skip
def test_times_of_day(text: str, at: str | None) -> None:
    found = moments.moment(text.split(), NOW)
    assert (None if found is None else f"{found:%dT%H:%M}") == at


@pytest.mark.parametrize(
    ("text", "name"),
    [("tokyo", "Tokyo"), ("toe key oh", "Tokyo"), ("new york city", "New York City"), ("sao paulo", "Sao Paulo"),
     ("the netherlands", "the Netherlands"),
     ("sidney", "Sydney"), ("pariss", "Paris"), ("blorgville", None), ("the kitchen", None), ("bed", None),
     ("", None), ("my list", None)],
)  # fmt: skip
def test_places_are_found_by_spelling_and_sound(text: str, name: str | None) -> None:
    found = find_place(text)
    assert (found.name if found else None) == name


@pytest.mark.parametrize(
    ("text", "expression", "value"),
    [("seven times eight", "7 * 8", 56), ("minus five plus eight", "- 5 + 8", 3),
     ("two to the power of ten", "2 ^ 10", 1024),
     ("ten percent of fifty", "10 / 100 * 50", 5), ("7x8", "7 * 8", 56), ("2*(3+4)", "2 * ( 3 + 4 )", 14),
     ("three squared", "3 ^ 2", 9), ("ten mod three", "10 mod 3", 1), ("half of eighty", "0.5 * 80", 40),
     ("the cube root of twenty seven", "cbrt 27", 3), ("nine minus minus one", "9 - - 1", 10)],
)  # fmt: skip
def test_arithmetic(text: str, expression: str, value: float) -> None:
    assert expressions.symbols(normalise(text).words) == expression
    assert float(expressions.evaluate(expression)) == pytest.approx(value)


@pytest.mark.parametrize("text", ["seven", "hello plus you", "times two", "plus", "two plus", "", "minus three"])
def test_what_is_no_arithmetic(text: str) -> None:
    assert expressions.symbols(text.split()) is None


@given(st.text(alphabet="0123456789+-*/^() .modsqrt", max_size=60))
def test_evaluating_ends_in_a_value_or_a_tool_error(text: str) -> None:
    with contextlib.suppress(ToolError):
        assert expressions.evaluate(text) is not None


def test_quantities() -> None:
    assert quantity("ten and a half miles".split()) == "10.5 mile"
    assert quantity(["half", "a", "mile"]) == "0.5 mile"
    assert quantity(["miles"]) is None


def test_lists_are_split_and_joined() -> None:
    assert split_items("milk, eggs and some bread") == ["milk", "eggs", "bread"]
    assert split_items("salt and pepper") == ["salt and pepper"]
    assert said_list(["milk", "eggs", "bread"]) == "milk, eggs and bread"
    assert said_list([str(n) for n in range(10)]) == "0, 1, 2, 3, 4, 5, 6, 7, and 2 more"


def test_free_text_keeps_its_spelling() -> None:
    pattern = Pattern("note that {fact}")
    assert pattern.match(normalise("Note that it's at 5 O'Clock, Dr. Smith!"), None) == {
        "fact": "it's at 5 O'Clock, Dr. Smith"
    }  # type: ignore[arg-type]


@pytest.mark.parametrize("template", ["what (is", "what] is", "a {nonsense}"])
def test_a_malformed_template_is_refused(template: str) -> None:
    with pytest.raises(ValueError, match="template"):
        Pattern(template)


def test_people_of_the_address_book_can_be_named() -> None:
    found = set(sentences(people=("Zoe", "bob miller")))
    assert {"send an email to zoe saying i am on my way", "to bob miller instead"} <= found
    assert "remind me to call zoe at noon" not in found
    assert len(found) < len(sentences()) + 2 * 60
    new = [one for one in found - set(sentences()) if one.startswith(("send a", "add", "cancel"))]
    assert new
    assert [one for one in new if not recogniser().recognise(one, PAST, {})] == []


@pytest.mark.parametrize(
    ("text", "tool"),
    [
        ("cancel the timer", "cancel_timer"), ("cancel my alarm", "cancel_timer"), ("cancel", ""),
        ("cancel my subscription", ""), ("cancel my meeting", "cancel_appointment"),
        ("what do i have to do", "read_list"), ("what do i have tomorrow", "list_appointments"),
        ("add milk to my shopping list", "add_to_list"),
        ("add lunch to my calendar at noon", "add_appointment"), ("put lunch on my to do list", "add_to_list"),
        ("put lunch with anna on my calendar tomorrow at noon", "add_appointment"),
        ("remind me to send an email to anna at noon", "set_timer"), ("note that i should email anna", "add_note"),
        ("email", ""), ("send it", ""), ("undo the dishwasher", ""), ("change it to monday", ""),
        ("send an email to anna saying hello", "send_email"), ("Email bob that I can't come today", "send_email"),
        ("move my meeting to friday", "move_appointment"), ("move the couch to the kitchen", ""),
    ],
)  # fmt: skip
def test_letters_and_appointments_take_nothing_from_other_skills(text: str, tool: str) -> None:
    found = recogniser().recognise(text, PAST, {})
    assert [answer.tool for answer in found if isinstance(answer, Ask)] == ([tool] if tool else [])
