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
from dataclasses import dataclass, replace

from agent.clock import Clock
from agent.errors import BrainError, ToolError
from agent.thinking.libraries import Libraries
from agent.thinking.port import Call, Delta, Message, Prompt
from agent.thinking.tools.catalogue import SKILLS
from agent.thinking.tools.confession import confession
from agent.thinking.tools.earlier import Earlier
from agent.thinking.tools.recall import RECALLING
from agent.thinking.tools.recognise import NEVER, WRITE_SCORE, Recogniser
from agent.thinking.tools.skill import Answer, Ask, Past, Say, Skill, Steer
from agent.thinking.tools.steering import Steering, adds
from agent.thinking.tools.utterance import normalise
from agent.thinking.tools.wording import Wording, lower_first, unrepeated

NOT_FOR_SKILLS = "tools of MCP servers are for a language model, which brain.engine = openai asks; the skills use none"

_SENTENCE = re.compile(r"[^.!?]*[.!?]+(?:\s+|$)|[^.!?]+$")


@dataclass(frozen=True, slots=True)
class _Turn:
    """A prompt taken apart: what came before the user's message, that, and this reply's steps."""

    before: Sequence[Message]
    user: Message
    after: Sequence[Message]


class SkillsBrain:
    """Implements the `Brain` port. `libraries` is warmed up by `start` and closed by `close`.

    `own`: skills besides the built-in ones, asked before them.
    """

    name = "skills"

    def __init__(self, libraries: Libraries | None = None, own: Sequence[Skill] = ()) -> None:
        self._libraries = libraries or Libraries()
        self._executor = ThreadPoolExecutor(max_workers=1, thread_name_prefix="skills")
        self._skills = (*own, *SKILLS)
        self._recogniser: Recogniser | None = None
        self._wording = Wording(self._skills)

    async def start(self) -> None:
        """Build the recogniser and load the libraries, off the event loop. May be called again.
        Raises `BrainError`."""
        if self._recogniser is None:
            async with Clock().external():
                loop = asyncio.get_running_loop()
                self._recogniser = await loop.run_in_executor(self._executor, Recogniser, self._skills)
        try:
            await self._libraries.start()
        except ToolError as error:
            raise BrainError(str(error)) from error

    async def close(self) -> None:
        await self._libraries.close()
        self._executor.shutdown(wait=False)

    async def respond(self, prompt: Prompt) -> AsyncIterator[Delta | Call]:
        """One step. Raises `BrainError` before `start` and for a prompt without a user message."""
        if self._recogniser is None:
            raise BrainError("The brain has not been started.")
        about = _About(self._recogniser, self._wording, prompt)
        if any(message.role == "call" for message in about.turn.after):
            for text in _sentences(about.told()):
                yield Delta(text)
                await asyncio.sleep(0)
            return
        for text in about.notes():
            yield Delta(text + " ")
        available = {tool.name for tool in prompt.tools}
        answers = about.answers()
        number = 0
        for at, answer in enumerate(answers, 1):
            if isinstance(answer, Say):
                for text in _sentences(answer.text + (" " if at < len(answers) else "")):
                    yield Delta(text)
            elif isinstance(answer, Ask) and answer.tool in available:
                number += 1
                yield Call(f"c{number}", answer.tool, dict(answer.arguments))
            else:
                yield Delta("Sorry, I can't do that at the moment, because a part of me is not working. ")
            await asyncio.sleep(0)


class _About:
    """What one prompt is about."""

    def __init__(self, recogniser: Recogniser, wording: Wording, prompt: Prompt) -> None:
        self.turn = _taken_apart(prompt.messages)
        self._recogniser = recogniser
        self._wording = wording
        self._user = prompt.user
        self._writes = {tool.name: tool for tool in prompt.tools if tool.effect == "write"}
        self._earlier = Earlier(self.turn.before, self._steers)

    def answers(self) -> list[Answer]:
        """What the user's words ask for; never empty, no `Steer` among them."""
        user = self.turn.user
        found = self._recognised(user, self._past(), guess=True)
        steering = Steering(self._earlier, self._wording, self._user, self._again, frozenset(self._writes))
        if len(found) == 1 and isinstance(found[0], Steer):
            return steering.answers(found[0])
        if found and adds(normalise(user.text).text) and not any(_tool(one) in self._writes for one in found):
            found = [*(one for one in steering.outstanding() if one not in found), *found]
        return found or [Say(confession(self.turn.before, understood=user.understood))]

    def told(self) -> str:
        """What came of this reply's calls, without what was heard of it before and, where the user
        said so, in short."""
        after, past = self.turn.after, self._past()
        results = {message.call_id: message for message in after if message.role == "result"}
        calls = [message for message in after if message.role == "call"]
        in_short = self._recognised(self.turn.user, past) == [Steer("shorter")]
        parts = [self._wording.told(call, results.get(call.call_id), self._user, in_short=in_short) for call in calls]
        again = len(calls) == 1 and past.last is not None and past.last.tool == calls[0].name
        if again and self._earlier.cut and calls[0].name not in self._writes:
            parts = [unrepeated(parts[0], self._earlier.reply.text)]
        return " ".join(dict.fromkeys(parts))

    def notes(self) -> list[str]:
        """What the user should know before anything else; in the skill's own words where it stands behind a result."""
        found = []
        for note, result in _untold(self.turn):
            if result is not None and self._wording.knows(result.name):
                done = self._wording.told(result, result, self._user)
                found.append(f"By the way, although you interrupted me: {lower_first(done)}")
            else:
                found.append(f"By the way, {lower_first(note.text.strip().rstrip('.'))}.")
        return found

    def _recognised(self, user: Message, past: Past, *, guess: bool = False) -> list[Answer]:
        if not user.understood:
            return []
        bounds = {name: WRITE_SCORE if tool.reversible else NEVER for name, tool in self._writes.items()}
        return self._recogniser.recognise(user.text, past, bounds if guess else {})

    def _steers(self, user: Message) -> bool:
        found = self._recognised(user, Past(self._user)) if user.text else []
        return any(
            isinstance(answer, Steer) or (isinstance(answer, Ask) and answer.tool in RECALLING) for answer in found
        )

    def _again(self, user: Message) -> list[Answer]:
        """What an earlier turn asked for, as it was understood then."""
        before = self.turn.before
        at = next((at for at, message in enumerate(before) if message is user), 0)
        return self._recognised(user, self._past_of(Earlier(before[:at], self._steers)), guess=True)

    def _past(self) -> Past:
        """With what was asked for last, even where nothing has come of it."""
        earlier, matter = self._earlier, self._earlier.matter
        past = self._past_of(earlier)
        if matter is not None and not matter.done:
            asked = [answer for answer in self._again(matter.user) if isinstance(answer, Ask)]
            if asked:
                return replace(past, last=asked[-1], result=None)
        return past

    def _past_of(self, earlier: Earlier) -> Past:
        done, reply = earlier.last_done, earlier.reply
        last, result = (done.ask, done.result) if done else (None, None)
        return Past(self._user, earlier.said, last, result, reply.text, reply.cut)


def _tool(answer: Answer) -> str:
    return answer.tool if isinstance(answer, Ask) else ""


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


def _sentences(text: str) -> list[str]:
    """Cut behind sentence ends, spaces kept, so that a long answer can be cancelled between them."""
    if len(text) < 200:
        return [text] if text else []
    return [found.group() for found in _SENTENCE.finditer(text)]
