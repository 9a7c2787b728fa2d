"""What the user is asked before a tool of somebody's own changes something."""

from __future__ import annotations

from collections.abc import Mapping

from agent.conversation.events import Json

MAX_VALUE_CHARS = 200
"""Of one argument that is read out; what is longer is cut, and says so."""


def question(name: str, arguments: Mapping[str, Json]) -> str:
    """A sentence with everything that the user has to know: "Pay bill, with amount 5 and to Anna." """
    told = [f"{_words(key)} {_value(value)}" for key, value in arguments.items() if value not in (None, "", [], {})]
    said = _words(name).capitalize()
    if not told:
        return f"{said}."
    listed = " and ".join([", ".join(told[:-1]), told[-1]] if len(told) > 1 else told)
    return f"{said}, with {listed}."


def _words(name: str) -> str:
    return " ".join(name.replace("_", " ").replace("-", " ").split())


def _value(value: Json) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, dict):
        text = ", ".join(f"{_words(key)} {_value(one)}" for key, one in value.items())
    elif isinstance(value, list):
        text = ", ".join(_value(one) for one in value)
    else:
        text = str(value)
    text = " ".join(text.split())
    return text if len(text) <= MAX_VALUE_CHARS else f"{text[:MAX_VALUE_CHARS]} and so on"
