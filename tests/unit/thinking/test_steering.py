"""Steering an answer in the embedded brain: what was heard is never said again."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from agent.clock import run_virtual
from agent.thinking.brain_skills import SkillsBrain
from agent.thinking.libraries import Libraries
from agent.thinking.port import Message
from agent.thinking.tools.earlier import first_sentence, resumed
from agent.thinking.tools.talk import SEQUEL, STORY
from agent.thinking.tools.wording import end_of, unrepeated
from tests.unit.thinking.talk import Talk

LIBRARIES = Libraries()
BRAIN = SkillsBrain(LIBRARIES)
LIST = "add milk, eggs, bread, tea, rice, salt, ham, fish, beef and beer to my shopping list"
SHORT_LIST = "add milk, eggs and bread to my shopping list"
NOTHING = -1
"""The user spoke on before anything was said or done."""

Line = str | tuple[str, int]


@pytest.fixture(scope="module", autouse=True)
def _closed_in_the_end() -> Iterator[None]:
    yield
    run_virtual(BRAIN.close())


def steered(*lines: Line) -> list[tuple[str, list[str]]]:
    """Answers and the tools asked for; of a line with a number the user hears only so many words."""

    async def main() -> list[tuple[str, list[str]]]:
        found = []
        async with Talk(BRAIN, LIBRARIES) as talk:
            for line in lines:
                text, heard = (line, None) if isinstance(line, str) else line
                if heard == NOTHING:
                    talk.messages.append(Message("user", text))
                    continue
                words = (await talk.say(text)).split()
                if heard is not None:
                    talk.messages[-1] = Message("agent", " ".join(words[:heard]), cut=" ".join(words[heard:]))
                found.append((" ".join(words), [call.name for call in talk.calls]))
        return found

    return run_virtual(main())


def answer(*lines: Line) -> str:
    return steered(*lines)[-1][0]


def rest_of(story: str, heard: int) -> str:
    return " ".join(story.split()[heard:])


# ── on ───────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("words", ["go on", "continue", "keep going"])
def test_on_says_what_was_cut_and_not_what_was_heard(words: str) -> None:
    assert answer(("tell me a story", 20), words) == rest_of(STORY, 20)


def test_on_begins_a_clause_again_of_which_next_to_nothing_was_heard() -> None:
    assert answer(("tell me a story", 16), "go on") == rest_of(STORY, 14)
    assert answer(("tell me a story", 17), "go on") == rest_of(STORY, 17)


def test_on_goes_on_from_cut_to_cut() -> None:
    assert answer(("tell me a story", 20), ("go on", 30), "go on") == rest_of(STORY, 50)


@pytest.mark.parametrize("aside", ["stop", "wait", "okay", "colorless green ideas sleep"])
def test_on_goes_on_behind_an_aside(aside: str) -> None:
    assert answer(("tell me a story", 20), aside, "go on") == rest_of(STORY, 20)


def test_on_goes_back_to_a_long_answer_behind_a_short_one_and_says_it_once() -> None:
    lines: list[Line] = [("tell me a story", 20), "what time is it"]
    assert answer(*lines, "go on") == rest_of(STORY, 20)
    assert answer(*lines, ("go on", 10), "go on") == rest_of(STORY, 30)
    assert answer(*lines, "go on", "go on") == "I had finished."


def test_on_says_more_where_there_is_more() -> None:
    assert answer("tell me a story", "go on") == SEQUEL
    assert answer("tell me a story", "go on", "go on") == "I had finished."
    assert answer(LIST, "what is on my shopping list", "go on") == "And beef and beer."
    assert answer("what time is it", "go on") == "I had finished."
    assert answer("go on") == "I haven't said anything yet."


def test_on_answers_what_was_never_answered() -> None:
    assert answer(("what time is it in tokyo", NOTHING), "go on") == "It's 11:20 PM in Tokyo."
    assert answer(("what time is it in tokyo", NOTHING), "wait", "go on") == "It's 11:20 PM in Tokyo."


# ── shorter ──────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("words", ["shorter", "make it short", "in short", "a bit shorter please", "just the answer"])
def test_shorter_is_the_bare_value(words: str) -> None:
    assert answer(("what time is it", 1), words) == "3:20 PM."


@pytest.mark.parametrize(
    ("question", "short"),
    [
        ("what time is it in tokyo", "11:20 PM."), ("what is seven times eight", "56."),
        ("what is five times one", "5."),
        ("how many miles is ten kilometers", "6.21 miles."), ("what day is it", "Wednesday, March 4."),
        ("when is easter", "Sunday, April 5."), ("how many days until christmas", "296 days."),
        ("what is the time difference between london and tokyo", "9 hours behind."),
    ],
)  # fmt: skip
def test_shorter_before_and_after_the_whole_answer(question: str, short: str) -> None:
    assert answer((question, 0), "shorter") == short
    assert answer(question, "shorter") == short
    assert answer((question, NOTHING), "shorter") == short


def test_shorter_says_no_value_that_was_heard() -> None:
    assert answer(("what time is it in tokyo", 3), "shorter") == "Okay."


def test_shorter_counts_or_tells_what_is_left_of_a_list() -> None:
    asked = "what is on my shopping list"
    assert answer(SHORT_LIST, asked, "in short") == "Three things: milk, eggs and bread."
    assert answer(SHORT_LIST, (asked, 0), "shorter") == "Three things: milk, eggs and bread."
    assert answer(SHORT_LIST, (asked, 5), "shorter") == "And eggs and bread."
    assert answer(LIST, asked, "shorter") == "Ten things: milk, eggs, bread, tea, rice, and 5 more."


def test_shorter_is_the_first_unheard_sentence_of_a_long_text_and_the_rest_is_not_lost() -> None:
    lines: list[Line] = [("tell me a story", 14), "shorter"]
    assert answer(*lines) == first_sentence(rest_of(STORY, 14))
    assert answer(*lines, "go on") == rest_of(STORY, 14 + len(answer(*lines).split()))


def test_shorter_is_a_summary_where_nothing_or_all_was_heard() -> None:
    summary = "The time, sums, units, timers, notes, lists and your calendar."
    assert answer(("help", 0), "shorter") == summary
    assert answer("help", "shorter") == summary


def test_shorter_has_its_limits() -> None:
    assert answer("shorter") == "I haven't said anything yet."
    assert answer("set a timer for ten minutes", "shorter") == "I can't say it any shorter."
    assert steered("what time is it in tokyo", "shorter", "in paris")[-1][0] == "It's 3:20 PM in Paris."


# ── another slot ─────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("question", "heard", "change", "said"),
    [
        ("how many kilometers is ten miles", 4, "in meters", "16,093.44 meters."),
        ("how many kilometers is ten miles", None, "in meters", "10 miles is 16,093.44 meters."),
        ("twenty celsius in kelvin", 4, "in fahrenheit", "68 degrees Fahrenheit."),
        ("what time is it in tokyo", 1, "in paris", "3:20 PM in Paris."),
        ("what time is it in tokyo", NOTHING, "no, in paris", "It's 3:20 PM in Paris."),
        ("how many kilometers is ten miles", 4, "in euros",
         "I can't convert currencies, because I don't know today's rates."),
        ("what is seven times eight", 2, "in euros", "I can't convert currencies, because I don't know today's rates."),
        ("what is seven times eight", 2, "in miles", "56 is only a number. Tell me its unit, too."),
        ("hello", None, "in miles", "What should I convert?"),
    ],
)  # fmt: skip
def test_a_changed_slot_is_answered_without_the_words_that_were_heard(
    question: str, heard: int | None, change: str, said: str
) -> None:
    assert answer(question if heard is None else (question, heard), change) == said


# ── something else besides ───────────────────────────────────────────────────────────────


@pytest.mark.parametrize("words", ["also what about paris", "and in paris", "also ask about paris", "and paris too"])
def test_an_addition_comes_behind_the_answer_that_was_cut(words: str) -> None:
    assert answer(("what time is it in tokyo", 1), words) == "It's 11:20 PM in Tokyo. 3:20 PM in Paris."


@pytest.mark.parametrize("words", ["also what about paris", "and in paris"])
def test_an_addition_comes_alone_where_the_answer_was_heard(words: str) -> None:
    assert answer("what time is it in tokyo", words) == "It's 3:20 PM in Paris."
    assert answer(("what time is it in tokyo", 4), words) == "3:20 PM in Paris."


def test_what_was_stopped_is_neither_owed_nor_remembered_word_for_word() -> None:
    assert answer(("what time is it in tokyo", 1), "stop", "also what about paris") == "It's 3:20 PM in Paris."
    assert answer(("what time is it in tokyo", 1), "wait", "in paris") == "It's 3:20 PM in Paris."


def test_an_addition_to_what_was_never_answered_asks_for_both() -> None:
    assert steered(("what time is it in tokyo", NOTHING), "and in paris") == [
        ("It's 11:20 PM in Tokyo. It's 3:20 PM in Paris.", ["current_time", "current_time"])
    ]


def test_an_addition_that_cannot_be_had_leaves_the_answer() -> None:
    assert answer(("what time is it in tokyo", 1), "and the weather").startswith("It's 11:20 PM in Tokyo. I can't do")
    assert answer(("tell me a story", 20), "and what time is it") == "It's 3:20 PM."


def test_a_timer_that_was_not_begun_is_set_once_and_only_if_nothing_else_was_said() -> None:
    begun: Line = ("set a timer for ten minutes", NOTHING)
    assert steered(begun, "also what time is it")[-1] == (
        "Your timer is set for 10 minutes. It's 3:20 PM.", ["set_timer", "current_time"]
    )  # fmt: skip
    assert steered(begun, "never mind", "also what time is it")[-1][1] == ["current_time"]
    assert steered(begun, "stop", "go on")[-1] == (
        "I stopped that before it was done. Please say it again if you want it.", []
    )  # fmt: skip
    assert steered("set a timer for ten minutes", "also what time is it")[-1][1] == ["current_time"]


@pytest.mark.parametrize("words", ["also what time is it", "shorter", "go on"])
def test_an_action_that_goes_on_is_never_asked_for_again(words: str) -> None:
    async def main() -> list[str]:
        async with Talk(BRAIN, LIBRARIES) as talk:
            note = "set timer had been started when you interrupted; how it ends is not known yet"
            talk.messages += [Message("user", "set a timer for ten minutes"), Message("note", note)]
            await talk.say(words)
            return [call.name for call in talk.calls]

    assert "set_timer" not in run_virtual(main())


# ── its parts ────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("heard", "cut", "rest"),
    [
        ("", "It's three.", "It's three."), ("It's", "three.", "It's three."), ("One two three", "four.", "four."),
        ("One two. Three", "four.", "Three four."), ("First, the", "rest.", "the rest."), ("Done.", "More.", "More."),
    ],
)  # fmt: skip
def test_where_it_is_resumed(heard: str, cut: str, rest: str) -> None:
    assert resumed(heard, cut) == rest


def test_words_that_are_the_same_are_left_out_but_never_all() -> None:
    assert unrepeated("10 miles is 5 meters.", "Well. 10 miles is about") == "5 meters."
    assert unrepeated("It's three.", "Ten is") == "It's three."
    assert unrepeated("It's three.", "It's three.") == "It's three."


def test_a_value_is_found_as_whole_words_where_it_stands_last() -> None:
    assert end_of("5", "5 times 1 is 5.") == len("5 times 1 is 5")
    assert end_of("egg", "eggs") == -1
