"""Sentence templates: one source for parsing, for example sentences and for fuzzy matching.

    what time is it [right now] in {place}
    (set|start) (a|another) timer for {duration}

`[…]` may be left out, `(a|b)` is a choice, `{slot}` or `{slot:name}` a value of a kind that
`slots` knows, `{front|back:name}` one of these words. Templates are in normalised words (`what is`, never
`what's`).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import islice

from agent.thinking.tools.slots import SlotContext, SlotValue, slot
from agent.thinking.tools.utterance import Utterance

MAX_EXPANSIONS = 96
"""Variants of one template that are listed as example sentences."""

BEST_KNOWN = 3
"""Sample values that occur with every variant."""
ROUNDS = 8
"""Times that the values of two slots are paired anew."""

Value = SlotValue
_PIECE = re.compile(r"\{([\w |']+)(?::(\w+))?\}|[\[\]()|]|[^\s\[\]()|{}]+")


@dataclass(frozen=True)
class _Word:
    text: str


@dataclass(frozen=True)
class _Slot:
    kind: str
    name: str


@dataclass(frozen=True)
class _Choice:
    options: tuple[tuple[_Node, ...], ...]


_Node = _Word | _Slot | _Choice


@dataclass(frozen=True)
class Pattern:
    """A compiled template. Raises `ValueError` when it is malformed."""

    template: str
    nodes: tuple[_Node, ...] = field(init=False)

    def __post_init__(self) -> None:
        reader = _Reader(self.template)
        object.__setattr__(self, "nodes", reader.sequence(""))

    @cached_property
    def regex(self) -> re.Pattern[str]:
        return re.compile(_regex(self.nodes))

    @cached_property
    def slots(self) -> dict[str, str]:
        """Kind of each slot, by name."""
        return {node.name: node.kind for node in _slots(self.nodes)}

    @cached_property
    def free(self) -> bool:
        """Has a slot that takes any words."""
        return any(slot(kind).free for kind in self.slots.values())

    @cached_property
    def first_words(self) -> frozenset[str]:
        """Words that it can begin with; an empty one stands for any word."""
        return frozenset(_first_words(self.nodes))

    def match(self, said: Utterance, context: SlotContext) -> dict[str, Value] | None:
        """Values of the slots when the whole utterance fits, else None."""
        found = self.regex.fullmatch(" " + said.text)
        if found is None:
            return None
        values: dict[str, Value] = {}
        for name, kind in self.slots.items():
            if found.group(name) is None:
                continue
            start, end = found.span(name)
            value = slot(kind).parse(said.part(start - 1, end - 1), context)
            if value is None:
                return None
            values[name] = value
        return values

    def skeletons(self) -> list[tuple[str, ...]]:
        """Its variants as words, slots as `{kind}`."""
        return list(islice(_expansions(self.nodes), MAX_EXPANSIONS))

    def sentences(self) -> Iterator[str]:
        """Example sentences: every variant with the best-known values, then every value with
        some variant; not every pair."""
        variants = self.skeletons()
        samples = {kind: slot(kind).samples for kind in self.slots.values()}
        best_known = min([BEST_KNOWN, *(len(values) for values in samples.values())])
        for value in range(best_known if samples else 1):
            for variant in variants:
                yield _filled(variant, samples, value)
        rounds = ROUNDS if len(self.slots) > 1 else 1
        for value in range(best_known, rounds * max([0, *(len(values) for values in samples.values())])):
            yield _filled(variants[value % len(variants)], samples, value)


def _filled(variant: tuple[str, ...], samples: Mapping[str, Sequence[str]], value: int) -> str:
    """Sample `value` in the first slot, later ones in the further slots."""
    words = []
    slots = 0
    for word in variant:
        if word.startswith("{"):
            values = samples[word[1:-1]]
            word = values[(value + value // len(values) + 7 * slots) % len(values)]
            slots += 1
        words.append(word)
    return " ".join(words)


class _Reader:
    """Recursive descent over the pieces of a template."""

    def __init__(self, template: str) -> None:
        self._template = template
        self._pieces = list(_PIECE.finditer(template))
        self._at = 0

    def sequence(self, closing: str) -> tuple[_Node, ...]:
        """Nodes up to `closing` (or a `|`), which is left unread."""
        nodes: list[_Node] = []
        while self._at < len(self._pieces):
            piece = self._pieces[self._at]
            text = piece.group()
            if text in ("]", ")", "|"):
                if not closing:
                    raise ValueError(f"unbalanced {text} in template: {self._template}")
                return tuple(nodes)
            self._at += 1
            if text in ("[", "("):
                nodes.append(self._choice(text))
            elif piece.group(1):
                try:
                    slot(piece.group(1))
                except KeyError:
                    raise ValueError(f"no such slot {text} in template: {self._template}") from None
                nodes.append(_Slot(piece.group(1), piece.group(2) or piece.group(1)))
            else:
                nodes.append(_Word(text))
        if closing:
            raise ValueError(f"{closing} is missing in template: {self._template}")
        return tuple(nodes)

    def _choice(self, opening: str) -> _Choice:
        closing = "]" if opening == "[" else ")"
        options = [self.sequence(closing)]
        while self._pieces[self._at].group() == "|":
            self._at += 1
            options.append(self.sequence(closing))
        if self._pieces[self._at].group() != closing:
            raise ValueError(f"unbalanced {opening} in template: {self._template}")
        self._at += 1
        return _Choice((*options, ()) if opening == "[" else tuple(options))


def _regex(nodes: Sequence[_Node]) -> str:
    """Every word is matched with the space before it."""
    parts = []
    for node in nodes:
        if isinstance(node, _Word):
            parts.append(" " + re.escape(node.text))
        elif isinstance(node, _Slot):
            parts.append(f"(?P<{node.name}>{slot(node.kind).regex})")
        else:
            parts.append("(?:" + "|".join(_regex(option) for option in node.options) + ")")
    return "".join(parts)


def _slots(nodes: Sequence[_Node]) -> Iterator[_Slot]:
    for node in nodes:
        if isinstance(node, _Slot):
            yield node
        elif isinstance(node, _Choice):
            for option in node.options:
                yield from _slots(option)


def _first_words(nodes: Sequence[_Node]) -> set[str]:
    if not nodes:
        return {""}
    head, rest = nodes[0], nodes[1:]
    if isinstance(head, _Choice):
        return {word for option in head.options for word in _first_words((*option, *(rest if not option else ())))}
    return {head.text if isinstance(head, _Word) else ""}


def _expansions(nodes: Sequence[_Node]) -> Iterator[tuple[str, ...]]:
    if not nodes:
        yield ()
        return
    head, rest = nodes[0], nodes[1:]
    if isinstance(head, _Choice):
        for option in head.options:
            for start in _expansions(option):
                for end in _expansions(rest):
                    yield (*start, *end)
        return
    word = head.text if isinstance(head, _Word) else f"{{{head.kind}}}"
    for end in _expansions(rest):
        yield (word, *end)
