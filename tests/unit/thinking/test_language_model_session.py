"""Whole conversations with a language model behind a real server: tools, interruptions, outages, speculation."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import pytest

from agent.app import App
from agent.clock import Clock, run_virtual
from agent.config.load import load
from agent.conversation import decisions as d
from agent.conversation import events as e
from agent.conversation.events import Json, Usage
from agent.conversation.wording import APOLOGY
from agent.errors import SettingsError
from agent.replay import replay
from agent.session import Engines, Session
from agent.settings import Settings
from agent.thinking.brain_openai import APOLOGY as AWAY
from agent.thinking.brain_skills import SkillsBrain
from agent.thinking.chat_messages import INTERRUPTED, UNCLEAR
from agent.thinking.libraries import Libraries
from agent.thinking.port import Brain, Delta, ToolContext, ToolSpec
from agent.timeline.memory import MemoryStore
from tests.fixtures.chat_server import (
    DONE,
    DROP,
    ChatServer,
    Refusal,
    Script,
    answer,
    called,
    ended,
    said,
    settings,
    talking,
    usage,
)
from tests.fixtures.deaf import Deaf, NeverSpeech
from tests.unit.test_session import Beeper, play
from tests.unit.test_session import Script as FakeBrain

NO = [Refusal(503)]


class Weather:
    spec = ToolSpec("weather", "The weather somewhere.", {"type": "object", "properties": {}}, "read")

    def __init__(self) -> None:
        self.asked: list[Mapping[str, Json]] = []

    async def preflight(self) -> str:
        return ""

    async def run(self, arguments: Mapping[str, Json], context: ToolContext) -> Json:
        self.asked.append(arguments)
        await asyncio.sleep(0.5)
        return {"sky": "clear"}


class Talk:
    """A session whose brain talks to `server`."""

    def __init__(self, session: Session, server: ChatServer) -> None:
        self.session = session
        self.server = server
        self.weather = Weather()

    async def type(self, text: str, ms: int = 4_000) -> None:
        self.session.post(e.TextInput(text=text))
        await play(self.session, ms)

    def events(self, kind: type[Any]) -> list[Any]:
        return [entry.event for entry in self.session.timeline.window() if isinstance(entry.event, kind)]

    @property
    def heard(self) -> list[str]:
        return [stop.heard_text for stop in self.events(d.PlaybackStop)]


def talk(
    scene: Callable[[Talk], Awaitable[None]],
    *scripts: Script,
    fallback: Brain | None = None,
    table: Settings | None = None,
) -> None:
    async def main() -> None:
        server, weather = ChatServer(*scripts), Weather()
        async with talking(server, settings(retries=0)) as brain:
            engines = Engines(NeverSpeech, Deaf(), brain, [weather], Beeper(), lambda: 1.0, {}, fallback=fallback)
            session = Session("s", engines, MemoryStore(), Clock(), table or Settings())
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(session.run())
                await session.ready.wait()
                session.post(e.DeviceJoined(device_id="d", transport="test"))
                talked = Talk(session, server)
                talked.weather = weather
                await scene(talked)
                session.close("test over")
            assert not replay(session.timeline.window())

    run_virtual(main())


def roles(messages: list[dict[str, Any]]) -> list[str]:
    return [message["role"] for message in messages]


def test_a_question_is_answered_with_what_a_tool_found() -> None:
    async def scene(on: Talk) -> None:
        await on.type("how is the weather in paris")
        assert on.weather.asked == [{"where": "Paris"}]
        assert on.heard == ["Let me look. The sky is clear."]
        first, claim = on.events(d.TtsSay)
        [result] = on.events(e.ToolResult)
        assert (first.phase, first.rests_on) == ("preface", ())
        assert (claim.phase, claim.rests_on) == ("claim", (result.event_id,))
        asked, answered = on.server.prompts
        assert roles(asked) == ["system", "user"]
        assert roles(answered) == ["system", "user", "assistant", "tool"]
        assert answered[-1]["content"] == '{"sky": "clear"}'
        assert [done.usage for done in on.events(e.ModelDone)] == [Usage(50, 0, 9), Usage(50, 40, 5)]
        await on.type("thanks")
        third = on.server.prompts[2]
        assert third[: len(answered)] == answered, "prompts grow by their end"
        assert third[len(answered) :] == [
            {"role": "assistant", "content": "Let me look. The sky is clear."},
            {"role": "user", "content": "thanks"},
        ]

    ask = [said("Let me look"), said("."), called(0, "x", "weather", '{"where": "Paris"}'), ended("tool_calls")]
    talk(scene, [*ask, usage(50, 0, 9), DONE], answer("The sky ", "is clear."), answer("Welcome."))


def test_who_interrupts_closes_the_stream_and_the_next_prompt_holds_what_was_heard() -> None:
    async def scene(on: Talk) -> None:
        on.session.post(e.TextInput(text="tell me a story"))
        await play(on.session, 500)
        assert on.server.left == 0
        on.session.post(e.ControlStop())
        await play(on.session, 20)
        assert on.server.left == 1, "the model stops computing"
        [heard] = on.heard
        assert heard
        assert "Once upon a time there was a fox.".startswith(heard)
        targets = {ack.target for ack in on.events(e.CancelAck)}
        assert "model" in targets
        assert {freed.target for freed in on.events(e.CancelFreed)} == targets
        await on.type("and now")
        assert on.server.prompts[-1][1:] == [
            {"role": "user", "content": "tell me a story"},
            {"role": "assistant", "content": heard},
            {"role": "user", "content": f"[{INTERRUPTED}]\n\nand now"},
        ]

    talk(scene, [said("Once upon a time "), said("there was a fox. "), 60.0, said("It"), ended()], answer("Bye."))


def test_arguments_that_make_no_sense_are_told_to_the_model_which_does_better() -> None:
    async def scene(on: Talk) -> None:
        await on.type("how is the weather")
        assert on.weather.asked == [{}]
        assert on.heard == ["Clear."]
        assert "cannot be read" in on.server.prompts[1][-1]["content"]

    bad = [called(0, "x", "weather", '{"where": '), ended("tool_calls"), DONE]
    good = [called(0, "x", "weather", "{}"), ended("tool_calls"), DONE]
    talk(scene, bad, good, answer("Clear."))


def test_while_the_model_is_away_the_agent_says_so_and_what_else_there_is_answers_until_it_is_back() -> None:
    async def scene(on: Talk) -> None:
        for text in ("what can you do", "and now", "still there"):
            await on.type(text)
        assert on.heard == [f"{AWAY} A little.", "Less.", "I am back."]
        fault = on.events(e.Fault)[0]
        assert fault.code == "brain"
        assert "answered 503" in fault.message

    spare = FakeBrain([Delta("A little.")], [Delta("Less.")])
    talk(scene, NO, NO, answer("I am back."), fallback=spare)


def test_without_anything_else_it_says_that_it_cannot_and_the_conversation_goes_on() -> None:
    async def scene(on: Talk) -> None:
        for text in ("hello", "hello again", "and now"):
            await on.type(text)
        assert on.heard == [AWAY, "I am back.", f"It is. {APOLOGY}"]

    talk(scene, NO, answer("I am back."), [said("It is. "), said("Not "), DROP])


async def say(on: Talk, utterance: int, text: str, *, understood: bool = True) -> None:
    """An utterance as hearing tells of it, and the little silence that may end the turn or not."""
    now_us = on.session.timeline.window()[-1].now_us
    on.session.post(e.SpeechStarted(utterance=utterance, onset_us=now_us))
    await play(on.session, 800)
    end_us = on.session.timeline.window()[-1].now_us + 700_000
    on.session.post(e.SpeechStopped(utterance=utterance, end_us=end_us, voiced_ms=500))
    on.session.post(e.AsrFinal(utterance=utterance, text=text, understood=understood))
    await play(on.session, 60)


@pytest.mark.parametrize("speculate", [True, False])
def test_an_answer_that_was_begun_too_early_is_closed_and_leaves_no_trace(speculate: bool) -> None:
    """With a model that is paid for, one request for each turn is a setting."""

    async def scene(on: Talk) -> None:
        await say(on, 1, "what is the weather and")
        assert len(on.server.prompts) == int(speculate)
        await say(on, 2, "what is the weather and the time")
        assert on.server.left == int(speculate), "the server stops writing what nobody will hear"
        await play(on.session, 4_000)
        assert on.heard == ["Clear, and noon."]
        assert [done.outcome for done in on.events(d.ReplyDone)] == ["discarded", "completed"][not speculate :]
        assert on.server.prompts[-1][1:] == [{"role": "user", "content": "what is the weather and the time"}]

    early = [[said("Clear. "), 60.0, ended()]] if speculate else []
    table = Settings.model_validate({"replies": {"speculate": speculate}})
    talk(scene, *early, answer("Clear, and noon."), table=table)


def test_a_long_talk_reaches_the_model_whole_though_each_prompt_lists_little_of_it() -> None:
    async def scene(on: Talk) -> None:
        for n in range(12):
            await on.type(f"question {n}")
        assert [message["content"] for message in on.server.prompts[-1] if message["role"] == "user"] == [
            f"question {n}" for n in range(12)
        ]
        for before, after in itertools.pairwise(on.server.prompts):
            assert after[: len(before)] == before, "prompts grow by their end"
        assert max(len(start.context) for start in on.events(d.ModelStart)) <= 8

    table = Settings.model_validate({"replies": {"context_events": 8}})
    talk(scene, *(answer(f"Answer {n}.") for n in range(12)), table=table)


def test_what_was_heard_unclearly_is_told_to_the_model_as_such() -> None:
    """The embedded recogniser knows what the skills understand; a model may make sense of other words, too."""

    async def scene(on: Talk) -> None:
        await say(on, 1, "right me a poem about the see", understood=False)
        await play(on.session, 4_000)
        assert on.heard == ["The sea is wide."]
        assert on.server.prompts[-1][-1]["content"] == f"[{UNCLEAR}]\n\nright me a poem about the see"

    talk(scene, answer("The sea is wide."))


class NoLibraries(Libraries):
    """Units and dates are not asked for."""

    async def start(self) -> None: ...


def test_the_skills_say_what_a_model_that_went_away_had_asked_for() -> None:
    async def scene(on: Talk) -> None:
        await on.type("how is the weather")
        assert on.weather.asked == [{}]
        assert on.heard == [f"{AWAY} That's done."]

    skills = SkillsBrain(NoLibraries())
    asyncio.run(skills.start())
    talk(scene, [called(0, "x", "weather", "{}"), ended("tool_calls"), DONE], NO, fallback=skills)


def test_the_engine_is_chosen_by_its_name_with_what_answers_for_it() -> None:
    def engines(*overrides: str) -> Engines:
        async def main() -> Engines:
            own = ["brain.engine=openai", "timeline.store=memory", "brain.memory=:memory:", *overrides]
            return App(load(None, {}, own).settings).engines

        return run_virtual(main())

    chosen = engines()
    assert chosen.names["brain"] == "openai"
    assert isinstance(chosen.fallback, SkillsBrain)
    assert engines("brain.fallback=none").fallback is None
    for url in ("ftp://x", "localhost", "http://user:secret@localhost/v1"):
        with pytest.raises(SettingsError, match="base_url") as caught:
            engines(f"brain.base_url={url}")
        assert "chat API" in str(caught.value) or "api_key_env" in str(caught.value)
