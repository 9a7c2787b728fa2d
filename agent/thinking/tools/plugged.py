"""Tools of the user's own: named in `brain.tools` as `module:attribute`, or handed over by a program.

    brain.tools = ["dice:Dice"]

The attribute is a tool, several in a list or tuple, or something to be called without arguments
that gives either: a class, a function. A tool has the methods of `agent.thinking.port.Tool`, as what `@tool`
makes of a function has; any brain that calls tools can use it. The embedded brain needs to be told, too, which
words mean it, by one of

    examples    sentence templates, see `examples`
    intents     for full control: see `Intent`

and `phrases`, by tool name, says what is said of a result. A result that is a text or a number is said as it is.
"""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from agent.conversation.events import Json
from agent.errors import SettingsError
from agent.thinking.port import Tool, ToolSpec, UserContext
from agent.thinking.tools.examples import intents_of
from agent.thinking.tools.skill import Arguments, Intent, Skill


def plugged_tools(given: Sequence[object]) -> list[Tool]:
    """The tools of these names and objects. Raises `SettingsError` naming the one that cannot be used."""
    found: list[Tool] = []
    for at, one in enumerate(given):
        if isinstance(one, str):
            key = f"brain.tools[{at}] is {one!r}"
            made = _made(key, _attribute(key, one))
        else:
            key = f"tools[{at}] is {one!r:.80}"
            made = one if callable(one) and not isinstance(one, type) else _made(key, one)
        found.extend(_checked(key, tool) for tool in (made if isinstance(made, list | tuple) else [made]))
    return found


def without_duplicates(builtin: Sequence[Tool], own: Sequence[Tool]) -> list[Tool]:
    """All of them. Raises `SettingsError` when two have the same name."""
    names = {tool.spec.name for tool in builtin}
    for tool in own:
        if tool.spec.name in names:
            raise SettingsError(f"brain.tools: there is a tool {tool.spec.name!r} already; give yours another name")
        names.add(tool.spec.name)
    return [*builtin, *own]


def skills_of(tools: Sequence[Tool]) -> list[Skill]:
    """Of those tools that say which words mean them. Raises `SettingsError` for a malformed template."""
    return [skill for tool in tools if (skill := _skill(tool)) is not None]


def _attribute(key: str, name: str) -> Any:
    module, colon, attribute = name.partition(":")
    if not colon or not module or not attribute:
        raise SettingsError(f"{key}; it must be module:attribute")
    try:
        return getattr(importlib.import_module(module), attribute)
    except Exception as error:
        # The boundary to a plugged-in module, which may raise anything while it is loaded.
        raise SettingsError(f"{key}, which cannot be loaded: {error!r}") from error


def _made(key: str, found: Any) -> Any:
    if isinstance(found, list | tuple) or not callable(found) or (_is_tool(found) and not isinstance(found, type)):
        return found
    try:
        return found()
    except Exception as error:
        # The boundary to a plugged-in factory, which may raise anything.
        raise SettingsError(f"{key}, which cannot be made: {error!r}") from error


def _is_tool(found: Any) -> bool:
    return isinstance(getattr(found, "spec", None), ToolSpec) and all(
        callable(getattr(found, method, None)) for method in ("preflight", "run")
    )


def _checked(key: str, tool: Any) -> Tool:
    if not _is_tool(tool):
        mend = (
            "decorate it with @tool"
            if inspect.isfunction(tool)
            else "it needs a spec (a ToolSpec), preflight() and run()"
        )
        raise SettingsError(f"{key}, and {tool!r} is no tool: {mend}")
    checked: Tool = tool
    if not checked.spec.name or checked.spec.effect not in ("read", "write"):
        raise SettingsError(f"{key}: the spec of {tool!r} needs a name, and an effect that is read or write")
    return checked


def _skill(tool: Tool) -> Skill | None:
    """The words for a tool, if it has any."""
    name = tool.spec.name
    try:
        intents: list[Intent] = [*getattr(tool, "intents", ()), *intents_of(tool.spec, getattr(tool, "examples", ()))]
        for intent in intents:
            _ = intent.pattern
    except (ValueError, TypeError, AttributeError) as error:
        raise SettingsError(f"brain.tools: the words for {name} cannot be used: {error}") from error
    phrases: Mapping[str, Callable[[Arguments, Json, UserContext], str]] = getattr(tool, "phrases", {})
    if not intents and not phrases:
        return None
    described = tool.spec.description.rstrip(".")
    return Skill(name, described, intents, {name: _plain, **phrases}, getattr(tool, "follow_ups", ()))


def _plain(_: Arguments, content: Json, __: UserContext) -> str:
    if isinstance(content, str) and content.strip():
        return content
    return str(content) if isinstance(content, int | float) and not isinstance(content, bool) else "That's done."
