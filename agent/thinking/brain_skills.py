"""The embedded brain: built-in skills, deterministic, no network and no model.

Every step is a function of the prompt alone. The first parses the user's words and asks for a
tool (or just talks); the next puts the tool's result into words. What it does not understand
it says, and does nothing.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from agent.clock import Clock
from agent.conversation.events import Json
from agent.errors import BrainError, ToolError
from agent.thinking.libraries import Libraries
from agent.thinking.port import Call, Delta, Message, Prompt, UserContext
from agent.thinking.tools.catalogue import SKILLS
from agent.thinking.tools.recognise import NEVER, WRITE_SCORE, Recogniser
from agent.thinking.tools.skill import Answer, Ask, Past, Say

REMEMBERED_TURNS = 2
"""A follow-up refers to a call at most so many turns back."""

_NOT_UNDERSTOOD = (
    "Sorry, I didn't understand that. You can ask me what I can do.",
    "I still didn't get that. Try something like: what time is it in Tokyo?",
    "Sorry, that's not something I know. Say help to hear what I can do.",
)
_NOT_HEARD = (
    "Sorry, I didn't catch that.",
    "I didn't catch that either. Could you say it in other words?",
    "Sorry, I still don't understand. You can type it, too.",
)
_APOLOGIES = {
    "permission": "Sorry, I'm not allowed to do that.",
    "unreachable": "Sorry, I can't do that right now.",
    "timeout": "Sorry, that took too long, so I gave up.",
    "crash": "Sorry, something went wrong and I couldn't do that.",
}
_SENTENCE = re.compile(r"[^.!?]*[.!?]+(?:\s+|$)|[^.!?]+$")


@dataclass(frozen=True, slots=True)
class _Turn:
    """A prompt taken apart: what came before the user's message, that, and this reply's steps."""

    before: Sequence[Message]
    user: Message
    after: Sequence[Message]


class SkillsBrain:
    """Implements the `Brain` port. `libraries` is warmed up by `start` and closed by `close`."""

    name = "skills"

    def __init__(self, libraries: Libraries | None = None) -> None:
        self._libraries = libraries or Libraries()
        self._executor = ThreadPoolExecutor(max_workers=1, thread_name_prefix="skills")
        self._recogniser: Recogniser | None = None
        self._skills = {tool: skill for skill in SKILLS for tool in skill.phrases}

    async def start(self) -> None:
        """Build the recogniser and load the libraries, off the event loop. May be called again.
        Raises `BrainError`."""
        if self._recogniser is None:
            async with Clock().external():
                loop = asyncio.get_running_loop()
                self._recogniser = await loop.run_in_executor(self._executor, Recogniser, SKILLS)
        try:
            await self._libraries.start()
        except ToolError as error:
            raise BrainError(str(error)) from error

    async def close(self) -> None:
        await self._libraries.close()
        self._executor.shutdown(wait=False)

    async def respond(self, prompt: Prompt) -> AsyncIterator[Delta | Call]:
        """One step. Raises `BrainError` before `start` and for a prompt without a user message."""
        turn = _taken_apart(prompt.messages)
        calls = [message for message in turn.after if message.role == "call"]
        if calls:
            for text in _sentences(self._told(calls, turn.after, prompt.user)):
                yield Delta(text)
                await asyncio.sleep(0)
            return
        for note, result in _untold(turn):
            yield Delta(self._noted(note, result, prompt.user) + " ")
        answers = self._answers(turn, prompt)
        available = {tool.name for tool in prompt.tools}
        number = 0
        for answer in answers:
            if isinstance(answer, Say):
                for text in _sentences(answer.text):
                    yield Delta(text)
            elif answer.tool not in available:
                yield Delta("Sorry, I can't do that at the moment, because a part of me is not working. ")
            else:
                number += 1
                yield Call(f"c{number}", answer.tool, dict(answer.arguments))
            await asyncio.sleep(0)

    def _answers(self, turn: _Turn, prompt: Prompt) -> list[Answer]:
        if self._recogniser is None:
            raise BrainError("The brain has not been started.")
        past = self._past(turn, prompt)
        bounds = {
            tool.name: WRITE_SCORE if tool.reversible else NEVER for tool in prompt.tools if tool.effect == "write"
        }
        found = self._recogniser.recognise(turn.user.text, past, bounds) if turn.user.understood else []
        return found or [Say(_confession(turn))]

    def _past(self, turn: _Turn, prompt: Prompt) -> Past:
        users = [message for message in turn.before if message.role == "user" and message.text]
        replies = [message for message in turn.before if message.role == "agent" and (message.text or message.cut)]
        reply = replies[-1] if replies else Message("agent")
        past = Past(prompt.user, [message.text for message in users], None, None, reply.text, reply.cut)
        call, result = _last_call(turn.before)
        if call is not None:
            return Past(prompt.user, past.said, Ask(call.name, call.arguments), result, past.heard, past.cut)
        if users and users[-1].understood and self._recogniser is not None:
            earlier = self._recogniser.recognise(users[-1].text, Past(prompt.user), {})
            if earlier and isinstance(earlier[-1], Ask):
                return Past(prompt.user, past.said, earlier[-1], None, past.heard, past.cut)
        return past

    def _told(self, calls: Sequence[Message], after: Sequence[Message], user: UserContext) -> str:
        results = {message.call_id: message for message in after if message.role == "result"}
        parts = [self._phrase(call, results.get(call.call_id), user) for call in calls]
        return " ".join(dict.fromkeys(parts))

    def _phrase(self, call: Message, result: Message | None, user: UserContext) -> str:
        if result is None:
            return "I didn't do that."
        if result.error_class:
            return _apology(result)
        skill = self._skills.get(call.name)
        if skill is None:
            return "That's done."
        try:
            return skill.phrases[call.name](call.arguments, result.content, user)
        except (KeyError, ValueError, TypeError) as error:
            raise BrainError(f"The result of {call.name} is not in a shape that I know.") from error

    def _noted(self, note: Message, result: Message | None, user: UserContext) -> str:
        """A note in a sentence; in the skill's own words where it stands behind a result."""
        if result is not None and result.name in self._skills:
            done = self._phrase(result, result, user)
            return f"By the way, although you interrupted me: {_lower_first(done)}"
        text = note.text.strip().rstrip(".")
        return f"By the way, {_lower_first(text)}."


def _taken_apart(messages: Sequence[Message]) -> _Turn:
    for index in range(len(messages) - 1, -1, -1):
        if messages[index].role == "user":
            return _Turn(messages[:index], messages[index], messages[index + 1 :])
    raise BrainError("The prompt has no message of the user.")


def _untold(turn: _Turn) -> list[tuple[Message, Message | None]]:
    """Notes since the user last heard the agent, each with the result that it stands behind."""
    messages = [*turn.before, *turn.after]
    start = max(
        (at + 1 for at, message in enumerate(turn.before) if message.role == "agent" and message.text), default=0
    )
    found = []
    for at, message in enumerate(messages[start:], start):
        if message.role == "note" and message.text.strip():
            behind = messages[at - 1] if at and messages[at - 1].role == "result" else None
            found.append((message, behind))
    return found


def _last_call(before: Sequence[Message]) -> tuple[Message | None, Json]:
    """The latest call and its content, unless it is more than `REMEMBERED_TURNS` turns back."""
    results: dict[str, Json] = {}
    turns = 0
    for message in reversed(before):
        if message.role == "user":
            turns += 1
            if turns >= REMEMBERED_TURNS:
                break
        elif message.role == "result":
            results.setdefault(message.call_id, message.content)
        elif message.role == "call":
            return message, results.get(message.call_id)
    return None, None


def _confession(turn: _Turn) -> str:
    """What is said when nothing was understood; different each time in a row."""
    in_a_row = 0
    for message in reversed(turn.before):
        if message.role == "agent":
            if not (message.text + message.cut).startswith(_NOT_UNDERSTOOD + _NOT_HEARD):
                break
            in_a_row += 1
    choices = _NOT_UNDERSTOOD if turn.user.understood else _NOT_HEARD
    return choices[in_a_row % len(choices)]


def _apology(result: Message) -> str:
    """What went wrong, in the tool's own words where those are for the user."""
    if result.error_class == "unknown" and result.text:
        return result.text
    if result.error_class in ("input", "not_found") and result.text:
        return result.text if result.text.startswith("There") else f"Sorry, {_lower_first(result.text)}"
    general = _APOLOGIES.get(result.error_class, _APOLOGIES["crash"])
    return (
        f"{general} {result.text}" if result.text and result.error_class in ("permission", "unreachable") else general
    )


def _lower_first(text: str) -> str:
    return text if text.startswith(("I ", "I'")) else text[:1].lower() + text[1:]


def _sentences(text: str) -> list[str]:
    """Cut behind sentence ends, spaces kept, so that a long answer can be cancelled between them."""
    if len(text) < 200:
        return [text] if text else []
    return [found.group() for found in _SENTENCE.finditer(text)]
