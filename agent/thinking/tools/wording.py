"""Results in words: whole, in short, or what is left of them."""

from __future__ import annotations

import re
from collections.abc import Sequence

from agent.conversation.events import Json
from agent.conversation.message import Message
from agent.errors import BrainError
from agent.thinking.port import UserContext
from agent.thinking.tools.lists import said_list
from agent.thinking.tools.numerals import spoken
from agent.thinking.tools.skill import Arguments, Skill

MOST_ITEMS = 5
"""A short enumeration counts the others."""

_APOLOGIES = {
    "permission": "Sorry, I'm not allowed to do that.",
    "unreachable": "Sorry, I can't do that right now.",
    "timeout": "Sorry, that took too long, so I gave up.",
    "crash": "Sorry, something went wrong and I couldn't do that.",
}


class Wording:
    """The phrases and briefs of skills."""

    def __init__(self, skills: Sequence[Skill]) -> None:
        self._phrases = {tool: phrase for skill in skills for tool, phrase in skill.phrases.items()}
        self._briefs = {tool: brief for skill in skills for tool, brief in skill.briefs.items()}

    def knows(self, tool: str) -> bool:
        return tool in self._phrases

    def phrase(self, tool: str, arguments: Arguments, content: Json, user: UserContext) -> str:
        """A result as a sentence or two. Raises `BrainError` when it is not in the shape that its skill knows."""
        if tool not in self._phrases:
            return "That's done."
        try:
            return self._phrases[tool](arguments, content, user)
        except (KeyError, ValueError, TypeError) as error:
            raise BrainError(f"The result of {tool} is not in a shape that I know.") from error

    def brief(self, tool: str, arguments: Arguments, content: Json, user: UserContext) -> str | list[str] | None:
        """Its bare value, the items of an enumeration, or None where there is no shorter form."""
        try:
            return self._briefs[tool](arguments, content, user) if tool in self._briefs else None
        except (KeyError, ValueError, TypeError) as error:
            raise BrainError(f"The result of {tool} is not in a shape that I know.") from error

    def told(self, call: Message, result: Message | None, user: UserContext, *, in_short: bool = False) -> str:
        """What came of a call, failures included. Raises `BrainError`."""
        if result is None:
            return "I didn't do that."
        if result.error_class:
            return apology(result)
        found = self.brief(call.name, call.arguments, result.content, user) if in_short else None
        if found is None or found == []:
            return self.phrase(call.name, call.arguments, result.content, user)
        return value(found) if isinstance(found, str) else counted(found)


def value(text: str) -> str:
    """A bare value as a sentence."""
    return text[:1].upper() + text[1:] + ("" if text[-1:] in ".!?" else ".")


def counted(items: Sequence[str]) -> str:
    """`Three things: milk, bread and eggs.`"""
    if len(items) == 1:
        return value(items[0])
    return f"{spoken(len(items)).capitalize()} things: {said_list(list(items), MOST_ITEMS)}."


def more(items: Sequence[str]) -> str:
    """What is left of an enumeration of which some was heard."""
    return f"And {said_list(list(items))}."


def end_of(part: str, text: str) -> int:
    """Where `part` stands last in `text`, as whole words: the index behind it, -1 if it does not."""
    found = list(re.finditer(rf"(?<!\w){re.escape(part)}(?!\w)", text))
    return found[-1].end() if found else -1


def unrepeated(text: str, heard: str) -> str:
    """`text` without the words at its start with which `heard` ends the same sentence, where something is left."""
    said, last = text.split(), re.split(r"(?<=[.!?])\s+", heard)[-1].split()
    same = next((i for i, pair in enumerate(zip(said, last, strict=False)) if pair[0] != pair[1]), len(last))
    left = " ".join(said[same:])
    return left[:1].upper() + left[1:] if left and same else text


def apology(result: Message) -> str:
    """What went wrong, in the tool's own words where those are for the user."""
    if result.error_class == "unknown" and result.text:
        return result.text
    if result.error_class in ("input", "not_found") and result.text:
        return result.text if result.text.startswith("There") else f"Sorry, {lower_first(result.text)}"
    general = _APOLOGIES.get(result.error_class, _APOLOGIES["crash"])
    return (
        f"{general} {result.text}" if result.text and result.error_class in ("permission", "unreachable") else general
    )


def lower_first(text: str) -> str:
    return text if text.startswith(("I ", "I'")) else text[:1].lower() + text[1:]
