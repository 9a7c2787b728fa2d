"""The brain behind a chat API, against a real server that speaks it, in virtual time."""

from __future__ import annotations

import asyncio
import json
import random
import re
from contextlib import aclosing
from datetime import UTC, datetime
from typing import Any

import pytest

from agent.clock import Clock, run_virtual
from agent.errors import BrainError, SettingsError
from agent.settings import BrainSettings
from agent.thinking.brain_openai import APOLOGY, OpenAiBrain
from agent.thinking.port import Call, Delta, Message, Prompt, ToolSpec, Usage, UserContext
from tests.fixtures.chat_server import (
    DONE,
    DROP,
    STREAM,
    ChatServer,
    Refusal,
    SameLoop,
    Script,
    answer,
    called,
    chunk,
    ended,
    event,
    said,
    serving,
    settings,
    usage,
    virtually,
)

LOOK = ToolSpec("look", "Look.", {}, "read")
USER = UserContext(datetime(2026, 1, 1, 9, 30, tzinfo=UTC), "Europe/Berlin")


def prompt(*messages: Message, tools: tuple[ToolSpec, ...] = (LOOK,)) -> Prompt:
    return Prompt(messages or (Message("user", "hello"),), tools, USER)


LONG = prompt(
    *(Message(role, f"{'word ' * 40}{n}") for n in range(60) for role in ("user", "agent")),  # type: ignore[arg-type]
    Message("user", "and now?"),
)


async def parts_of(brain: OpenAiBrain, asked: Prompt | None = None) -> list[Delta | Call | Usage]:
    return [part async for part in brain.respond(asked or prompt())]


def text_of(parts: list[Any]) -> str:
    return "".join(part.text for part in parts if isinstance(part, Delta))


async def error_of(brain: OpenAiBrain, asked: Prompt | None = None) -> BrainError:
    with pytest.raises(BrainError) as caught:
        await parts_of(brain, asked)
    return caught.value


def once(*script: Any, table: BrainSettings | None = None) -> list[Any]:
    """The parts of the answer that one script gives."""
    return virtually(ChatServer(script), parts_of, table)


def failure(*scripts: Script, table: BrainSettings | None = None) -> tuple[BrainError, ChatServer]:
    server = ChatServer(*scripts)
    return virtually(server, error_of, table), server


def test_an_answer_comes_as_it_is_written_and_its_usage_behind_it() -> None:
    async def scene(brain: OpenAiBrain) -> list[tuple[float, str]]:
        start = asyncio.get_running_loop().time()
        now = asyncio.get_running_loop().time
        return [(round(now() - start, 3), getattr(part, "text", str(part))) async for part in brain.respond(prompt())]

    server = ChatServer([said("Hello "), 0.5, said("there. "), 0.5, said("Bye."), ended(), usage(50, 40, 5), DONE])
    timed = virtually(server, scene)
    assert timed == [(0.0, "Hello "), (0.5, "there. "), (1.0, "Bye."), (1.0, str(Usage(50, 40, 5)))]
    [request] = [request for request in server.requests if request.body]
    assert request.path == "/v1/chat/completions"
    assert request.body["model"] == "tiny"
    assert request.body["tools"][0]["function"]["name"] == "look"
    assert [message["role"] for message in server.prompts[0]] == ["system", "user"]
    assert server.left == 0


WHOLE = [
    chunk({"role": "assistant", "content": None}),
    said("Let me **see**, naïve 東京 🙂 "),
    said("[here](http://x.example/a)."),
    called(1, "b", "look", '{"at": "tré'),
    called(0, "a", "look", ""),
    b": keep-alive\n\n",
    called(0, arguments='{"at": '),
    called(1, arguments='s"}'),
    called(0, arguments='"\\u6771京"}'),
    ended("tool_calls"),
    usage(9, 0, 4),
    DONE,
]
EXPECTED = [Call("a", "look", {"at": "東京"}), Call("b", "look", {"at": "trés"}), Usage(9, 0, 4)]


def test_an_answer_is_the_same_wherever_its_bytes_are_cut() -> None:
    dice, whole = random.Random(7), b"".join(WHOLE)
    scripts: list[list[Any]] = [[byte for value in whole for byte in (bytes([value]), 0.001)]]
    for _ in range(25):
        cuts = sorted(dice.sample(range(1, len(whole)), dice.randint(1, 12)))
        pieces = [whole[start:end] for start, end in zip([0, *cuts], [*cuts, len(whole)], strict=True)]
        scripts.append([act for piece in pieces for act in (piece, 0.001)])

    async def scene(brain: OpenAiBrain) -> None:
        for _ in scripts:
            parts = await parts_of(brain)
            assert text_of(parts) == "Let me see, naïve 東京 here."
            assert [part for part in parts if not isinstance(part, Delta)] == EXPECTED

    virtually(ChatServer(*scripts), scene)


@pytest.mark.parametrize(
    "arguments", ["{", "[1]", '{"a": NaN}', '"text"', '{"a": "\\ud800"}', '{"a": 1e999}', "[" * 40_000, " " * 40_000]
)
def test_arguments_that_cannot_be_read_are_a_problem_and_no_error(arguments: str) -> None:
    first, second = once(called(0, "a", "look", arguments), called(1, "b", "look", ""), ended("tool_calls"), DONE)
    assert first.problem
    assert first.arguments == {}
    assert second == Call("b", "look", {})


def test_calls_with_one_index_are_told_apart_by_their_ids() -> None:
    parts = once(called(0, "a", "look", "{}"), called(0, "b", "look", '{"x":1}'), ended("tool_calls"), usage(1, 0, 1))
    assert parts[:2] == [Call("a", "look", {}), Call("b", "look", {"x": 1})]


def test_a_tool_with_a_name_that_the_api_does_not_take_is_called_by_its_own() -> None:
    asked = prompt(tools=(ToolSpec("files.read it", "", {}, "read"),))
    server = ChatServer([called(0, "a", "files_read_it", "{}"), ended("tool_calls"), usage(1, 0, 1), DONE])
    assert virtually(server, lambda brain: parts_of(brain, asked))[0].name == "files.read it"


def test_what_a_model_thinks_aloud_is_not_said_and_keeps_the_step_alive() -> None:
    thoughts = [act for _ in range(6) for act in (chunk({"reasoning_content": "hm"}), 4.0)]
    parts = once(*thoughts, said("<think>so"), 4.0, said("</think>Yes."), ended(), usage(1, 0, 1), DONE)
    assert text_of(parts) == "Yes."


def test_an_answer_without_its_end_mark_or_figures_is_complete_and_soon() -> None:
    async def scene(brain: OpenAiBrain) -> float:
        start = asyncio.get_running_loop().time()
        assert text_of(await parts_of(brain)) == "Yes."
        return asyncio.get_running_loop().time() - start

    assert virtually(ChatServer([said("Yes."), ended()]), scene) == 0
    assert virtually(ChatServer([said("Yes."), ended(), 3_600]), scene) < 0.5


@pytest.mark.parametrize(
    ("script", "says"),
    [
        ([said("It is "), DROP], "answer broke off"),
        ([said("It is ")], "broke off"),
        ([said("It is "), DONE], "broke off"),
        (
            [said("It is "), event({"error": {"message": "CUDA out of memory", "code": 500}}), DONE],
            "CUDA out of memory",
        ),
        ([said("It is "), b"data: {not json\n\n"], "no chat stream"),
        ([said("It is "), b"data: \xff\xfe\n\n"], "no chat stream"),
        ([said("It is "), b"data: [1, 2]\n\n"], "no chunk"),
        ([said("It is "), b"data: " + b"[" * 200_000 + b"\n\n"], "no chat stream"),
        ([said("It is "), 60.0, said("late"), ended()], "fell silent for 5 s"),
    ],
)
def test_an_answer_that_breaks_off_says_what_it_said_and_fails(script: Script, says: str) -> None:
    async def scene(brain: OpenAiBrain) -> tuple[list[str], BrainError]:
        heard: list[str] = []
        with pytest.raises(BrainError, match=says) as caught:
            async for part in brain.respond(prompt()):
                assert isinstance(part, Delta)
                heard.append(part.text)
        return heard, caught.value

    server = ChatServer(script)
    heard, error = virtually(server, scene)
    assert heard == ["It is "]
    assert error.apology == ""
    assert len(server.prompts) == 1, "what was said once is not said again by another attempt"


@pytest.mark.parametrize(
    "odd",
    [
        {},
        {"choices": None},
        {"choices": [None]},
        {"choices": [{"delta": None}]},
        {"choices": [{"delta": {"content": 5, "tool_calls": [None, "x"]}}]},
        {"choices": [], "usage": "none"},
        {"choices": [], "usage": {"prompt_tokens": None, "prompt_tokens_details": []}},
    ],
)
def test_chunks_that_say_nothing_are_passed_over(odd: dict[str, Any]) -> None:
    assert text_of(once(event(odd), said("Yes."), event(odd), ended(), usage(1, 0, 1), DONE)) == "Yes."


@pytest.mark.parametrize(
    ("refusal", "says"),
    [
        (Refusal(401, {"error": {"message": "bad key sk-secret"}}), "wants an API key.*brain.api_key_env"),
        (Refusal(404, {"error": {"message": "model 'tiny' not found"}}), "ollama pull tiny.*not found"),
        (Refusal(404, b"<html>nothing here</html>"), "brain.base_url"),
        (Refusal(429, {"error": {"message": "quota"}}), "no more requests.*quota"),
        (Refusal(400, {"error": {"message": "tiny does not support tools"}}), "brain.offer_tools"),
        (Refusal(400, {"error": {"message": "exceeds the context size"}}), "brain.context_tokens"),
        (Refusal(500, b"<html>oops</html>"), "answered 500"),
        (Refusal(200, {"error": "no stream for you"}), "no chat stream"),
        (Refusal(200, b"<html>welcome</html>"), "no chat stream"),
    ],
)
def test_a_refusal_says_what_to_do(refusal: Refusal, says: str) -> None:
    error, _ = failure(*[[refusal]] * 20)
    assert re.search(says, str(error)), str(error)
    assert "sk-secret" not in str(error)
    assert error.apology == ("" if refusal.status == 400 else APOLOGY)


def test_before_the_first_token_it_tries_again_with_growing_pauses() -> None:
    async def scene(brain: OpenAiBrain) -> tuple[str, float]:
        start = asyncio.get_running_loop().time()
        return text_of(await parts_of(brain)), asyncio.get_running_loop().time() - start

    server = ChatServer([Refusal(503)], [STREAM, chunk({"role": "assistant"}), DROP], answer("Yes."))
    assert virtually(server, scene) == ("Yes.", 0.75)
    assert len(server.prompts) == 3


@pytest.mark.parametrize("script", [[STREAM], [STREAM, DROP], [STREAM, chunk({"role": "assistant"}), DROP]])
def test_a_stream_that_ends_before_the_first_word_is_not_taken_for_a_missing_server(script: Script) -> None:
    """So llama-cpp-python answers a prompt that is too long: with the head of a stream, and its end."""
    error, server = failure(*[script] * 3)
    assert "its log says why" in str(error)
    assert "brain.context_tokens" in str(error)
    assert error.apology == APOLOGY
    assert len(server.prompts) == 3


def test_behind_an_empty_stream_it_asks_for_less_and_goes_on_so_if_that_is_answered() -> None:
    server = ChatServer([STREAM], [STREAM], [STREAM], [STREAM], answer("Yes."), answer("Yes."))

    async def scene(brain: OpenAiBrain) -> None:
        assert "its log says why" in str(await error_of(brain, LONG))
        await asyncio.sleep(1.1)
        for _ in range(2):
            assert text_of(await parts_of(brain, LONG)) == "Yes."

    virtually(server, scene, settings(context_tokens=8_192))
    sizes = [len(json.dumps(messages)) for messages in server.prompts]
    assert sizes[0] > sizes[1] > sizes[2]
    assert sizes[3:] == [sizes[0], sizes[1], sizes[1]], "where nothing helped, it begins anew"


def test_it_waits_as_long_as_it_is_asked_to_but_not_beyond_the_deadline() -> None:
    busy = Refusal(429, headers={"retry-after": "4"})
    server = ChatServer([busy], answer("Yes."))
    assert text_of(virtually(server, parts_of)) == "Yes."
    error, server = failure([Refusal(429, headers={"retry-after": "40"})], answer("Yes."))
    assert "no more requests" in str(error)
    assert len(server.prompts) == 1


def test_silence_before_the_first_token_ends_and_closes_the_connection() -> None:
    error, server = failure([STREAM, 3_600.0])
    assert "said nothing for 10 s" in str(error)
    assert "brain.first_token_timeout_s" in str(error)
    assert server.left == 1


def test_an_answer_has_to_be_done_in_its_time() -> None:
    endless = [act for _ in range(100) for act in (said("word "), 1.0)]
    error, server = failure(endless, table=settings(answer_timeout_s=20))
    assert "not done after 20 s" in str(error)
    assert server.left == 1


def test_a_model_that_used_its_room_up_for_thoughts_says_which_setting() -> None:
    error, _ = failure(*[[chunk({"reasoning": "hm"}), ended("length"), DONE]] * 3)
    assert "brain.max_tokens" in str(error)


def test_a_model_that_wants_the_limit_under_its_other_name_gets_it() -> None:
    no = Refusal(400, {"error": {"message": "use 'max_completion_tokens' instead"}})
    server = ChatServer([no], answer("Yes."), answer("Yes."))

    async def scene(brain: OpenAiBrain) -> None:
        for _ in range(2):
            assert text_of(await parts_of(brain)) == "Yes."

    virtually(server, scene)
    bodies = [request.body for request in server.requests if request.body]
    assert ["max_tokens" in body for body in bodies] == [True, False, False]


def test_a_window_that_is_smaller_than_was_set_is_found_and_kept_to(caplog: pytest.LogCaptureFixture) -> None:
    """The answer comes all the same, and later prompts are short enough at once."""
    no = Refusal(400, {"error": {"message": "the request exceeds the available context size", "n_ctx": 2048}})
    server = ChatServer([no], [no], answer("Yes."), answer("Yes."))

    async def scene(brain: OpenAiBrain) -> None:
        for _ in range(2):
            assert text_of(await parts_of(brain, LONG)) == "Yes."

    virtually(server, scene, settings(context_tokens=8_192))
    sizes = [len(json.dumps(messages)) for messages in server.prompts]
    assert sizes[0] > sizes[1] > sizes[2] == sizes[3]
    assert all(messages[-1]["content"].endswith("and now?") for messages in server.prompts)
    assert "set brain.context_tokens" in caplog.text
    assert "kept to 2048 tokens" in caplog.text


def test_a_prompt_that_can_be_made_no_shorter_is_given_up() -> None:
    no = Refusal(400, {"error": {"message": "exceeds the context size"}})
    error, server = failure(*[[no]] * 20)
    assert "brain.context_tokens" in str(error)
    assert len(server.prompts) < 15


def test_while_it_is_away_it_says_so_at_once_and_it_comes_back_by_itself() -> None:
    async def scene(brain: OpenAiBrain) -> None:
        first = await error_of(brain)
        asked = len(server.prompts)
        again = await error_of(brain)
        assert (str(again), again.apology) == (str(first), APOLOGY)
        assert len(server.prompts) == asked, "it is not asked while it is away"
        await asyncio.sleep(1.1)
        assert text_of(await parts_of(brain)) == "Back."

    server = ChatServer(*[[Refusal(503)]] * 3, answer("Back."))
    virtually(server, scene)


def test_closing_the_stream_closes_the_connection_and_the_next_answer_is_whole() -> None:
    async def scene(brain: OpenAiBrain) -> None:
        async with aclosing(brain.respond(prompt())) as stream:  # type: ignore[type-var]
            assert await anext(stream) == Delta("Once ")
        await asyncio.sleep(0.001)
        assert server.left == 1
        assert text_of(await parts_of(brain)) == "Yes."

    server = ChatServer([said("Once "), 3_600.0], answer("Yes."))
    virtually(server, scene)


@pytest.mark.parametrize("after_s", [0.0, 0.0005, 0.05, 0.15, 0.25])
def test_cancelling_closes_the_connection_at_any_moment(after_s: float) -> None:
    """While it connects, waits for the head, for the first token, for the next."""

    async def scene(brain: OpenAiBrain) -> None:
        task = asyncio.create_task(parts_of(brain))
        await asyncio.sleep(after_s)
        task.cancel()
        await asyncio.wait([task])
        assert task.cancelled()
        for _ in range(5):
            await asyncio.sleep(0.001)
        assert server.open <= 1, "the connection of the preflight may be kept"
        assert text_of(await parts_of(brain)) == "Yes."

    server = ChatServer([0.1, STREAM, 0.1, said("Once "), 3_600.0], answer("Yes."))
    server.scripts.append(answer("Yes."))
    if after_s == 0.0:
        server.scripts.pop(0)  # nothing was asked yet
    virtually(server, scene)


def test_the_key_is_sent_and_shown_nowhere(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    monkeypatch.setenv("MY_KEY", "sk-secret")
    table = settings(api_key_env="MY_KEY")
    echo = Refusal(400, {"error": {"message": "sk-secret is no good"}})
    with caplog.at_level("DEBUG"):
        error, server = failure([echo], table=table)
    assert server.requests[-1].headers["authorization"] == "Bearer sk-secret"
    assert "sk-secret" not in str(error) + caplog.text + repr(table)
    error, _ = failure([Refusal(401)], table=table)
    assert "MY_KEY" in str(error)


def test_a_key_that_is_not_there_is_an_error_that_names_the_variable() -> None:
    async def main() -> None:
        with pytest.raises(SettingsError, match="MISSING_KEY"):
            OpenAiBrain(settings(api_key_env="MISSING_KEY"), Clock())

    run_virtual(main())


@pytest.mark.parametrize(
    ("models", "says"),
    [
        (("tiny", "big"), ""),
        (("tiny:latest",), ""),
        (("big", "small"), "set brain.model to one of big, small"),
        ((), "has no model"),
        ([Refusal(404)], ""),
        ([Refusal(401)], "wants an API key"),
        ([Refusal(502, b"<html>")], "answered 502"),
        ([3_600.0], "does not list its models"),
    ],
)
def test_the_start_sees_whether_the_model_is_there(models: Any, says: str) -> None:
    async def main() -> str:
        async with serving(ChatServer(models=models)) as transport:
            brain = OpenAiBrain(settings(), SameLoop(), transport)
            start = asyncio.get_running_loop().time()
            await brain.start()
            assert asyncio.get_running_loop().time() - start <= 2
            await brain.close()
            return brain.problem

    problem = run_virtual(main())
    assert says in problem
    assert bool(problem) == bool(says)


def test_without_a_name_the_first_model_that_is_listed_answers() -> None:
    server = ChatServer(answer("Yes."), models=("big", "small"))
    table = BrainSettings(base_url="http://chat.test/v1")
    assert text_of(virtually(server, parts_of, table)) == "Yes."
    assert json.dumps([request.body["model"] for request in server.requests if request.body]) == '["big"]'


def test_a_server_that_is_not_there_is_named_with_what_to_do() -> None:
    """Over TCP, where nobody listens."""

    async def main() -> None:
        brain = OpenAiBrain(BrainSettings(base_url="http://127.0.0.1:9/v1", retries=0), Clock())
        await brain.start()
        assert "start it, or set brain.base_url" in brain.problem
        error = await error_of(brain)
        assert "http://127.0.0.1:9/v1" in str(error)
        await brain.close()

    asyncio.run(main())
