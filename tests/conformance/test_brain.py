"""What every brain has to do, run on the skills, on a language model behind a real server, and on a fake."""

from __future__ import annotations

import asyncio
import gc
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, aclosing, asynccontextmanager
from datetime import UTC, datetime
from typing import Any

import pytest

from agent.clock import Clock, run_virtual
from agent.conversation import decisions as d
from agent.conversation import events as e
from agent.errors import BrainError
from agent.thinking.brain_skills import SkillsBrain
from agent.thinking.libraries import Libraries
from agent.thinking.loop import ThinkingLoop
from agent.thinking.port import Brain, Call, Delta, Message, Prompt, Usage, UserContext
from tests.conformance.holdings import Holdings, cycles, holdings
from tests.fixtures.chat_server import ChatServer, Refusal, answer, said, talking

ASKED = "tell me a story"
USER = UserContext(datetime(2026, 1, 1, tzinfo=UTC))
STORY = [said(f"Sentence number {number}. ") for number in range(6)]
CYCLES = {"skills": cycles(), "openai": cycles(200), "teller": cycles()}
"""A request takes a language model's server and the SDK ten milliseconds, more than the rest of the suite together."""
ACK_BUDGET_S = 0.05


class Teller:
    """The least that a brain can be."""

    name = "teller"

    async def start(self) -> None: ...

    async def close(self) -> None: ...

    async def respond(self, prompt: Prompt) -> AsyncIterator[Delta | Call | Usage]:
        if not prompt.messages:
            raise BrainError("nothing was asked")
        for number in range(6):
            yield Delta(f"Sentence number {number}. ")
            await asyncio.sleep(0.01)


class Endless(list[Any]):
    """Scripts for ever, for a server that forgets what it was asked."""

    def __init__(self, server: ChatServer) -> None:
        super().__init__()
        self.server = server

    def pop(self, *_: Any) -> Any:
        self.server.requests.clear()
        return [act for piece in STORY for act in (piece, 0.01)] + [*answer("The end.")[1:]]

    def __bool__(self) -> bool:
        return True


class NoLibraries(Libraries):
    """Units and dates are not asked for."""

    async def start(self) -> None: ...


SKILLS = SkillsBrain(NoLibraries())


@asynccontextmanager
async def skills() -> AsyncIterator[Brain]:
    await SKILLS.start()
    yield SKILLS


@asynccontextmanager
async def openai() -> AsyncIterator[Brain]:
    server = ChatServer()
    server.scripts = Endless(server)
    async with talking(server) as brain:
        yield brain
        await asyncio.sleep(0.01)
        assert server.open <= 5, "connections are closed or used again"


@asynccontextmanager
async def fake() -> AsyncIterator[Brain]:
    yield Teller()


@asynccontextmanager
async def skills_broken() -> AsyncIterator[Brain]:
    yield SkillsBrain(Libraries())


@asynccontextmanager
async def openai_broken() -> AsyncIterator[Brain]:
    server = ChatServer(*[[Refusal(500)]] * 3)
    async with talking(server) as brain:
        yield brain


Make = Callable[[], AbstractAsyncContextManager[Brain]]
BRAINS: list[Make] = [skills, openai, fake]
each_brain = pytest.mark.parametrize("make", BRAINS, ids=["skills", "openai", "fake"])


def prompt() -> Prompt:
    """Something long is to be said: a tool has found it."""
    told = Message("result", call_id="c1", name="tell", content={"text": "There was a lighthouse by the sea. " * 12})
    call = Message("call", event_id="e1", call_id="c1", name="tell", arguments={"topic": "story"})
    return Prompt([Message("user", ASKED), call, told], (), USER)


def with_brain(make: Make, scene: Callable[[Brain], Awaitable[Any]]) -> None:
    async def main() -> None:
        async with make() as brain:
            await scene(brain)

    run_virtual(main())


async def text_of(brain: Brain, asked: Prompt) -> str:
    return "".join([part.text async for part in brain.respond(asked) if isinstance(part, Delta)])


@each_brain
def test_a_long_answer_comes_in_pieces(make: Make) -> None:
    async def scene(brain: Brain) -> None:
        pieces = [part async for part in brain.respond(prompt()) if isinstance(part, Delta)]
        assert len(pieces) > 2
        assert all(piece.text for piece in pieces)

    with_brain(make, scene)


@each_brain
def test_answers_at_once_are_each_whole(make: Make) -> None:
    async def scene(brain: Brain) -> None:
        alone = await text_of(brain, prompt())
        together = await asyncio.gather(*[text_of(brain, prompt()) for _ in range(4)])
        assert set(together) == {alone}
        assert alone.strip()

    with_brain(make, scene)


@each_brain
@pytest.mark.parametrize("steps", [0, 1, 2, 3, 5, 8, 13, 40])
def test_a_cancel_is_acked_within_its_budget_at_any_moment_and_nothing_follows(make: Make, steps: int) -> None:
    async def scene(brain: Brain) -> None:
        clock, facts = Clock(), list[tuple[int, e.Event]]()
        loop = ThinkingLoop(brain, (), lambda fact: facts.append((clock.now_us(), fact)), lambda _: [], lambda: USER)
        async with asyncio.TaskGroup() as tasks:
            running = tasks.create_task(loop.run())
            await asyncio.sleep(0)
            loop.apply(
                d.ModelStart(
                    reply_id="r1", step=1, text=ASKED, understood=True, context=(), results=(), speculative=False
                )
            )
            for _ in range(steps):
                await asyncio.sleep(0)
            asked_us, before = clock.now_us(), len(facts)
            loop.apply(d.CancelRequested(reply_id="r1", target="model"))
            await asyncio.sleep(5)
            [acked_us] = [at_us for at_us, fact in facts if isinstance(fact, e.CancelAck)]
            assert acked_us - asked_us <= ACK_BUDGET_S * 1e6
            assert [type(fact) for _, fact in facts[before:]] == [e.CancelAck, e.CancelFreed]
            running.cancel()

    with_brain(make, scene)


@each_brain
def test_many_answers_that_nobody_hears_to_the_end_leave_nothing_behind(make: Make) -> None:
    def held() -> tuple[int, int, Holdings]:
        gc.collect()
        return len(asyncio.all_tasks()), sys.getallocatedblocks(), holdings()

    async def scene(brain: Brain) -> None:
        after = []
        many = CYCLES[brain.name]
        for number in range(many + 1):
            async with aclosing(brain.respond(prompt())) as stream:  # type: ignore[type-var]
                await anext(stream)
            if number in (many // 4, many):
                await asyncio.sleep(0.01)
                after.append(held())
        (tasks, blocks, before), (tasks_after, blocks_after, now) = after
        assert tasks_after <= tasks
        assert (now.threads, now.files) <= (before.threads, before.files)
        assert blocks_after - blocks < many, "less than an object or two for each"
        assert now.kib < before.kib + 4_096

    with_brain(make, scene)


@pytest.mark.parametrize("make", [skills_broken, openai_broken], ids=["skills", "openai"])
def test_a_brain_that_cannot_answer_says_so_by_its_own_error(make: Make) -> None:
    async def scene(brain: Brain) -> None:
        with pytest.raises(BrainError, match=r"\w"):
            await text_of(brain, prompt())

    with_brain(make, scene)
