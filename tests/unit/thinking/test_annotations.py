"""Declarations of tools, from and to the annotations of the Model Context Protocol."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.conversation.events import Json
from agent.thinking.port import ToolSpec
from agent.thinking.tools.annotations import HINTS, from_spec, to_spec

SPECS = st.builds(
    ToolSpec, st.just("t"), st.just(""), st.just({}), st.sampled_from(["read", "write"]),
    st.sampled_from(["low", "high"]), idempotent=st.booleans(), reversible=st.booleans(),
    confirm=st.sampled_from(["policy", "user"]), open_world=st.booleans(),
)  # fmt: skip
VALUES = st.sampled_from([True, False, None, "true", 1, 0])
GIVEN = st.dictionaries(st.sampled_from([*HINTS, "title", "x"]), VALUES)


def spec_of(hints: dict[str, Json] | None, *, trusted: bool = True) -> ToolSpec:
    return to_spec("t", "", {}, hints, trusted=trusted)


@pytest.mark.parametrize("hints", [None, {}, {"readOnlyHint": "yes"}, {"title": "Harmless"}, {"readOnlyHint": 1}])
def test_an_unknown_tool_is_a_write_that_the_user_confirms(hints: dict[str, Json] | None) -> None:
    spec = spec_of(hints)
    assert (spec.effect, spec.risk, spec.confirm) == ("write", "high", "user")
    assert not spec.reversible
    assert not spec.idempotent
    assert spec.open_world


def test_hints_of_a_server_that_is_not_trusted_are_worth_nothing() -> None:
    lies: dict[str, Json] = {"readOnlyHint": True, "destructiveHint": False, "openWorldHint": False}
    assert spec_of(lies, trusted=False) == spec_of(None)


@pytest.mark.parametrize(
    ("hints", "effect", "risk", "reversible"),
    [
        ({"readOnlyHint": True}, "read", "low", False),
        ({"readOnlyHint": True, "destructiveHint": True}, "read", "low", False),
        ({"destructiveHint": False, "openWorldHint": False}, "write", "low", True),
        ({"destructiveHint": False}, "write", "high", True),
        ({"openWorldHint": False}, "write", "high", False),
    ],
)
def test_trusted_hints(hints: dict[str, Json], effect: str, risk: str, reversible: bool) -> None:
    spec = spec_of(hints)
    assert (spec.effect, spec.risk, spec.reversible) == (effect, risk, reversible)
    assert spec.confirm == ("user" if risk == "high" else "policy")


@given(SPECS)
def test_there_and_back_a_tool_keeps_what_it_declares_and_is_never_taken_for_safer(spec: ToolSpec) -> None:
    back = spec_of(from_spec(spec))
    assert back.effect == spec.effect
    assert back.open_world == spec.open_world
    if spec.effect == "write":
        assert (back.reversible, back.idempotent) == (spec.reversible, spec.idempotent)
        assert back.risk == "high" or (spec.reversible and not spec.open_world)


@given(GIVEN, st.booleans())
def test_there_and_back_hints_say_the_same(hints: dict[str, Json], trusted: bool) -> None:
    once = from_spec(spec_of(hints, trusted=trusted))
    assert set(once) == set(HINTS)
    assert from_spec(spec_of(once)) == once
