"""A cancel before its target started, twice, after it ended, during another one: acked exactly once each."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from agent.clock import Clock, run_virtual
from agent.conversation import decisions as d
from agent.conversation import events as e
from agent.settings import PlayoutSettings
from agent.speaking.loop import SpeakingLoop
from agent.thinking.loop import ThinkingLoop
from agent.thinking.port import Call, Delta, UserContext
from tests.unit.test_session import Beeper, Script
from tests.unit.test_session_traps import SlowTool

Scenario = Callable[[Callable[[e.Event], None], list[e.Event]], Coroutine[Any, Any, None]]


def acks(scenario: Scenario) -> dict[str, tuple[int, int]]:
    """How often each target was acked and freed, where the thinking and the speaking loop carry a scenario out."""
    facts: list[e.Event] = []

    async def main() -> None:
        brain = Script([Delta("One two three. "), Call("c1", "look", {})], [Delta("More.")])
        user = UserContext(now=Clock().wall())
        thinking = ThinkingLoop(brain, [SlowTool(seconds=5)], facts.append, resolve=lambda ids: [], user=lambda: user)
        speaking = SpeakingLoop(Beeper(), Clock(), facts.append, PlayoutSettings(), lambda: 1.0)

        def apply(decision: e.Event) -> None:
            speaking.apply(decision)
            thinking.apply(decision)

        lives = [asyncio.create_task(thinking.run()), asyncio.create_task(speaking.run())]
        await asyncio.sleep(0)
        await scenario(apply, facts)
        await asyncio.sleep(20)
        for life in lives:
            life.cancel()
        await asyncio.wait(lives)

    run_virtual(main())
    counted: dict[str, tuple[int, int]] = {}
    for fact in facts:
        if isinstance(fact, e.CancelAck | e.CancelFreed):
            acked, freed = counted.get(fact.target, (0, 0))
            is_ack = isinstance(fact, e.CancelAck)
            counted[fact.target] = (acked + is_ack, freed + (not is_ack))
    return counted


ALL = ("playback", "tts", "model", "tool:c1")


def begin(apply: Callable[[e.Event], None]) -> None:
    ids = {"turn_id": "t1", "reply_id": "r1"}
    apply(d.PlaybackRelease(**ids))
    apply(d.ModelStart(step=1, text="x", understood=True, context=(), results=(), speculative=False, **ids))
    apply(d.TtsSay(chunk=0, text="One two three.", phase="claim", rests_on=(), **ids))
    apply(d.ToolStart(call_id="c1", name="look", arguments={}, **ids))


def cancel(apply: Callable[[e.Event], None]) -> None:
    for target in ALL:
        apply(d.CancelRequested(reply_id="r1", target=target))


@pytest.mark.parametrize("when", ["before it started", "while it runs", "after it ended"])
def test_a_cancel_is_acked_and_freed_once_whenever_it_comes(when: str) -> None:
    async def scenario(apply: Callable[[e.Event], None], facts: list[e.Event]) -> None:
        if when != "before it started":
            begin(apply)
            await asyncio.sleep(10 if when == "after it ended" else 0.01)
        cancel(apply)

    assert acks(scenario) == dict.fromkeys(ALL, (1, 1))


@pytest.mark.parametrize("pause_s", [0, 0.01, 10])
def test_each_of_two_cancels_is_acked_once(pause_s: float) -> None:
    """During the first, or when it is long over."""

    async def scenario(apply: Callable[[e.Event], None], facts: list[e.Event]) -> None:
        begin(apply)
        await asyncio.sleep(0.01)
        cancel(apply)
        await asyncio.sleep(pause_s)
        cancel(apply)

    counted = acks(scenario)
    assert {target: acked for target, (acked, _) in counted.items()} == dict.fromkeys(ALL, 2)
    assert all(freed >= 1 for _, freed in counted.values())


def test_nothing_of_a_cancelled_target_follows_its_ack() -> None:
    async def scenario(apply: Callable[[e.Event], None], facts: list[e.Event]) -> None:
        begin(apply)
        await asyncio.sleep(0)
        cancel(apply)
        so_far = len(facts)
        await asyncio.sleep(20)
        assert all(isinstance(fact, e.CancelFreed) for fact in facts[so_far:])

    acks(scenario)
