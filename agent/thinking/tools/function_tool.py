"""Tools made of functions: type hints become the JSON schema, the docstring what the model is told.

    @tool(effect="read", examples=["how full is the {tank} tank"])
    def level(tank: Literal["rain", "well"]) -> str:
        '''How full a tank is.

        Args:
            tank: Which one.
        '''
        return "Half full."

A coroutine function runs on the event loop, which it must not block; a plain one in a thread of its own.
"""

from __future__ import annotations

import asyncio
import inspect
import re
import string
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Generic, Literal, ParamSpec, TypeVar, cast

from pydantic_core import PydanticSerializationError, to_jsonable_python

from agent.conversation.events import Effect, Json
from agent.conversation.reports import ToolReport
from agent.errors import DeclarationError, ToolError
from agent.thinking.port import Proposal, ToolContext, ToolSpec, UserContext
from agent.thinking.tools.docstring import parsed
from agent.thinking.tools.examples import intents_of
from agent.thinking.tools.parameters import Parameters
from agent.thinking.tools.question import question
from agent.thinking.tools.threads import in_thread

P = ParamSpec("P")
R = TypeVar("R")

TIMEOUT_S = 10.0
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,63}")
"""What every language model takes as the name of a tool."""


@dataclass(frozen=True)
class FunctionTool(Generic[P, R]):
    """Implements the `Tool` port; called like the function that it is made of, it is that function."""

    spec: ToolSpec
    function: Callable[P, R]
    parameters: Parameters
    proposal: str
    examples: tuple[str, ...]
    timeout_s: float

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        return self.function(*args, **kwargs)

    async def preflight(self) -> str:
        return ""

    async def propose(self, arguments: Mapping[str, Json], user: UserContext) -> Proposal:
        """Raises `ToolError` (class input) for arguments that the function does not take."""
        completed = self.parameters.completed(arguments)
        if not self.proposal:
            return Proposal(completed, question(self.spec.name, completed))
        return Proposal(completed, self.proposal.format(**self.parameters.values(arguments)))

    async def run(self, arguments: Mapping[str, Json], context: ToolContext) -> Json:
        """Call the function. A read is given up after `timeout_s`; a write, which may have been done half way by then,
        never. Raises `ToolError`, `TimeoutError`, and what the function raises."""
        values = self.parameters.values(arguments)
        if self.parameters.context:
            values[self.parameters.context] = context if self._on_the_loop else _from_a_thread(context)
        async with asyncio.timeout(self.timeout_s if self.spec.effect == "read" else None):
            result = await self._called(values)
        try:
            return cast(Json, to_jsonable_python(result, inf_nan_mode="null"))
        except PydanticSerializationError as error:
            raise ToolError(f"{self.spec.name} gave something that is no JSON: {error}", "crash") from error

    @property
    def _on_the_loop(self) -> bool:
        return inspect.iscoroutinefunction(self.function)

    async def _called(self, values: Mapping[str, object]) -> object:
        function = cast(Callable[..., object], self.function)
        if self._on_the_loop:
            return await cast(Callable[..., Awaitable[object]], function)(**values)
        return await in_thread(lambda: function(**values))


def _from_a_thread(context: ToolContext) -> ToolContext:
    """The context for a function that does not run on the event loop."""
    loop = asyncio.get_running_loop()

    def report(fact: ToolReport) -> None:
        loop.call_soon_threadsafe(context.report, fact)

    return replace(context, report=report)


def tool(
    undecorated: object = None,
    /,
    *,
    effect: Effect | Literal[""] = "",
    name: str = "",
    reversible: bool = False,
    idempotent: bool = False,
    risk: Literal["low", "high", ""] = "",
    confirm: Literal["policy", "user", ""] = "",
    open_world: bool = False,
    proposal: str = "",
    examples: Sequence[str] = (),
    timeout_s: float = TIMEOUT_S,
) -> Callable[[Callable[P, R]], FunctionTool[P, R]]:
    """Make a tool of the function below.

    `effect`: `read`, which changes nothing and may run while the user still speaks, or `write`. A write runs once for a
    turn, under the key in `ToolContext.idempotency_key`; `idempotent`: with a key seen before it does nothing;
    `reversible`: what it does can be undone. The user confirms a write of high `risk`, which one that is not reversible
    has unless it says otherwise; `confirm="user"`: any. `proposal` is what is asked then, with parameters in
    braces. `examples`: sentences that mean it, for the embedded brain. `timeout_s` is for reads.

    Raises `DeclarationError`, then and there, saying what to write instead.
    """

    def decorate(function: Callable[P, R]) -> FunctionTool[P, R]:
        label = name or getattr(function, "__name__", "")
        where = f"@tool {label}"
        if not _NAME.fullmatch(label):
            raise DeclarationError(
                f"{where}: {label!r} is no name of a tool; give it one with name=, letters and digits"
            )
        declared = _declared(where, effect, asks=bool(reversible or risk or confirm or proposal))
        if not timeout_s > 0:
            raise DeclarationError(f"{where}: timeout_s is {timeout_s}; it must be above 0")
        description, described = parsed(inspect.getdoc(function) or "")
        if not description:
            raise DeclarationError(f"{where} needs a docstring: it tells the model what it is for")
        parameters = Parameters(function, described)
        actual_risk = risk or ("low" if effect == "read" or reversible else "high")
        spec = ToolSpec(
            label,
            description,
            parameters.schema,
            declared,
            actual_risk,
            idempotent=idempotent or declared == "read",
            reversible=reversible,
            confirm=confirm or ("user" if actual_risk == "high" else "policy"),
            open_world=open_world,
        )
        _check_proposal(where, proposal, parameters.schema)
        try:
            intents_of(spec, examples)
        except ValueError as error:
            raise DeclarationError(f"{where}: {error}") from error
        return FunctionTool(spec, function, parameters, proposal, tuple(examples), timeout_s)

    if undecorated is not None:
        raise DeclarationError(
            '@tool needs to know what the function does: write @tool(effect="read"), or effect="write"'
        )
    return decorate


def _declared(where: str, effect: Effect | Literal[""], *, asks: bool) -> Effect:
    """The effect that was given. `asks`: so was how it is confirmed or undone. Raises `DeclarationError`."""
    if effect not in ("read", "write"):
        raise DeclarationError(
            f'{where} must say what it does: effect="read", or effect="write" if it changes anything'
        )
    if effect == "read" and asks:
        raise DeclarationError(
            f"{where} is a read, which needs no confirmation: leave reversible, risk, confirm "
            "and proposal out, or declare it a write"
        )
    return effect


def _check_proposal(where: str, proposal: str, schema: Mapping[str, Json]) -> None:
    properties = schema["properties"]
    assert isinstance(properties, dict)  # noqa: S101 - the schema of an object
    try:
        names = [name for _, name, _, _ in string.Formatter().parse(proposal) if name is not None]
    except ValueError as error:
        raise DeclarationError(f"{where}: the proposal {proposal!r} cannot be filled in: {error}") from error
    for name in names:
        if name not in properties:
            raise DeclarationError(f"{where}: the proposal names {{{name}}}, which is no parameter")
