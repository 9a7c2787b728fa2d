"""From words to what they ask for: exactly first, then by the nearest known sentence.

Nearest is safe because values are never taken from the known sentence: numbers, units and
places are cut out of both (`set a time for # @`), the frames compared, and the values put
into the frame that fits. The stricter bound holds for what would change something.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from itertools import islice

from rapidfuzz import fuzz, process

from agent.thinking.tools.numerals import number_at
from agent.thinking.tools.places import places
from agent.thinking.tools.quantities import unit, unit_names
from agent.thinking.tools.skill import Answer, Ask, Intent, Past, Skill
from agent.thinking.tools.slots import SlotContext
from agent.thinking.tools.utterance import Utterance, normalise

READ_SCORE = 82.0
WRITE_SCORE = 92.0
"""For what can be undone; what cannot is never guessed (`NEVER`)."""
NEVER = 101.0
MARGIN = 3.0
"""What the best write must be ahead of another tool."""
MIN_FRAME_CHARS = 8
"""Shorter ones are too near to each other."""
MAX_FUZZY_CHARS = 120
MAX_JOINTS = 4
MAX_JOINED_CHARS = 250
FRAMES_PER_INTENT = 96

_LEADS = re.compile(
    r"(?:hey|hi|hello|ok|okay|so|well|um|uh|er|hm|hmm|mhm|uh-huh|oh|yes|no|and|but|then|now|also|please|actually|sorry|"
    r"agent|computer|can you|could you|would you|will you|i want you to|i would like you to|i want to know|"
    r"i would like to know|do you know|tell me|let me know|i want to|i would like to|i said|i asked) "
)
_TAILS = re.compile(
    r" (?:please|thanks|thank you|right now|now|for me|then|again|too|okay|today|if you can|would you|will you)$"
)
_JOINTS = re.compile(r" (?:and then|and also|and|then|also) ")


@dataclass(frozen=True, slots=True)
class _Frame:
    """A sentence with its values cut out: `signs` is the text, `values` the words behind each sign."""

    signs: str
    values: tuple[str, ...]

    @property
    def kinds(self) -> str:
        return "".join(sign for sign in self.signs if sign in "#@%")

    def filled(self, values: Sequence[str]) -> str:
        left = iter(values)
        return " ".join(next(left) if word in "#@%" else word for word in self.signs.split())


class _Intents:
    """Intents in order, looked up by the first word so that few patterns are tried."""

    def __init__(self, intents: Sequence[Intent]) -> None:
        self._by_word: defaultdict[str, list[tuple[int, Intent]]] = defaultdict(list)
        for order, intent in enumerate(intents):
            _ = intent.pattern.regex, intent.pattern.slots
            for word in intent.pattern.first_words:
                self._by_word[word].append((order, intent))

    def match(self, said: Utterance, past: Past) -> Answer | None:
        word = said.text.split(" ", 1)[0]
        context = SlotContext(past.user.now)
        tried = [*self._by_word.get(word, ()), *self._by_word.get("", ())] if word else []
        for _, intent in sorted(tried, key=lambda found: found[0]):
            values = intent.pattern.match(said, context)
            answer: Answer | None = intent.build(values, past) if values is not None else None
            if answer is not None:
                return answer
        return None


_NONE = _Intents(())


def _follow_ups(skill: Skill) -> tuple[_Intents, _Intents]:
    """Those with known values, and those that take any words."""
    return (
        _Intents([intent for intent in skill.follow_ups if not intent.pattern.free]),
        _Intents([intent for intent in skill.follow_ups if intent.pattern.free]),
    )


class Recogniser:
    """Immutable once built; building takes some 100 ms."""

    def __init__(self, skills: Sequence[Skill]) -> None:
        intents = [intent for skill in skills for intent in skill.intents]
        first = [intent for intent in intents if not intent.last]
        self._first = _Intents(first)
        self._last = _Intents([intent for intent in intents if intent.last])
        self._follow_ups = {skill.name: _follow_ups(skill) for skill in skills}
        self._skill_of = {tool: skill for skill in skills for tool in skill.phrases}
        self._frames: dict[str, list[str]] = _frames(first)

    def recognise(self, text: str, past: Past, bounds: Mapping[str, float]) -> list[Answer]:
        """What the text asks for; more than one for `do this and do that`; empty when it is not
        understood. `bounds`: how near (0…100) a sentence must be for a tool that changes
        something, by its name. Never raises."""
        said = normalise(text)
        if not said.text:
            return []
        exact = self._exact(said, past)
        if exact is not None:
            return [exact]
        return self._several(said, past) or self._nearest(said, past, bounds)

    def _exact(self, said: Utterance, past: Past) -> Answer | None:
        skill = self._skill_of.get(past.last.tool) if past.last else None
        plain, free = self._follow_ups[skill.name] if skill else (_NONE, _NONE)
        variants = list(_variants(said))
        for intents in (plain, self._first, free, self._last):
            for variant in variants:
                answer = intents.match(variant, past)
                if answer is not None:
                    return answer
        return None

    def _several(self, said: Utterance, past: Past) -> list[Answer]:
        """Both halves of `… and …`, each of which must be a whole request by itself."""
        for joint in islice(_JOINTS.finditer(said.text), MAX_JOINTS if len(said.text) <= MAX_JOINED_CHARS else 0):
            halves = (said.part(0, joint.start()), said.part(joint.end(), len(said.text)))
            found = [self._first.match(variant, past) for half in halves for variant in [_bare(half)]]
            asked: list[Answer] = [answer for answer in found if isinstance(answer, Ask)]
            if len(asked) == 2:
                return asked
        return []

    def _nearest(self, said: Utterance, past: Past, bounds: Mapping[str, float]) -> list[Answer]:
        if len(said.text) > MAX_FUZZY_CHARS:
            return []
        frame = _frame(_bare(said).words)
        if len(frame.signs) < MIN_FRAME_CHARS:
            return []
        known = self._frames.get(frame.kinds, [])
        near = process.extract(frame.signs, known, scorer=fuzz.ratio, score_cutoff=READ_SCORE, limit=4)
        scored: list[tuple[float, Answer]] = []
        for signs, score, _ in near:
            answer = self._first.match(normalise(_Frame(signs, ()).filled(frame.values)), past)
            if answer is not None:
                scored.append((score, answer))
        if not scored:
            return []
        best_score, best = scored[0]
        if isinstance(best, Ask) and best.tool in bounds:
            rivals = [score for score, answer in scored if not isinstance(answer, Ask) or answer.tool != best.tool]
            if best_score < bounds[best.tool] or any(best_score - score < MARGIN for score in rivals):
                return []
        return [best]


def _variants(said: Utterance) -> Iterator[Utterance]:
    """As said, then without courtesies behind, then in front, one after the other."""
    yield said
    start, end = 0, len(said.text)
    for _ in range(3):
        tail = _TAILS.search(said.text, start, end)
        if tail is None:
            break
        end = tail.start()
        yield said.part(start, end)
    for _ in range(4):
        lead = _LEADS.match(said.text, start, end)
        if lead is None:
            break
        start = lead.end()
        yield said.part(start, end)
        if end < len(said.text):
            yield said.part(start, len(said.text))


def _bare(said: Utterance) -> Utterance:
    return min(_variants(said), key=lambda variant: len(variant.text))


def _frame(words: Sequence[str]) -> _Frame:
    signs: list[str] = []
    values: list[str] = []
    at = 0
    while at < len(words):
        sign, end = _value_at(words, at)
        signs.append(sign or words[at])
        if sign:
            values.append(" ".join(words[at:end]))
        at = end
    return _Frame(" ".join(signs), tuple(values))


def _value_at(words: Sequence[str], at: int) -> tuple[str, int]:
    """The sign of the value that begins here, empty if there is none, and the index behind."""
    found = number_at(words, at)
    if found is not None:
        return "#", found[1]
    for length in (3, 2, 1) if words[at] in _first_words() else ():
        name = " ".join(words[at : at + length])
        if at + length <= len(words) and len(name) > 2:
            if name in places() and name not in ("nice", "turkey", "jersey", "cork"):
                return "%", at + length
            if unit(name) and name not in ("second", "bar", "foot", "stone", "pound"):
                return "@", at + length
    return "", at + 1


@cache
def _first_words() -> frozenset[str]:
    """With which places and units begin; these with an article, too."""
    return frozenset({name.split()[0] for name in (*places(), *unit_names())} | {"the"})


def _frames(intents: Sequence[Intent]) -> dict[str, list[str]]:
    """Frames of all example sentences without free text, by their values' signs."""
    found: defaultdict[str, dict[str, None]] = defaultdict(dict)
    for intent in intents:
        for frame in _frames_of(intent):
            found[frame.kinds][frame.signs] = None
    return {kinds: list(signs) for kinds, signs in found.items()}


@lru_cache(maxsize=1_000)
def _frames_of(intent: Intent) -> tuple[_Frame, ...]:
    if intent.loose or intent.pattern.free or "expression" in intent.pattern.slots.values():
        return ()
    frames = (_frame(sentence.split()) for sentence in islice(intent.pattern.sentences(), FRAMES_PER_INTENT))
    return tuple(frame for frame in frames if len(frame.signs) >= MIN_FRAME_CHARS)
