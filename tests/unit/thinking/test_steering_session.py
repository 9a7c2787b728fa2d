"""Steering through the whole session: interrupted by voice or typed into, in virtual time."""

from __future__ import annotations

from pathlib import Path

import pytest

from agent.conversation.policy import Actions
from agent.thinking.tools.talk import STORY
from tests.unit.thinking.session_talk import Talk, scene

EMAIL = "send an email to anna saying the meeting moved to friday"
MEETING = "add a meeting with bob tomorrow at three pm to my calendar"

by_voice_or_typed = pytest.mark.parametrize("voice", [True, False], ids=["voice", "typed"])


async def over(talk: Talk, text: str, *, voice: bool) -> str:
    """Say or type it into what is being said; the answer."""
    return await (talk.speak_over(text) if voice else talk.say(text))


@by_voice_or_typed
def test_on_says_all_that_was_not_heard_and_nothing_twice(tmp_path: Path, voice: bool) -> None:
    async def play(talk: Talk) -> None:
        await talk.begin("tell me a story", 10)
        rest = await over(talk, "go on please", voice=voice)
        assert f"{talk.stops()[0].heard_text} {rest}" == STORY

    scene(tmp_path, play)


@by_voice_or_typed
def test_shorter_then_on(tmp_path: Path, voice: bool) -> None:
    async def play(talk: Talk) -> None:
        await talk.begin("tell me a story", 14)
        short = await over(talk, "make it shorter", voice=voice)
        assert short.count(".") == 1
        assert f"{talk.stops()[0].heard_text} {short} {await talk.say('go on')}" == STORY

    scene(tmp_path, play)


@by_voice_or_typed
def test_another_unit_and_another_place(tmp_path: Path, voice: bool) -> None:
    async def play(talk: Talk) -> None:
        await talk.begin("how many kilometers is ten miles", 4)
        assert await over(talk, "in meters", voice=voice) == "16,093.44 meters."
        await talk.begin("what time is it in tokyo", 1)
        assert (await over(talk, "no in paris", voice=voice)).endswith("M in Paris.")
        assert "Tokyo" not in talk.stops()[-1].heard_text

    scene(tmp_path, play)


@by_voice_or_typed
def test_an_addition_to_an_answer_that_was_cut(tmp_path: Path, voice: bool) -> None:
    async def play(talk: Talk) -> None:
        await talk.begin("what time is it in tokyo", 1)
        both = await over(talk, "also what about paris", voice=voice)
        assert both.index("in Tokyo.") < both.index("in Paris.")

    scene(tmp_path, play)


@by_voice_or_typed
@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("no my work email", "from ann@work.example to Anna Lee at anna@example.org, saying: The meeting moved to "
                             "Friday."),
        ("to bob instead", "to Bob at bob@example.org, saying: The meeting moved to Friday."),
        ("no on monday", "to Anna Lee at anna@example.org, saying: The meeting moved to Monday."),
        ("also ask about sunday", "saying: The meeting moved to Friday. What about Sunday?"),
        ("make it shorter", "to Anna Lee at anna@example.org, saying: The meeting moved to Friday."),
    ],
)  # fmt: skip
def test_a_letter_is_corrected_while_the_question_is_spoken(
    tmp_path: Path, words: str, expected: str, voice: bool
) -> None:
    async def play(talk: Talk) -> None:
        await talk.begin(EMAIL, 7)
        question = await over(talk, words, voice=voice)
        assert question.endswith(f"{expected} Shall I?")
        assert talk.actions() == ["proposed", "rejected", "proposed"]
        assert talk.letters() == []
        await talk.say("yes")
        assert len(talk.letters()) == 1

    scene(tmp_path, play)


@by_voice_or_typed
@pytest.mark.parametrize(("words", "when"), [("no on monday", "on Monday at 3 PM"), ("no four pm", "tomorrow at 4 PM"),
                                             ("make it monday", "on Monday at 3 PM")])  # fmt: skip
def test_an_appointment_is_corrected_while_the_question_is_spoken(
    tmp_path: Path, words: str, when: str, voice: bool
) -> None:
    async def play(talk: Talk) -> None:
        await talk.begin(MEETING, 4)
        assert await over(talk, words, voice=voice) == f"Add the meeting with Bob {when} to your calendar. Shall I?"
        assert talk.appointments() == []
        await talk.say("yes")
        assert len(talk.appointments()) == 1

    scene(tmp_path, play, Actions(low_risk="ask"))


def test_yes_into_the_question_confirms_nothing(tmp_path: Path) -> None:
    async def play(talk: Talk) -> None:
        await talk.begin(EMAIL, 4)
        await talk.speak_over("yes send it")
        assert talk.actions()[:2] == ["proposed", "rejected"]
        assert "confirmed" not in talk.actions()
        assert talk.letters() == []

    scene(tmp_path, play)
