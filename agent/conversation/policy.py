"""The core's configuration: every threshold of turn taking and interruption.

Plain frozen dataclasses, because this package imports only the standard library; the settings
module embeds them as they are, and `agent.toml` has one table per class. Times are milliseconds of
conversation, measured from the end of the last speech frame where silence is meant.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field, fields, replace
from typing import Any, ClassVar, Literal

from agent.conversation.backchannels import BACKCHANNELS
from agent.conversation.events import Json

_LANGUAGE = re.compile("[a-z]{2,3}")
_A_LANGUAGE = "two or three small letters, such as en"


PUNCTUATION = ".,!?¡¿…"
_MARKS = frozenset(PUNCTUATION)
MAX_VOICED_MS = 10_000


def _phrases(name: str, phrases: tuple[str, ...]) -> None:
    """A phrase that is written otherwise than what is heard would never be recognised."""
    for phrase in phrases:
        if not phrase or phrase != " ".join(phrase.lower().split()) or not _MARKS.isdisjoint(phrase):
            raise ValueError(f"{name} has {phrase!r}; write it in small letters and without punctuation")


def _within(owner: object, name: str, low: float, high: float) -> None:
    value = getattr(owner, name)
    if not low <= value <= high:
        raise ValueError(f"{name} is {value}; it must lie between {low} and {high}")


@dataclass(frozen=True, slots=True)
class Endpointing:
    """When silence ends the user's turn.

    The delay behind the last speech frame is `floor_ms` for a request that is complete,
    `ceiling_ms` for one that ends on "and" or "the", and between them otherwise.
    """

    __pydantic_config__: ClassVar[dict[str, Any]] = {"extra": "forbid"}

    floor_ms: int = 160
    neutral_ms: int = 500
    ceiling_ms: int = 1_400
    stable_ms: int = 0
    """The hypothesis must not have changed for this long."""
    final_timeout_ms: int = 1_500
    """How long to wait for the recogniser's final text before the last partial is taken."""
    max_turn_ms: int = 60_000
    rejoin_ms: int = 600
    """Who speaks again so soon behind the end of a turn, before a word of the reply was heard, was cut
    off early: it is still the same turn."""

    def __post_init__(self) -> None:
        _within(self, "floor_ms", 0, 5_000)
        _within(self, "neutral_ms", self.floor_ms, 10_000)
        _within(self, "ceiling_ms", self.neutral_ms, 20_000)
        _within(self, "stable_ms", 0, 2_000)
        _within(self, "final_timeout_ms", 100, 30_000)
        _within(self, "max_turn_ms", 1_000, 600_000)
        _within(self, "rejoin_ms", 0, 5_000)


@dataclass(frozen=True, slots=True)
class Interruption:
    """How sounds during the agent's speech are judged."""

    __pydantic_config__: ClassVar[dict[str, Any]] = {"extra": "forbid"}

    mode: Literal["graded", "never", "any_sound"] = "graded"
    min_words: int = 1
    """Recognised words (not counting `backchannels`) that confirm an interruption."""
    words_voiced_ms: int = 220
    """Words count only with this much periodic speech: a noise burst can look like a word."""
    one_word_voiced_ms: int = 350
    """The same for a single word, unless it is one of `stop_words`."""
    voiced_ms: int = 600
    """Periodic speech that confirms one without words."""
    window_ms: int = 350
    """Without a final text for this long behind the end of the sound, playback resumes."""
    pause_limit_ms: int = 900
    """A sound that is neither words nor voiced enough by then does not hold playback any longer."""
    wary_after: int = 2
    """After so many false alarms in a row playback pauses only for speech that is voiced."""
    wary_raise_percent: int = 25
    """Each further one in a row raises how much voiced speech confirms by this, up to double."""
    wary_decay_ms: int = 30_000
    """One false alarm is forgotten after this long without one."""
    device_window_ms: int = 400
    """A device's cut that the server's own VAD does not bear out within this is dismissed."""
    resume_at: Literal["word", "sample"] = "word"
    language: str = ""
    """Whose `backchannels` count; empty: that of the recogniser, `asr.language`."""
    backchannels: dict[str, tuple[str, ...]] = field(default_factory=BACKCHANNELS.copy)
    """What a listener says without wanting the floor, by language: while the agent speaks it counts as no word. A
    language that is left out keeps its list; where there is none every word counts."""
    stop_words: tuple[str, ...] = tuple("stop,wait,no,cancel,quiet,pause,enough,never,hold,hey".split(","))

    def __post_init__(self) -> None:
        if self.mode not in ("graded", "never", "any_sound"):
            raise ValueError(f"mode is {self.mode!r}; it must be graded, never or any_sound")
        if self.resume_at not in ("word", "sample"):
            raise ValueError(f"resume_at is {self.resume_at!r}; it must be word or sample")
        if self.language and not _LANGUAGE.fullmatch(self.language):
            raise ValueError(f"language is {self.language!r}; it must be {_A_LANGUAGE}")
        if unknown := [name for name in self.backchannels if not _LANGUAGE.fullmatch(name)]:
            raise ValueError(f"backchannels has {unknown[0]!r}; a language is {_A_LANGUAGE}")
        for language, phrases in self.backchannels.items():
            _phrases(f"backchannels.{language}", phrases)
        _phrases("stop_words", self.stop_words)
        if several := [phrase for phrase in self.stop_words if " " in phrase]:
            raise ValueError(f"stop_words has {several[0]!r}; each is a single word")
        _within(self, "min_words", 1, 20)
        _within(self, "words_voiced_ms", 0, MAX_VOICED_MS)
        _within(self, "one_word_voiced_ms", 0, MAX_VOICED_MS)
        _within(self, "voiced_ms", 50, MAX_VOICED_MS)
        _within(self, "window_ms", 0, 5_000)
        _within(self, "pause_limit_ms", 100, 10_000)
        _within(self, "device_window_ms", 50, 5_000)
        _within(self, "wary_after", 1, 1_000)
        _within(self, "wary_raise_percent", 0, 100)
        _within(self, "wary_decay_ms", 1_000, 3_600_000)

    @property
    def spoken_backchannels(self) -> tuple[str, ...]:
        """Those of the language that is spoken."""
        language = self.language or "en"
        return self.backchannels.get(language, BACKCHANNELS.get(language, ()))


@dataclass(frozen=True, slots=True)
class Replies:
    """How replies are begun, prefaced and bounded."""

    __pydantic_config__: ClassVar[dict[str, Any]] = {"extra": "forbid"}

    steering: Literal["now", "sentence", "after"] = "now"
    """When a message typed during a reply is answered: at once, behind the sentence, behind the reply."""
    speculate: bool = True
    """Run the brain on the text so far before the turn has ended."""
    preface_after_ms: int = 700
    preface_text: str = "Let me check that."
    first_clause_chars: int = 5
    """The first chunk is cut at a comma once it has this many characters."""
    max_chunk_chars: int = 240
    max_steps: int = 6
    """Brain and tool rounds within one reply."""
    max_calls: int = 16
    """Tool calls within one reply; further ones are left out."""
    max_reply_chars: int = 4_000
    model_timeout_ms: int = 20_000
    """A brain or a tool that is silent for this long is given up."""
    tool_timeout_ms: int = 15_000
    cancel_timeout_ms: int = 1_000
    """A cancel that is not acked by then is an error; the conversation goes on."""
    dead_air_ms: int = 5_000
    """The agent is never silent for longer while it works: it says that it is still at it."""
    dead_air_text: str = "I'm still working on it."
    stalled_ms: int = 3_000
    """Speech that is ready and does not leave the playout for this long is given up."""
    tts_timeout_ms: int = 10_000
    """Speech that was asked for and is not there after this long is given up."""
    context_events: int = 256
    """What was said and done that prompts are made of, and that a `model.start` lists; beyond it the older half is
    reached through an earlier one, and no further back than through four."""

    def __post_init__(self) -> None:
        if self.steering not in ("now", "sentence", "after"):
            raise ValueError(f"steering is {self.steering!r}; it must be now, sentence or after")
        _within(self, "preface_after_ms", 0, 60_000)
        _within(self, "first_clause_chars", 1, 1_000)
        _within(self, "max_chunk_chars", 20, 2_000)
        _within(self, "max_steps", 1, 50)
        _within(self, "max_calls", 1, 1_000)
        _within(self, "max_reply_chars", 100, 100_000)
        _within(self, "model_timeout_ms", 100, 600_000)
        _within(self, "tool_timeout_ms", 100, 600_000)
        _within(self, "cancel_timeout_ms", 50, 60_000)
        _within(self, "dead_air_ms", 500, 600_000)
        _within(self, "stalled_ms", 500, 600_000)
        _within(self, "tts_timeout_ms", 500, 600_000)
        _within(self, "context_events", 2, 10_000)


@dataclass(frozen=True, slots=True)
class Actions:
    """Who confirms what has side effects. Only `risk=low` may ever be confirmed by policy."""

    __pydantic_config__: ClassVar[dict[str, Any]] = {"extra": "forbid"}

    low_risk: Literal["policy", "ask"] = "policy"
    """`ask`: the user confirms every action, not only those of high risk."""
    question: str = "Shall I?"
    declined: str = "Okay, I won't."
    affirmations: tuple[str, ...] = (
        "yes",
        "yes please",
        "yes do it",
        "yes do that",
        "yes send it",
        "yes go ahead",
        "yes add it",
        "add it",
        "yep",
        "yeah",
        "sure",
        "do it",
        "do that",
        "send it",
        "go ahead",
        "confirm",
        "please do",
        "okay",
        "ok",
    )
    refusals: tuple[str, ...] = (
        "no",
        "no thanks",
        "no thank you",
        "nope",
        "don't",
        "do not",
        "no don't",
        "don't do it",
        "don't send it",
        "cancel",
        "cancel that",
        "never mind",
        "stop",
        "forget it",
    )
    proposal_ms: int = 60_000
    """A proposal that is neither confirmed nor refused for this long goes stale."""
    unknown_ms: int = 60_000
    """An action that goes on for this long behind its reply counts as unknown, and the user is told."""

    def __post_init__(self) -> None:
        if self.low_risk not in ("policy", "ask"):
            raise ValueError(f"low_risk is {self.low_risk!r}; it must be policy or ask")
        for name, phrases in (("affirmations", self.affirmations), ("refusals", self.refusals)):
            _phrases(name, phrases)
            if not phrases:
                raise ValueError(f"{name} is empty; its first phrase is what the button says")
        if both := set(self.affirmations) & set(self.refusals):
            raise ValueError(f"affirmations has {min(both)!r}, which is one of refusals, too")
        _within(self, "proposal_ms", 1_000, 3_600_000)
        _within(self, "unknown_ms", 1_000, 3_600_000)


@dataclass(frozen=True, slots=True)
class Policy:
    """Everything the core can be told."""

    __pydantic_config__: ClassVar[dict[str, Any]] = {"extra": "forbid"}

    endpointing: Endpointing = Endpointing()
    interruption: Interruption = Interruption()
    replies: Replies = Replies()
    actions: Actions = Actions()

    def to_dict(self) -> dict[str, dict[str, Json]]:
        """As JSON values, by table and key."""
        return {
            table.name: {
                key.name: _as_json(getattr(getattr(self, table.name), key.name))
                for key in fields(getattr(self, table.name))
            }
            for table in fields(self)
        }

    @classmethod
    def from_dict(cls, tables: dict[str, dict[str, Json]]) -> Policy:
        """The inverse of `to_dict`. Raises `ValueError` naming an unknown key or a bad value."""
        return cls().with_changes(
            {f"{table}.{key}": value for table, keys in tables.items() for key, value in keys.items()}
        )

    def with_changes(self, changes: dict[str, Json]) -> Policy:
        """A copy with each `table.key` set, all at once: limits that depend on each other may move together.

        Raises `ValueError` for an unknown key or a bad value.
        """
        by_table: dict[str, dict[str, Any]] = {}
        for key, value in changes.items():
            table_name, _, name = key.partition(".")
            if name not in _KEYS.get(table_name, ()):
                raise ValueError(f"{key} is not a setting of the conversation")
            old = getattr(getattr(self, table_name), name)
            if (changed := _converted(key, value, old)) != old:
                by_table.setdefault(table_name, {})[name] = changed
        policy = self
        for table_name, values in by_table.items():
            try:
                policy = replace(policy, **{table_name: replace(getattr(self, table_name), **values)})
            except ValueError as error:
                raise ValueError(f"{table_name}.{error}") from None
        return policy


def _as_json(value: Any) -> Json:
    if isinstance(value, dict):
        return {name: list(items) for name, items in value.items()}
    return list(value) if isinstance(value, tuple) else value


def _converted(key: str, value: Json, old: object) -> object:
    """A JSON value as the type of the value it replaces."""
    if isinstance(old, dict):
        if not isinstance(value, dict):
            raise ValueError(f"{key} must be a table")
        return {name: _converted(f"{key}.{name}", items, ()) for name, items in value.items()}
    if isinstance(old, tuple):
        if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
            raise ValueError(f"{key} must be a list of strings")
        return tuple(value)
    if type(value) is not type(old):
        raise ValueError(f"{key} must be {type(old).__name__}, not {type(value).__name__}")
    return value


TABLES = tuple(table.name for table in fields(Policy))
"""The tables of `agent.toml` that make up a policy."""
_KEYS = {table: frozenset(key.name for key in fields(getattr(Policy(), table))) for table in TABLES}
