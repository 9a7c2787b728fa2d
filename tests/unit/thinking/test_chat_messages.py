"""What a language model is sent: only what was heard, every call with its result, growing by its end."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import hypothesis
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.thinking.chat_messages import INTERRUPTED, STYLE, chat_messages, chat_tools, tokens
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


def test_notes_reach_the_model_with_the_users_next_words() -> None:
    messages = sent(user("a"), agent("b"), Message("note", "set timer was done"), user("c"))
    assert brief(messages)[-1] == ("user", "[set timer was done]\n\nc")


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
