"""Whole exchanges: what is said, the tool that is asked for, and what the agent answers."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta

import pytest

from agent.clock import run_virtual
from agent.errors import BrainError
from agent.thinking.brain_skills import SkillsBrain
from agent.thinking.libraries import Libraries
from agent.thinking.memory import Memory
from agent.thinking.port import Call, Message, Prompt, UserContext
from agent.thinking.timers import Timers
from agent.thinking.tools.catalogue import builtin_tools
from tests.unit.thinking.talk import NOW, Talk

LIBRARIES = Libraries()
BRAIN = SkillsBrain(LIBRARIES)


@pytest.fixture(scope="module", autouse=True)
def _closed_in_the_end() -> Iterator[None]:
    yield
    run_virtual(BRAIN.close())


def talk(*lines: str) -> list[tuple[str, list[str]]]:
    """Answers, and names of the tools asked for."""

    async def main() -> list[tuple[str, list[str]]]:
        async with Talk(BRAIN, LIBRARIES) as conversation:
            return [(await conversation.say(line), [call.name for call in conversation.calls]) for line in lines]

    return run_virtual(main())


EXCHANGES = [
    ("what time is it", "current_time", "It's 3:20 PM."),
    ("what time is it in tokyo right now", "current_time", "It's 11:20 PM in Tokyo."),
    ("What time is it in Tokyo right now?", "current_time", "It's 11:20 PM in Tokyo."),
    ("could you tell me the time in new york please", "current_time", "It's 9:20 AM in New York."),
    ("what's the time in sydney", "current_time", "It's 1:20 AM on Thursday in Sydney."),
    ("what time is it in india", "current_time", "It's 7:50 PM in India."),
    ("what is the time difference between london and tokyo", "time_difference", "London is 9 hours behind Tokyo."),
    ("what time is it in toe key oh", "current_time", "It's 11:20 PM in Tokyo."),
    ("what thyme is it in paris", "current_time", "It's 3:20 PM in Paris."),
    ("what time is it in blorgville", "current_time", "Sorry, I don't know a place called blorgville."),
    ("what day is it", "current_date", "It's Wednesday, March 4."),
    ("what's today's date", "current_date", "It's Wednesday, March 4."),
    ("what's the date next friday", "find_date", "Next Friday is Friday, March 6."),
    ("what day is march third", "find_date", "March third is Wednesday, March 3, 2027."),
    ("how many days until christmas", "days_until", "296 days until Christmas."),
    ("when is new year's eve", "find_date", "New Year's Eve is Thursday, December 31."),
    ("what day was july 4 1976", "find_date", "July 4 1976 was Sunday, July 4, 1976."),
    ("what is the date in two weeks", "find_date", "In two weeks it's Wednesday, March 18."),
    ("how many days until the purple day", "days_until", "Sorry, I don't know which day the purple day is."),
    ("what is the difference between eighteen and twenty five", "calculate", "25 minus 18 is 7."),
    ("when is easter", "find_date", "Easter is Sunday, April 5."),
    ("what is seven times eight", "calculate", "7 times 8 is 56."),
    ("what is seven times eight plus two", "calculate", "7 times 8 plus 2 is 58."),
    ("What's 7*8+2?", "calculate", "7 times 8 plus 2 is 58."),
    ("2 * (3 + 4)", "calculate", "That's 14."),
    ("what is fifteen percent of eighty", "calculate", "15 percent of 80 is 12."),
    ("what is the square root of two", "calculate", "The square root of 2 is about 1.4142."),
    ("ten divided by zero", "calculate", "Sorry, dividing by zero has no answer."),
    ("divide ten by four", "calculate", "10 divided by 4 is 2.5."),
    ("what is nine to the power of nine to the power of nine", "calculate", "Sorry, that number is too large for me."),
    ("how many miles is ten kilometers", "convert_units", "10 kilometers is about 6.21 miles."),
    ("convert twenty degrees celsius to fahrenheit", "convert_units", "20 degrees Celsius is 68 degrees Fahrenheit."),
    ("5 km in miles", "convert_units", "5 kilometers is about 3.11 miles."),
    ("how many seconds in an hour", "convert_units", "1 hour is 3,600 seconds."),
    ("how many ounces are in a cup", "convert_units", "1 cup is 8 fluid ounces."),
    ("how many miles is ten pounds", "convert_units", "Sorry, those two measure different things."),
    ("set a timer for ten minutes please", "set_timer", "Your timer is set for 10 minutes."),
    ("set a time for ten minutes", "set_timer", "Your timer is set for 10 minutes."),
    ("set a timer for an hour and a half", "set_timer", "Your timer is set for 1 hour and 30 minutes."),
    ("set a pizza timer for twelve minutes", "set_timer", "Your pizza timer is set for 12 minutes."),
    ("remind me in five minutes to call mom", "set_timer", "Okay, I'll remind you in 5 minutes to call mom."),
    ("remind me to water my plants at nine pm", "set_timer", "Okay, I'll remind you at 9 PM to water your plants."),
    ("wake me up at seven thirty", "set_timer", "Your alarm is set for 7:30 PM."),
    ("set an alarm for six thirty tomorrow morning", "set_timer", "Your alarm is set for 6:30 AM tomorrow."),
    ("cancel the timer", "cancel_timer", "There is no timer set."),
    ("how much time is left", "list_timers", "There is no timer set."),
    ("add milk to my shopping list", "add_to_list", "I added milk to your shopping list."),
    ("add Milk, eggs and bread to my shopping list", "add_to_list",
    "I added Milk, eggs and bread to your shopping list."),
    ("what's on my to do list", "read_list", "Your to do list is empty."),
    ("note that the door code is four two", "add_note", "Noted: the door code is four two."),
    ("note that the WiFi password is Xy7!", "add_note", "Noted: the WiFi password is Xy7."),
    ("read my notes", "read_notes", "You have no notes."),
    ("slower", "set_speech_speed", "Okay, I'll speak slower."),
    ("my name is anna", "remember_name", "Nice to meet you, Anna."),
    ("what's my name", "recall_name", "You haven't told me your name yet."),
    ("what did i just say", "last_user_words", "You haven't said anything before that."),
    ("repeat that", "repeat_reply", "I haven't said anything yet."),
]  # fmt: skip


def test_one_question_one_tool_one_answer() -> None:
    async def main() -> list[tuple[str, str, str]]:
        found = []
        async with Talk(BRAIN, LIBRARIES) as conversation:
            for line, _, _ in EXCHANGES:
                fresh = Memory(":memory:")
                await fresh.start()
                conversation.tools = {tool.spec.name: tool for tool in builtin_tools(fresh, Timers(fresh), LIBRARIES)}
                conversation.messages = []
                answer = await conversation.say(line)
                found.append((line, " ".join(call.name for call in conversation.calls), answer))
                await fresh.close()
        return found

    found = run_virtual(main())
    assert [exchange for exchange in found if exchange not in EXCHANGES] == []
    assert len(found) == len(EXCHANGES)


@pytest.mark.parametrize(
    ("lines", "answers"),
    [
        (["what time is it in tokyo", "and in paris"], ["It's 11:20 PM in Tokyo.", "It's 3:20 PM in Paris."]),
        (["what time is it in tokyo", "what about london?", "and new york"],
         ["It's 11:20 PM in Tokyo.", "It's 2:20 PM in London.", "It's 9:20 AM in New York."]),
        (["and in paris"], ["What would you like to know about Paris?"]),
        (["what is seven plus eight", "times two", "how about minus three"],
         ["7 plus 8 is 15.", "15 times 2 is 30.", "30 minus 3 is 27."]),
        (["how many kilometers is ten miles", "what about in meters", "and five"],
         ["10 miles is about 16.09 kilometers.", "10 miles is 16,093.44 meters.", "5 miles is 8,046.72 meters."]),
        (["convert ten degrees celsius to fahrenheit", "how about minus three"],
         ["10 degrees Celsius is 50 degrees Fahrenheit.", "Minus 3 degrees Celsius is 26.6 degrees Fahrenheit."]),
        (["when is christmas", "and easter"], ["Christmas is Friday, December 25.", "Easter is Sunday, April 5."]),
        (["add milk to my shopping list", "and eggs", "what's on my shopping list"],
         ["I added milk to your shopping list.", "I added eggs to your shopping list.",
          "On your shopping list: milk and eggs."]),
        (["set a timer for ten minutes", "cancel that", "how much time is left"],
         ["Your timer is set for 10 minutes.", "Okay, I cancelled the 10 minute timer.", "There is no timer set."]),
        (["what time is it", "what did i just say"], ["It's 3:20 PM.", "You said: what time is it."]),
        (["what time is it", "repeat that", "again"], ["It's 3:20 PM.", "It's 3:20 PM.", "It's 3:20 PM."]),
        (["note that the door code is four two", "what did i note about the door code"],
         ["Noted: the door code is four two.", "You noted: the door code is four two."]),
        (["my name is anna", "what's my name"], ["Nice to meet you, Anna.", "Your name is Anna."]),
        (["add milk to my shopping list", "cross milk off my shopping list", "remove milk from my shopping list"],
         ["I added milk to your shopping list.", "Done, milk is off your list.",
          "Sorry, I can't find milk on your shopping list."]),
        (["set a timer for ten minutes and add milk to my shopping list"],
         ["Your timer is set for 10 minutes. I added milk to your shopping list."]),
        (["set a timer for ten minutes", "set a tea timer for three minutes", "what timers do i have",
        "cancel the tea timer"],
         ["Your timer is set for 10 minutes.", "Your tea timer is set for 3 minutes.",
          "You have 2 timers: the tea timer with 3 minutes left and the 10 minute timer with 10 minutes left.",
          "Okay, I cancelled the tea timer."]),
        (["stop", "never mind", "thank you", "yes", "no"],
         ["Okay.", "Okay, never mind.", "You're welcome.", "All right. What would you like?", "All right."]),
        (["stop that please", "hello there", "i like you"], ["Okay.", "Hello again.", "That's kind of you."]),
    ],
)  # fmt: skip
def test_what_is_said_refers_to_what_was_said(lines: list[str], answers: list[str]) -> None:
    assert [answer for answer, _ in talk(*lines)] == answers


def test_a_cut_reply_is_repeated_whole_and_continued_where_it_was_cut() -> None:
    async def main() -> tuple[str, str, str]:
        async with Talk(BRAIN, LIBRARIES) as conversation:
            story = await conversation.say("tell me a story", heard_chars=16)
            again = await conversation.say("repeat that", heard_chars=16)
            return story, again, await conversation.say("go on")

    story, again, rest = run_virtual(main())
    assert len(story.split()) >= 90
    assert again == story
    assert rest == story[16:].strip()


def test_help_is_said_in_about_sixty_words() -> None:
    (answer, tools), *_ = talk("what can you do")
    assert tools == ["tell"]
    assert 40 <= len(answer.split()) <= 80


NONSENSE = [
    "colorless green ideas sleep furiously", "blorg the fnord quickly", "call a taxi for me",
    "delete everything on my computer",
    "the quarterly report shows a strong increase in revenue", "set the table for ten people",
    "i was in tokyo ten years ago",
    "he said that seven people came to the party", "my timer", "add", "remind me", "%%%", "???", "minus three",
]  # fmt: skip


@pytest.mark.parametrize("text", NONSENSE)
def test_what_no_skill_knows_is_never_an_action(text: str) -> None:
    answers = talk(text)
    assert answers[0][1] in ([], ["list_timers"] if text == "my timer" else [])
    assert answers[0][0]


def test_words_that_were_not_understood_are_never_acted_on() -> None:
    async def main() -> tuple[str, int]:
        async with Talk(BRAIN, LIBRARIES) as conversation:
            answer = await conversation.say("set a timer for ten minutes", understood=False)
            return answer, len(conversation.calls)

    answer, calls = run_virtual(main())
    assert calls == 0
    assert "didn't catch that" in answer


def test_not_understanding_is_said_differently_each_time() -> None:
    answers = [answer for answer, _ in talk(*(["colorless green ideas"] * 3))]
    assert len(set(answers)) == 3


@pytest.mark.parametrize(
    "text",
    ["sit a tamer four ten minutes", "said a dime or for ten minutes", "clear my shopping lisp", "delete all my goats"],
)
def test_a_write_needs_a_nearer_match_than_a_read(text: str) -> None:
    tools = talk(text)[0][1]
    assert not set(tools) & {"set_timer", "clear_list", "clear_notes", "delete_note"}


def test_a_note_is_told_first_and_once() -> None:
    async def main() -> tuple[str, str]:
        async with Talk(BRAIN, LIBRARIES) as conversation:
            conversation.messages.append(Message("note", "The timer was set although you were interrupted."))
            first = await conversation.say("what time is it")
            return first, await conversation.say("what time is it")

    first, second = run_virtual(main())
    assert first == "By the way, the timer was set although you were interrupted. It's 3:20 PM."
    assert second == "It's 3:20 PM."


def test_what_was_done_although_the_user_interrupted_is_told_in_the_next_reply() -> None:
    async def main() -> tuple[str, str]:
        async with Talk(BRAIN, LIBRARIES) as conversation:
            await conversation.say("set a timer for ten minutes", heard_chars=0)
            conversation.messages.append(conversation.messages.pop(-2))
            conversation.messages.append(Message("note", "set timer was done although you interrupted"))
            first = await conversation.say("what time is it", heard_chars=0)
            return first, await conversation.say("what time is it")

    first, second = run_virtual(main())
    assert first == "By the way, although you interrupted me: your timer is set for 10 minutes. It's 3:20 PM."
    assert second == first, "what was not heard was not told"


def test_a_tool_that_is_not_there_is_said_to_be_missing() -> None:
    async def main() -> tuple[str, list[Call]]:
        async with Talk(BRAIN, LIBRARIES) as conversation:
            del conversation.tools["set_timer"]
            return await conversation.say("set a timer for ten minutes"), conversation.calls

    answer, calls = run_virtual(main())
    assert not calls
    assert "can't do that" in answer


def test_the_same_prompt_gives_the_same_step() -> None:
    async def main() -> tuple[Sequence[object], Sequence[object]]:
        async with Talk(BRAIN, LIBRARIES) as conversation:
            prompt = Prompt(
                [Message("user", "what time is it in tokyo")],
                [tool.spec for tool in conversation.tools.values()],
                UserContext(NOW),
            )
            one = [part async for part in conversation.brain.respond(prompt)]
            return one, [part async for part in conversation.brain.respond(prompt)]

    one, other = run_virtual(main())
    assert one == other == [Call("c1", "current_time", {"place": "Tokyo"})]


def test_a_prompt_without_a_user_is_an_error() -> None:
    async def main() -> None:
        async with Talk(BRAIN, LIBRARIES) as conversation:
            with pytest.raises(BrainError):
                await conversation._step()

    run_virtual(main())


def test_a_failed_tool_is_apologised_for_by_its_class() -> None:
    async def answer(error_class: str) -> str:
        async with Talk(BRAIN, LIBRARIES) as conversation:
            conversation.messages = [
                Message("user", "set a timer for ten minutes"),
                Message("call", call_id="c1", name="set_timer", arguments={}),
                Message("result", "No room.", call_id="c1", name="set_timer", error_class=error_class),
            ]
            return (await conversation._step())[0]

    answers = {kind: run_virtual(answer(kind)) for kind in ("input", "timeout", "crash", "unreachable", "permission")}
    assert len(set(answers.values())) == 5
    assert answers["input"] == "Sorry, no room."


def test_speech_speed_is_kept_and_bounded() -> None:
    async def main() -> tuple[float, float, str]:
        async with Talk(BRAIN, LIBRARIES) as conversation:
            await conversation.say("slower")
            once = conversation.memory.preference("speech_speed", 1.0)
            for _ in range(9):
                last = await conversation.say("slower please")
            return once, conversation.memory.preference("speech_speed", 1.0), last

    once, least, last = run_virtual(main())
    assert (once, least) == (0.83, 0.5)
    assert last == "I can't speak any slower than this."


@pytest.mark.parametrize(
    ("set_to", "words", "speed"),
    [(2.0, "faster", 2.4), (2.0, "slower", 1.67), (2.8, "faster", 3.0), (3.0, "slower", 2.5), (0.6, "slower", 0.5)],
)
def test_faster_and_slower_count_from_the_speed_at_which_it_speaks(set_to: float, words: str, speed: float) -> None:
    """Which the page's slider may have set, whatever was asked for in words before."""

    async def main() -> float:
        async with Talk(BRAIN, LIBRARIES) as conversation:
            await conversation.say("slower")
            conversation.speed = set_to
            await conversation.say(words)
            return conversation.memory.preference("speech_speed", 1.0)

    assert run_virtual(main()) == speed


def test_time_left_counts_down() -> None:
    async def main() -> str:
        async with Talk(BRAIN, LIBRARIES) as conversation:
            await conversation.say("set a timer for ten minutes")
            conversation.now += timedelta(minutes=4)
            return await conversation.say("how much time is left")

    assert run_virtual(main()) == "6 minutes left on your 10 minute timer."


def test_every_tool_is_ready_and_declares_its_effect() -> None:
    async def main() -> dict[str, str]:
        async with Talk(BRAIN, LIBRARIES) as conversation:
            assert await conversation.tools["current_time"].preflight() == ""
            assert {await tool.preflight() for tool in conversation.tools.values()} == {""}
            return {tool.spec.name: tool.spec.effect for tool in conversation.tools.values()}

    effects = run_virtual(main())
    writes = {name for name, effect in effects.items() if effect == "write"}
    assert writes == {
        "set_timer", "cancel_timer", "add_note", "delete_note", "clear_notes", "add_to_list", "remove_from_list",
        "clear_list", "set_speech_speed", "remember_name",
    }  # fmt: skip
    assert len(effects) >= 20


def test_times_are_the_users_own() -> None:
    async def main() -> str:
        async with Talk(BRAIN, LIBRARIES) as conversation:
            conversation.now = datetime(2026, 7, 1, 23, 5, tzinfo=UTC)
            return await conversation.say("what time is it in tokyo")

    assert run_virtual(main()) == "It's 8:05 AM on Thursday in Tokyo."
