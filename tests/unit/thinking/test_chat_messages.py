"""What a language model is sent: only what was heard, every call with its result, growing by its end."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import hypothesis
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.thinking.chat_messages import INTERRUPTED, STYLE, UNCLEAR, chat_messages, chat_tools, tokens
from agent.thinking.port import Message, Prompt, ToolSpec, UserContext

NOW = datetime(2026, 11, 22, 16, 20, tzinfo=UTC)
ROOMY = 100_000


def user(text: str) -> Message:
    return Message("user", text)


def agent(text: str, cut: str = "") -> Message:
    return Message("agent", text, cut=cut)


def call(call_id: str = "c1", event_id: str = "e1") -> Message:
    return Message("call", event_id=event_id, call_id=call_id, name="look", arguments={"at": "it"})


def result(call_id: str = "c1", **values: Any) -> Message:
    return Message("result", call_id=call_id, name="look", **({"content": {"seen": 1}} | values))


def sent(*messages: Message, window: int = ROOMY, now: datetime = NOW) -> list[dict[str, Any]]:
    prompt = Prompt(messages, (), UserContext(now, "Europe/Berlin"), "Be kind.")
    return chat_messages(prompt, window)  # type: ignore[return-value]


def brief(messages: list[dict[str, Any]]) -> list[tuple[str, str]]:
    """Without the system message."""
    return [(one["role"], one["content"]) for one in messages[1:]]


def test_the_instructions_and_the_day_come_first_and_stay_the_same_all_day() -> None:
    [system, _] = sent(user("hello"))
    assert system["content"].startswith(f"{STYLE}\n\nBe kind.")
    assert "Sunday, 22 November 2026" in system["content"]
    assert "Europe/Berlin" in system["content"]
    assert sent(user("hello"), now=NOW + timedelta(hours=3)) == [system, {"role": "user", "content": "hello"}]


def test_the_model_is_shown_what_was_heard_and_that_it_was_cut_off() -> None:
    messages = sent(user("a story"), agent("Once upon", cut=" a time there was a fox"), user("stop"))
    assert brief(messages) == [("user", "a story"), ("assistant", "Once upon"), ("user", f"[{INTERRUPTED}]\n\nstop")]
    assert "fox" not in json.dumps(messages)
    nothing_heard = sent(user("a"), agent("", cut="b"), user("c"))
    assert brief(nothing_heard) == [("user", f"a\n\n[{INTERRUPTED}]\n\nc")]


def test_a_call_stands_in_front_of_its_result_and_both_have_an_id_of_their_own() -> None:
    messages = sent(user("look"), call("c1", "e1"), call("c2", "e2"), result("c2", content="two"), result("c1"))
    _, _, first, one, second, two = messages
    assert [first["tool_calls"][0]["function"]["arguments"], one["content"]] == ['{"at": "it"}', '{"seen": 1}']
    assert [two["role"], two["content"]] == ["tool", "two"]
    ids = [first["tool_calls"][0]["id"], second["tool_calls"][0]["id"]]
    assert [one["tool_call_id"], two["tool_call_id"]] == ids
    assert all(len(one) == 9 and one.isalnum() for one in ids)
    assert len(set(ids)) == 2


def test_a_failed_result_says_how() -> None:
    messages = sent(user("look"), call(), result(text="too dark", error_class="timeout", content=None))
    assert json.loads(messages[-1]["content"]) == {"error": "timeout", "message": "too dark"}


def test_a_long_result_is_cut_and_half_a_character_can_be_sent() -> None:
    messages = sent(user("\ud83d hi"), call(), result(content="x" * 20_000))
    assert len(messages[-1]["content"]) < 9_000
    json.dumps(messages, ensure_ascii=False).encode()


def test_a_small_window_is_shown_less_of_a_result() -> None:
    [*_, found] = sent(user("look"), call(), result(content={"text": "x" * 20_000}), window=2_000)
    assert 2_000 < len(found["content"]) < 2_100
    [*_, failed] = sent(
        user("look"), call(), result(text="y" * 20_000, content=None, error_class="crash"), window=2_000
    )
    assert json.loads(failed["content"])["error"] == "crash"
    assert len(failed["content"]) < 2_100


def test_notes_reach_the_model_with_the_users_next_words() -> None:
    messages = sent(user("a"), agent("b"), Message("note", "set timer was done"), user("c"))
    assert brief(messages)[-1] == ("user", "[set timer was done]\n\nc")


def test_words_that_the_recogniser_is_not_sure_of_reach_the_model_and_say_so() -> None:
    unsure = Message("user", "right a poem about the see", understood=False)
    messages = sent(user("hello"), agent("Hi", cut=" there."), unsure, agent("A poem?"), user("yes"))
    assert brief(messages)[2] == ("user", f"[{INTERRUPTED}]\n\n[{UNCLEAR}]\n\nright a poem about the see")
    assert brief(messages)[-1] == ("user", "yes"), "typed, or heard well"
    left_out = sent(unsure, agent("A poem?"), *conversation(9), user("next"), window=700)[1]["content"]
    assert "I said, perhaps: right a poem" in left_out


def test_roles_alternate_whoever_spoke_twice_or_first() -> None:
    messages = sent(agent("Your timer rings."), user("thanks"), user("really"), agent("Sure."), agent("It rings."))
    assert [role for role, _ in brief(messages)] == ["user", "assistant", "user", "assistant"]


MESSAGES = st.one_of(
    st.builds(user, st.text(min_size=1, max_size=30)),
    st.builds(agent, st.text(max_size=30), st.sampled_from(["", "cut off"])),
    st.builds(call, st.sampled_from(["c1", "c2"]), st.sampled_from(["e1", "e2", "e3"])),
    st.builds(result, st.sampled_from(["c1", "c2"])),
    st.builds(lambda text: Message("note", text), st.text(min_size=1, max_size=9)),
)


@hypothesis.settings(max_examples=60)
@given(st.lists(MESSAGES, max_size=25), st.sampled_from([60, 120, 400, ROOMY]))
def test_no_call_is_ever_without_its_result_nor_a_result_without_its_call(messages: list[Message], window: int) -> None:
    chat = sent(*messages, user("and now?"), window=window)
    for before, after in zip(chat, [*chat[1:], {"role": "end"}], strict=True):
        assert ("tool_calls" in before) == (after["role"] == "tool")
        if "tool_calls" in before:
            assert [before["tool_calls"][0]["id"]] == [after["tool_call_id"]]
    assert chat[0]["role"] == "system"
    assert chat[-1]["content"].endswith("and now?")
    json.dumps(chat, ensure_ascii=False).encode()


def conversation(turns: int) -> list[Message]:
    return [one for n in range(turns) for one in (user(f"question {n} " + "x" * 60), agent(f"answer {n} " + "y" * 60))]


def test_prompts_grow_by_their_end_until_the_window_is_full_and_seldom_begin_anew() -> None:
    window, before, anew = 600, list[dict[str, Any]](), 0
    for turns in range(60):
        now = sent(*conversation(turns), user("next"), window=window)
        assert sum(8 + tokens(one["content"]) for one in now) < window
        if before and now[: len(before) - 1] != before[:-1]:
            anew += 1
            assert now[1]["content"].startswith("[What was said before, in short:")
            assert now[0] == before[0]
        before = now
    assert 5 < anew < 25, "each time half of the window is given free"


def test_the_digest_holds_the_latest_of_what_is_left_out_a_line_each() -> None:
    talk = [
        user("my name is Ada"),
        call(),
        result(text="no", error_class="timeout"),
        agent("Hello Ada"),
        *conversation(30),
    ]
    content = sent(*talk, user("next"), window=2_200)[1]["content"]
    assert "in short:\nI said: my name is Ada\nlook failed:" in content
    assert "You said: Hello Ada" in content
    assert "yyyy…" in sent(user("a"), agent("y" * 900), *conversation(9), user("next"), window=900)[1]["content"]
    crowded = sent(*conversation(100), user("next"), window=700)[1]["content"]
    assert "in short:\n…\n" in crowded
    assert "question 0 " not in crowded
    assert "You said" not in crowded, "the user's own words last longer"


def test_two_hours_of_talk_fit_into_a_small_window_and_seldom_begin_anew() -> None:
    """300 turns with a tool now and then, for a model of 8,000 tokens of which tools and answer take half."""
    talk, before, anew, room = list[Message](), list[dict[str, Any]](), 0, 4_000
    for n in range(300):
        talk += [user(f"question {n} " + "about this and that and what we said before " * (n % 4))]
        talk += [call(f"c{n}", f"e{n}"), result(f"c{n}", content={"found": "z" * 10 * (n % 50)})] if n % 5 == 0 else []
        now = sent(*talk, window=room)
        assert sum(8 + tokens(one["content"]) for one in now) < room
        anew += now[: len(before) - 1] != before[:-1]
        before = now
        cut = " and that was not heard" if n % 7 == 0 else ""
        talk += [agent(f"answer {n} " + "which takes a sentence or two to say " * (n % 3), cut)]
    assert 5 < anew < 25
    assert "not heard" not in json.dumps(before)
    digest = before[1]["content"]
    assert len(digest) < 4_000
    assert digest.count("I said: question") > 40
    assert digest.count("look gave") > 5


@pytest.mark.parametrize("text", ["", "hello there, how are you?", "東京の天気はどうですか", '{"a": [1, 2, 3]}'])
def test_tokens_are_estimated_rather_too_high(text: str) -> None:
    assert len(text) // 4 <= tokens(text) <= len(text) + 1


def test_tools_are_offered_under_names_that_the_api_takes() -> None:
    schema: dict[str, Any] = {"type": "object", "properties": {"x": {"type": "number"}}}
    specs = [
        ToolSpec("look", "Look.", {}, "read"),
        ToolSpec("a.b c", "", schema, "write"),
        ToolSpec("a_b_c", "", {}, "read"),
    ]
    tools, names = chat_tools(specs)
    assert [tool["function"]["name"] for tool in tools] == ["look", "a_b_c"]  # type: ignore[index, call-overload]
    assert tools[0]["function"]["parameters"] == {"type": "object", "properties": {}}  # type: ignore[index, call-overload]
    assert names == {"look": "look", "a_b_c": "a.b c"}
