"""A language model: whether it answers, and how fast."""

from __future__ import annotations

from collections.abc import Sequence

from agent.clock import Clock
from agent.doctor.check import Check
from agent.errors import BrainError
from agent.thinking.port import Brain, Delta, Message, Prompt, ToolSpec, Usage, UserContext

QUESTION = "Say the numbers from one to ten in words, without a tool."
INSTEAD = "the built-in skills answer meanwhile"


async def language_model(brain: Brain, tools: Sequence[ToolSpec], clock: Clock, *, fallback: bool) -> Check:
    """Ask it something twice: the second time it may know the beginning of the prompt already."""
    prompt = Prompt([Message("user", QUESTION)], tools, UserContext(clock.wall()))
    try:
        (first_ms, _), (again_ms, rate) = [await _asked(brain, prompt, clock) for _ in range(2)]
    except BrainError as error:
        return Check("language model", None if fallback else False, str(error), INSTEAD if fallback else "")
    speed = f", {rate:.0f} tokens a second" if rate else ""
    return Check("language model", True, f"first words after {first_ms:.0f} ms, then {again_ms:.0f} ms{speed}")


async def _asked(brain: Brain, prompt: Prompt, clock: Clock) -> tuple[float, float]:
    """Milliseconds to the first words, and tokens a second behind them, 0 if that is not known. Raises `BrainError`."""
    began_us, first_us, usage = clock.now_us(), 0, None
    async for part in brain.respond(prompt):
        if isinstance(part, Usage):
            usage = part
        elif isinstance(part, Delta) and not first_us:
            first_us = clock.now_us()
    ended_us = clock.now_us()
    rate = usage.completion_tokens * 1e6 / (ended_us - first_us) if usage and ended_us > first_us else 0.0
    return ((first_us or ended_us) - began_us) / 1_000, rate
