"""Steering an answer: shorter, on from where it was cut, and something else besides.

What was heard is never said again. An answer counts as heard once its bare value was.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from agent.conversation.message import Message
from agent.thinking.port import UserContext
from agent.thinking.tools.earlier import Done, Earlier, first_sentence
from agent.thinking.tools.skill import Answer, Ask, Say, Steer
from agent.thinking.tools.wording import Wording, counted, end_of, more, value

NOTHING_SAID = "I haven't said anything yet."
HAD_FINISHED = "I had finished."
NOTHING_SHORTER = "I can't say it any shorter."
ENOUGH = "Okay."
NOT_DONE = "I stopped that before it was done. Please say it again if you want it."

LONG_WORDS = 8
"""So much of an interrupted answer is gone on with even when something else came between."""

_ADDS = re.compile(r"(?:(?:oh|no|yes|okay|ok|wait|please) )*(?:and|also|plus|besides)\b|.* (?:too|as well)$")


def adds(text: str) -> bool:
    """Whether what was said comes on top of what was asked before; `text` in normalised words."""
    return _ADDS.match(text) is not None


class Steering:
    """Answers of one turn that are about the answer before. `again`: what the words of an earlier turn
    that came to nothing ask for. `writes`: names of the tools that change something."""

    def __init__(
        self,
        earlier: Earlier,
        wording: Wording,
        user: UserContext,
        again: Callable[[Message], Sequence[Answer]],
        writes: frozenset[str],
    ) -> None:
        self._earlier = earlier
        self._wording = wording
        self._user = user
        self._again = again
        self._writes = writes

    def answers(self, steer: Steer) -> list[Answer]:
        return self._shorter() if steer.how == "shorter" else self._on()

    def outstanding(self) -> list[Answer]:
        """What is still to be answered of the matter before an addition to it."""
        earlier = self._earlier
        if earlier.matter is None or not earlier.fresh:
            return []
        if not earlier.matter.done:
            return self._unanswered() or ([Say(earlier.rest)] if earlier.rest and not earlier.heard else [])
        done = [one for one in earlier.matter.done if not one.asking]
        if not earlier.heard and not earlier.cut:
            untold = [one for one in done if one.ended and not one.failed]
            if earlier.matter.noted:  # what a note stands for is told of it
                untold = [one for one in untold if one.ask.tool not in self._writes]
            return [*map(self._told, untold)]
        values = [brief for one in done if (brief := self._brief(one)) is not None]
        values = [brief for brief in values if isinstance(brief, list) or end_of(brief, self._whole) >= 0]
        owed = any(self._unheard(brief) for brief in values) or (not earlier.heard and bool(done))
        return [Say(earlier.rest)] if earlier.rest and owed else []

    def _told(self, done: Done) -> Say:
        return Say(self._wording.phrase(done.ask.tool, done.ask.arguments, done.result, self._user))

    # ── shorter ──────────────────────────────────────────────────────────────────────────

    def _shorter(self) -> list[Answer]:
        earlier = self._earlier
        if earlier.matter is None:
            return [Say(NOTHING_SAID)]
        done = earlier.matter.done
        if not done and (asked := self._unanswered()):
            return asked
        if any(one.asking for one in done):
            # What is confirmed must be heard whole.
            return [*(one.ask for one in done if one.asking)]
        briefs = [self._brief(one) for one in done]
        if briefs and None not in briefs:
            told = [text for brief in briefs if brief is not None and (text := self._in_short(brief))]
            return [Say(" ".join(told) or ENOUGH)]
        if earlier.rest:
            return [Say(first_sentence(earlier.rest))]
        return [Say(NOTHING_SHORTER)]

    def _in_short(self, brief: str | list[str]) -> str:
        """Empty where all of it was heard and the rest is not worth saying."""
        earlier = self._earlier
        if isinstance(brief, list):
            left = self._unheard(brief)
            if not earlier.heard or not earlier.cut:
                return counted(brief) if brief else NOTHING_SHORTER
            return more(left) if left else ""
        if end_of(brief, self._whole) < 0 and earlier.heard and earlier.rest:
            return first_sentence(earlier.rest)  # a long text, of which a summary comes too late
        return value(brief) if not earlier.cut or self._unheard(brief) else ""

    # ── on ───────────────────────────────────────────────────────────────────────────────

    def _on(self) -> list[Answer]:
        earlier = self._earlier
        if earlier.matter is None:
            return [Say(NOTHING_SAID)]
        if earlier.rest:
            return [Ask("continue_reply", {"text": earlier.rest})]
        done = earlier.matter.done
        if not done and (asked := self._unanswered()):
            return asked
        if not done and earlier.matter.silent and self._again(earlier.matter.user):
            return [Say(NOT_DONE)]
        lists = [brief for one in done if isinstance(brief := self._brief(one), list)]
        left = [item for brief in lists for item in self._unheard(brief)]
        if left and earlier.heard:
            return [Say(more(left))]
        if done and done[-1].ask == Ask("tell", {"topic": "story"}):
            return [Ask("tell", {"topic": "sequel"})]
        before = earlier.previous_rest()
        if len(before.split()) >= LONG_WORDS and before not in earlier.heard:
            return [Ask("continue_reply", {"text": before})]
        return [Say(HAD_FINISHED)]

    # ── what was heard ───────────────────────────────────────────────────────────────────

    @property
    def _whole(self) -> str:
        return f"{self._earlier.heard} {self._earlier.cut}".strip()

    def _unheard(self, brief: str | list[str]) -> list[str]:
        """The items that were not heard; a bare value or a text as one item."""
        heard = len(self._earlier.heard)
        if isinstance(brief, list):
            return [item for item in brief if not 0 <= end_of(item, self._whole) <= heard]
        return [] if 0 <= end_of(brief, self._whole) <= heard else [brief]

    def _brief(self, done: Done) -> str | list[str] | None:
        if not done.ended or done.failed or done.asking:
            return None
        return self._wording.brief(done.ask.tool, done.ask.arguments, done.result, self._user)

    def _unanswered(self) -> list[Answer]:
        """What the matter's words ask for, where nothing came of them. What would change something is done
        now only if it surely was not begun, and the user has not thought better of it since."""
        matter = self._earlier.matter
        if matter is None:
            return []
        again = self._again(matter.user)
        answers: list[Answer] = [answer for answer in again if not isinstance(answer, Steer)]
        changing = any(isinstance(answer, Ask) and answer.tool in self._writes for answer in answers)
        asks = any(isinstance(answer, Ask) for answer in answers)
        if changing and not (matter.silent and self._earlier.fresh):
            return []
        return answers if asks or matter.silent else []
