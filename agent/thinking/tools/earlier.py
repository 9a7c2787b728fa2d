"""The conversation before the user's turn, read from the prompt: what was asked, done, heard and cut."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from agent.conversation.events import Json
from agent.conversation.message import Message
from agent.thinking.tools.confession import CONFESSIONS
from agent.thinking.tools.recall import RECALLING
from agent.thinking.tools.skill import Ask
from agent.thinking.tools.talk import ASIDES

REMEMBERED_TURNS = 2
"""A follow-up refers to a call at most so many turns back; asides and repetitions are none."""
FEW_WORDS = 2
"""A clause of which only so many words were heard is begun again."""

_SENTENCE_END = re.compile(r"[.!?…]+[\"')\]]*(?:\s+|$)")
_CLAUSE_END = re.compile(r"(?:[,;:—–]|[.!?…]+[\"')\]]*)\s+")


@dataclass(frozen=True, slots=True)
class Done:
    """A tool call and what came of it. `result` is None and `ended` false where that is not known."""

    ask: Ask
    result: Json = None
    ended: bool = False
    failed: bool = False

    @property
    def asking(self) -> bool:
        """It was put to the user, who has not confirmed it."""
        return isinstance(self.result, dict) and "proposal" in self.result


@dataclass(slots=True)
class Exchange:
    """What the user said, and what followed until the user's next words."""

    user: Message
    start: int = 0
    """Where its first message stands."""
    done: list[Done] = field(default_factory=list)
    replies: list[Message] = field(default_factory=list)
    noted: bool = False

    @property
    def silent(self) -> bool:
        """Nothing was said, done or noted: the user spoke on while it was thought about."""
        return not self.done and not self.replies and not self.noted


class Earlier:
    """`matter`: the latest exchange that is no aside, if there is one; `fresh`: nothing followed it.
    `heard` and `cut`: of all replies about it. `rest`: what is left to say of them, begun again at the
    clause of which next to nothing was heard. `steers`: whether words are about the answer before them."""

    def __init__(self, before: Sequence[Message], steers: Callable[[Message], bool]) -> None:
        self._before = before
        self._steers = steers
        self.exchanges = _exchanges(before)
        at = next((i for i in range(len(self.exchanges) - 1, -1, -1) if not self._aside(self.exchanges[i])), None)
        self.matter = None if at is None else self.exchanges[at]
        self.fresh = at == len(self.exchanges) - 1
        since = self.exchanges[at:] if at is not None else []
        about = [(reply, reply is one.replies[0]) for one in since for reply in one.replies if not _is_aside(reply)]
        self.heard = " ".join(reply.text for reply, _ in about if reply.text)
        self.cut, self.rest = _left(about)

    @property
    def said(self) -> list[str]:
        """What the user said, oldest first."""
        return [one.user.text for one in self.exchanges if one.user.text]

    @property
    def reply(self) -> Message:
        """The last reply, whatever it was."""
        replies = [reply for one in self.exchanges for reply in one.replies]
        return replies[-1] if replies else Message("agent")

    def previous_rest(self) -> str:
        """What is left to say of the matter before this one."""
        return Earlier(self._before[: self.matter.start], self._steers).rest if self.matter is not None else ""

    @property
    def last_done(self) -> Done | None:
        """The latest call that is not too far back."""
        turns = 0
        for one in reversed(self.exchanges):
            if one.done:
                return one.done[-1]
            turns += not self._aside(one)
            if turns >= REMEMBERED_TURNS:
                break
        return None

    def _aside(self, one: Exchange) -> bool:
        """It said nothing of the matter itself: `wait`, an apology, `shorter`, something said again."""
        if one.done or one.noted:
            return False
        return (bool(one.replies) and all(map(_is_aside, one.replies))) or self._steers(one.user)


def _exchanges(before: Sequence[Message]) -> list[Exchange]:
    """Calls of `recall` are left out: they are about what was said, and not about the matter."""
    found = [Exchange(Message("user"))]
    waiting: dict[str, tuple[list[Done], int]] = {}
    for at, message in enumerate(before):
        now = found[-1]
        if message.role == "user":
            found.append(Exchange(message, at))
        elif message.role == "agent" and (message.text or message.cut):
            now.replies.append(message)
        elif message.role == "note":
            now.noted = True
        elif message.role == "call" and message.name not in RECALLING:
            waiting[message.call_id] = now.done, len(now.done)
            now.done.append(Done(Ask(message.name, message.arguments)))
        elif message.role == "result" and message.call_id in waiting:
            done, number = waiting.pop(message.call_id)
            done[number] = replace(done[number], result=message.content, ended=True, failed=bool(message.error_class))
    return found if found[0].done or found[0].replies else found[1:]


def _is_aside(reply: Message) -> bool:
    return f"{reply.text} {reply.cut}".strip() in (*ASIDES, *CONFESSIONS)


def _left(replies: Sequence[tuple[Message, bool]]) -> tuple[str, str]:
    """What was cut and not said later, and that with the words before that belong to it. With each reply:
    whether it answers the user; the others are announcements."""
    cut = rest = ""
    for reply, answers in replies:
        if reply.cut:
            cut, rest = reply.cut.strip(), resumed(reply.text, reply.cut.strip())
        elif rest.startswith(reply.text):
            cut = rest = rest[len(reply.text) :].strip()
        elif answers:
            cut = rest = ""
    return cut, rest


def resumed(heard: str, cut: str) -> str:
    """`cut`, from the beginning of its clause where at most `FEW_WORDS` words of that were heard."""
    start = max((end.end() for end in _CLAUSE_END.finditer(heard + " ")), default=0)
    begun = heard[start:].split()
    return " ".join([*begun, cut]) if len(begun) <= FEW_WORDS else cut


def first_sentence(text: str) -> str:
    found = _SENTENCE_END.search(text)
    return text[: found.end()].strip() if found else text
