"""Functions that are tools: what is made of their types and words, how they run, and what is refused at once."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from enum import Enum
from typing import Annotated, Any, Literal

import pytest
from pydantic import BaseModel, Field

from agent import ToolContext, ToolError, tool
from agent.clock import run_virtual
from agent.conversation.events import Json
from agent.conversation.reports import ToolProgress
from agent.errors import DeclarationError, SettingsError
from agent.thinking.brain_skills import SkillsBrain
from agent.thinking.libraries import Libraries
from agent.thinking.port import Proposing, UserContext
from agent.thinking.tools import threads
from agent.thinking.tools.catalogue import sentences
from agent.thinking.tools.function_tool import FunctionTool
from agent.thinking.tools.plugged import plugged_tools, skills_of
from tests.unit.thinking.talk import Talk

USER = UserContext(datetime(2026, 3, 4, tzinfo=UTC))


def run(used: FunctionTool[..., Any], key: str = "", **arguments: Json) -> Json:
    return asyncio.run(used.run(arguments, ToolContext(USER, key, "s1")))


class Size(Enum):
    SMALL = "small"
    LARGE = "large"


class Topping(BaseModel):
    name: str
    grams: int = 10


@tool(effect="write", reversible=True)
def order(
    what: str,
    count: Annotated[int, Field(ge=1, description="how many")] = 1,
    size: Size = Size.SMALL,
    toppings: list[Topping] | None = None,
) -> dict[str, object]:
    """Order something to eat.

    It comes within the hour.

    Args:
        what: The dish, as it
            stands on the card.
        count: not this
    Returns:
        what: not this either
    """
    return {"what": what, "count": count, "size": size, "toppings": [one.name for one in toppings or []]}


def test_types_and_docstring_become_the_schema() -> None:
    spec = order.spec
    assert (spec.name, spec.description) == ("order", "Order something to eat. It comes within the hour.")
    schema: dict[str, Any] = dict(spec.parameters)
    assert schema["type"] == "object"
    assert schema["required"] == ["what"]
    assert schema["additionalProperties"] is False
    assert schema["properties"]["what"] == {"type": "string", "description": "The dish, as it stands on the card."}
    assert schema["properties"]["count"] == {"type": "integer", "minimum": 1, "default": 1, "description": "how many"}
    assert schema["properties"]["size"]["default"] == "small"
    assert schema["$defs"]["Topping"]["required"] == ["name"]
    assert "title" not in str(schema["properties"])


def test_arguments_arrive_as_their_types_and_results_leave_as_json() -> None:
    found = run(order, what="soup", count="2", size="large", toppings=[{"name": "basil"}])
    assert found == {"what": "soup", "count": 2, "size": "large", "toppings": ["basil"]}
    assert order("tea")["size"] is Size.SMALL, "it still is the function that it was made of"


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({}, "The what is missing."),
        ({"what": "soup", "count": 0}, "The count is wrong: it should be greater than or equal to 1."),
        ({"what": "soup", "toppings": [{"grams": 1}]}, "The toppings.0.name is missing."),
        ({"what": "soup", "spoon": 1}, "The spoon is wrong"),
    ],
)
def test_arguments_that_do_not_fit_are_refused_before_it_runs_or_is_proposed(
    arguments: dict[str, Json], says: str
) -> None:
    for attempt in (order.run(arguments, ToolContext(USER)), order.propose(arguments, USER)):
        with pytest.raises(ToolError) as refused:
            asyncio.run(attempt)
        assert refused.value.error_class == "input"
        assert says in str(refused.value)


def test_names_that_pydantic_uses_itself_are_names_like_others() -> None:
    @tool(effect="read")
    def describe(schema: str, model_config: int, json: bool, p0: str) -> list[object]:
        """Say it again."""
        return [schema, model_config, json, p0]

    assert run(describe, schema="a", model_config=1, json=True, p0="b") == ["a", 1, True, "b"]


def test_effects_are_declared_and_the_rest_is_on_the_safe_side() -> None:
    def act() -> None:
        """Act."""

    read = tool(effect="read")(act).spec
    assert (read.effect, read.risk, read.confirm, read.idempotent) == ("read", "low", "policy", True)
    write = tool(effect="write", open_world=True)(act).spec
    assert (write.risk, write.confirm, write.idempotent, write.open_world) == ("high", "user", False, True)
    undone = tool(effect="write", reversible=True, idempotent=True)(act).spec
    assert (undone.risk, undone.confirm, undone.reversible, undone.idempotent) == ("low", "policy", True, True)
    asked = tool(effect="write", risk="low", confirm="user", name="act_now")(act).spec
    assert (asked.name, asked.risk, asked.confirm) == ("act_now", "low", "user")


def test_what_is_asked_names_every_argument() -> None:
    @tool(effect="write", proposal="Send {amount} euros to {whom}.")
    async def pay(whom: str, amount: int = 5) -> None:
        """Pay."""

    @tool(effect="write")
    async def give_away(whom: str, amounts: list[int], *, at_once: bool = False, why: str = "") -> None:
        """Give."""

    async def main() -> None:
        assert isinstance(pay, Proposing)
        proposal = await pay.propose({"whom": "Anna"}, USER)
        assert (proposal.text, proposal.arguments) == ("Send 5 euros to Anna.", {"whom": "Anna", "amount": 5})
        generated = await give_away.propose({"whom": "Bob", "amounts": [1, 2]}, USER)
        assert generated.text == "Give away, with whom Bob, amounts 1, 2 and at once no."

    asyncio.run(main())


def test_the_context_is_given_and_is_no_argument() -> None:
    @tool(effect="write", risk="low")
    async def book(seat: int, context: ToolContext) -> str:
        """Book a seat."""
        return f"{seat} {context.idempotency_key} {context.session_id}"

    assert list(book.parameters.schema["properties"]) == ["seat"]  # type: ignore[arg-type]
    assert run(book, "k1", seat=7) == "7 k1 s1"
    with pytest.raises(ToolError, match="context"):
        run(book, seat=7, context={})


def test_progress_from_a_thread_is_told_on_the_event_loop() -> None:
    told: list[tuple[ToolProgress, str]] = []

    @tool(effect="read")
    def fetch(context: ToolContext) -> str:
        """Fetch."""
        context.progress("half", 0.5)
        return "fetched"

    async def main() -> None:
        context = ToolContext(USER, report=lambda fact: told.append((fact, threading.current_thread().name)))
        assert await fetch.run({}, context) == "fetched"

    asyncio.run(main())
    assert [(fact.message, fact.share, thread) for fact, thread in told] == [("half", 0.5, "MainThread")]


def test_a_plain_function_runs_in_a_thread_and_what_it_raises_is_raised() -> None:
    where = []

    @tool(effect="read")
    def look(badly: bool = False) -> str:
        """Look."""
        where.append(threading.current_thread().name)
        if badly:
            raise ToolError("Too dark.", "unreachable")
        return "seen"

    assert run(look) == "seen"
    with pytest.raises(ToolError, match="Too dark"):
        run(look, badly=True)
    assert where == ["tool", "tool"]


def test_a_read_that_hangs_is_given_up_and_a_bounded_number_of_threads_is_left_behind(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(threads, "_room", threading.BoundedSemaphore(2))
    release = threading.Event()

    @tool(effect="read", timeout_s=0.01)
    def hang() -> None:
        """Hang."""
        release.wait(60)

    for _ in range(2):
        with pytest.raises(TimeoutError):
            run(hang)
    with pytest.raises(ToolError, match="hang already") as refused:
        run(hang)
    assert refused.value.error_class == "limit"
    left = [thread for thread in threading.enumerate() if thread.name == "tool"]
    release.set()
    for thread in left:
        thread.join(10)
    with pytest.raises(TimeoutError):  # there is room again
        release.clear()
        run(hang)
    release.set()


def test_a_write_is_waited_for_and_a_read_on_the_loop_is_not() -> None:
    @tool(effect="read", timeout_s=5)
    async def look() -> str:
        """Look."""
        await asyncio.sleep(60)
        return "seen"

    @tool(effect="write", timeout_s=5)
    async def act() -> str:
        """Act."""
        await asyncio.sleep(60)
        return "done"

    async def main() -> None:
        with pytest.raises(TimeoutError):
            await look.run({}, ToolContext(USER))
        assert await act.run({}, ToolContext(USER, "k")) == "done"

    run_virtual(main())


def test_a_result_that_is_no_json_is_an_error_of_the_tool() -> None:
    @tool(effect="read")
    def look() -> object:
        """Look."""
        return threading.Lock()

    @tool(effect="read")
    def measure() -> float:
        """Measure."""
        return float("nan")

    with pytest.raises(ToolError, match="no JSON"):
        run(look)
    assert run(measure) is None


def bare(number: int) -> None:
    """Described."""


def untyped(number) -> None:  # type: ignore[no-untyped-def]
    """Described."""


def unsaid(number: int) -> None: ...


def odd(number: threading.Lock) -> None:
    """Described."""


def several(*numbers: int) -> None:
    """Described."""


def unresolved(number: Nowhere) -> None:  # type: ignore[name-defined]  # noqa: F821
    """Described."""


def misdescribed(number: int) -> None:
    """Described.

    Args:
        nubmer: Which.
    """


def wrong_default(number: int = "none") -> None:  # type: ignore[assignment]
    """Described."""


@pytest.mark.parametrize(
    ("function", "declared", "says"),
    [
        (bare, {}, 'effect="read", or effect="write"'),
        (bare, {"reversible": True}, 'effect="read", or effect="write"'),
        (bare, {"effect": "read", "risk": "high"}, "declare it a write"),
        (bare, {"effect": "read", "timeout_s": 0}, "timeout_s is 0"),
        (bare, {"effect": "read", "name": "two words"}, "'two words' is no name"),
        (bare, {"effect": "write", "proposal": "Do {it}."}, "{it}, which is no parameter"),
        (bare, {"effect": "write", "proposal": "Do {."}, "cannot be filled in"),
        (bare, {"effect": "read", "examples": ["count to {limit}"]}, "no such slot {limit}"),
        (bare, {"effect": "read", "examples": ["count from {place}"]}, "no parameter place"),
        (bare, {"effect": "read", "examples": ["count (to {number}"]}, "missing"),
        (untyped, {"effect": "read"}, "untyped(number) needs a type, such as number: str"),
        (unsaid, {"effect": "read"}, "needs a docstring"),
        (odd, {"effect": "read"}, "odd(number)"),
        (several, {"effect": "read"}, "several(numbers)"),
        (unresolved, {"effect": "read"}, "Nowhere"),
        (misdescribed, {"effect": "read"}, "describes nubmer, which is no parameter"),
        (wrong_default, {"effect": "read"}, "wrong_default(number)"),
    ],
)  # fmt: skip
def test_what_cannot_be_a_tool_is_refused_where_it_is_declared(
    function: Callable[..., None], declared: dict[str, Any], says: str
) -> None:
    with pytest.raises(DeclarationError) as refused:
        tool(**declared)(function)
    assert says in str(refused.value)


def test_a_decorator_without_an_effect_and_a_function_without_a_decorator_are_told_what_is_missing() -> None:
    with pytest.raises(DeclarationError, match="write @tool"):
        tool(bare)
    with pytest.raises(SettingsError, match="decorate it with @tool"):
        plugged_tools([bare])


SENTENCES = ("how full is the {tank} tank", "how full are they", "fill {litres} into the {tank}", "a {size} bucket")


@tool(effect="read", examples=SENTENCES)
def level(
    tank: Literal["Rain_Water", "well"] = "well", litres: float | None = None, size: Size | None = Size.SMALL
) -> str:
    """How full a tank is."""
    return f"{tank} {litres} {size and size.value}"


def test_the_embedded_brain_knows_its_sentences_with_their_values() -> None:
    skills = skills_of(plugged_tools([[level]]))
    libraries = Libraries()
    brain = SkillsBrain(libraries, skills)
    lines = (
        "how full is the rain water tank",
        "how full are they",
        "Fill two and a half into the well, please.",
        "a large bucket",
    )

    async def main() -> list[str]:
        async with Talk(brain, libraries) as talk:
            talk.tools["level"] = level
            answers = [await talk.say(line) for line in lines]
        await brain.close()
        return answers

    assert run_virtual(main()) == ["Rain_Water None small", "well None small", "well 2.5 small", "well None large"]
    taught = set(sentences(own=skills)) - set(sentences())
    assert {"how full is the rain water tank", "how full is the well tank", "fill twenty into the well"} <= taught
