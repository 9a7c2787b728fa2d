"""Sentences by which the embedded brain knows a tool of the user's own.

    what is the weather [like] [in {place}]
    water the (garden|lawn) for {minutes} minutes

A value in braces is an argument: of the kind of its name where `slots` knows that, else of the kind of the
parameter (a number, one of the enumerated words, a list, any words). `{place:town}` says both. Any
brain that is a model does without them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence

from agent.conversation.events import Json
from agent.thinking.port import ToolSpec
from agent.thinking.tools.places import Place
from agent.thinking.tools.skill import Answer, Ask, Intent, Past, Slots
from agent.thinking.tools.slots import SLOTS

MAX_EXAMPLES = 60
"""Sentences of one template that are taught to the recogniser."""

_SLOT = re.compile(r"\{(\w+)\}")
_KINDS = {"integer": "number", "number": "number", "string": "topic", "array": "items"}


def intents_of(spec: ToolSpec, examples: Sequence[str]) -> list[Intent]:
    """What is understood as a wish to use this tool. Raises `ValueError` for a sentence that cannot be used."""
    found = []
    for example in examples:
        template = _SLOT.sub(lambda slot: _kinded(slot.group(1), spec), example)
        intent = Intent(template, _asks(spec), limit=MAX_EXAMPLES)
        unknown = sorted(intent.pattern.slots.keys() - _properties(spec).keys())
        if unknown:
            raise ValueError(f"{spec.name} has no parameter {unknown[0]}, which is in the example: {example}")
        found.append(intent)
    return found


def _properties(spec: ToolSpec) -> Mapping[str, Json]:
    properties = spec.parameters.get("properties")
    return properties if isinstance(properties, dict) else {}


def _kinded(name: str, spec: ToolSpec) -> str:
    """The slot of a parameter, with its kind."""
    if name in SLOTS or name not in _properties(spec):
        return f"{{{name}}}"
    if choices := _choices(spec, name):
        return f"{{{'|'.join(choices)}|:{name}}}"
    kind = _KINDS.get(str(_schema(spec, name).get("type")))
    if kind is None:
        raise ValueError(f"{name} is nothing that can be said in one go; leave it out of the examples")
    return f"{{{kind}:{name}}}"


def _schema(spec: ToolSpec, name: str) -> Mapping[str, Json]:
    """The schema of one parameter; of one that may also be null, what it is otherwise."""
    schema, defined = _properties(spec).get(name), spec.parameters.get("$defs")
    if isinstance(schema, dict) and isinstance(options := schema.get("anyOf"), list):
        schema = next((one for one in options if isinstance(one, dict) and one.get("type") != "null"), schema)
    if isinstance(schema, dict) and isinstance(defined, dict) and "$ref" in schema:
        schema = defined.get(str(schema["$ref"]).rpartition("/")[2])
    return schema if isinstance(schema, dict) else {}


def _choices(spec: ToolSpec, name: str) -> dict[str, str]:
    """The enumerated values of a parameter by how they are said."""
    schema = _schema(spec, name)
    values = schema.get("enum", [schema["const"]] if "const" in schema else [])
    texts = [value for value in values if isinstance(value, str)] if isinstance(values, list) else []
    return {" ".join(re.findall(r"[\w']+", value.lower().replace("_", " "))): value for value in texts}


def _asks(spec: ToolSpec) -> Callable[[Slots, Past], Answer]:
    spelt = {name: _choices(spec, name) for name in _properties(spec)}

    def build(slots: Slots, _: Past) -> Answer:
        arguments: dict[str, Json] = {}
        for name, value in slots.items():
            if isinstance(value, Place):
                arguments[name] = value.name
            elif isinstance(value, str):
                arguments[name] = spelt.get(name, {}).get(value, value)
            else:
                arguments[name] = [*value] if isinstance(value, list) else value
        return Ask(spec.name, arguments)

    return build
