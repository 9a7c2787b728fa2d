"""Which files are said to the agent, and when each of them begins."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from agent.errors import SettingsError
from agent.transport.audio_file import Audio, read_audio

GAP_MS = 500
MAX_RULE_MS = 3_600_000


@dataclass(frozen=True, slots=True)
class AfterReply:
    """Once the file before it and the agent's answer to it are over; the first file at once."""

    gap_ms: int = GAP_MS


@dataclass(frozen=True, slots=True)
class At:
    """At this position of the recording."""

    at_ms: int


@dataclass(frozen=True, slots=True)
class Overlap:
    """This long after the agent began to answer the file before it: a barge-in."""

    after_ms: int


NextRule = AfterReply | At | Overlap


@dataclass(frozen=True, slots=True)
class Utterance:
    """One file as user audio. No file begins before the one ahead of it has begun."""

    path: Path
    when: NextRule
    audio: Audio


_RULE = re.compile(r"(after-reply|at|overlap)(?:=(\d{1,12}))?", re.ASCII)


def parse_next(text: str) -> NextRule:
    """`after-reply`, `after-reply=MS` (the pause behind the answer), `at=MS` or `overlap=MS`.

    Raises `SettingsError`.
    """
    found = _RULE.fullmatch(text.strip())
    name, ms = (found[1], int(found[2]) if found[2] else None) if found else ("", None)
    if ms is not None and ms > MAX_RULE_MS:
        raise SettingsError(f"--next {text:.40}: at most {MAX_RULE_MS} ms (an hour) can be waited for")
    match name, ms:
        case "after-reply", None:
            return AfterReply()
        case "after-reply", int():
            return AfterReply(ms)
        case "at", int():
            return At(ms)
        case "overlap", int():
            return Overlap(ms)
    raise SettingsError(
        f"--next {text!r:.60} is not a rule; say after-reply, after-reply=MS, at=MS or overlap=MS, "
        "in whole milliseconds, such as overlap=800"
    )


def rules_for(files: int, texts: Sequence[str]) -> tuple[NextRule, ...]:
    """One rule per file. None given: all after the reply. One: for every file behind the first
    (or for the only one). As many as files, or one less: in order. Raises `SettingsError`."""
    given = tuple(parse_next(text) for text in texts)
    if not given:
        rules: tuple[NextRule, ...] = (AfterReply(),) * files
    elif len(given) == files:
        rules = given
    elif len(given) == files - 1:
        rules = (AfterReply(), *given)
    elif len(given) == 1:
        rules = (AfterReply(), *given * (files - 1))
    else:
        raise SettingsError(f"--next is given {len(given)} times for {files} files; give it once, or once per file")
    _check(rules)
    return rules


def _check(rules: tuple[NextRule, ...]) -> None:
    if rules and isinstance(rules[0], Overlap):
        raise SettingsError("--next overlap=MS: the first file has no answer before it that it could overlap")
    positions = [rule.at_ms for rule in rules if isinstance(rule, At)]
    if any(later <= earlier for earlier, later in pairwise(positions)):
        raise SettingsError("--next at=MS: each position must lie behind the one before it; give one per file")


def plan_files(paths: Sequence[Path], next_texts: Sequence[str] = ()) -> tuple[Utterance, ...]:
    """Read every file and parse its rule. Blocks while it decodes: call it before the loop runs.

    Raises `SettingsError` for a rule and `AudioError` for a file, naming it.
    """
    if not paths:
        raise SettingsError("name at least one sound file")
    rules = rules_for(len(paths), next_texts)
    return tuple(Utterance(path, rule, read_audio(path)) for path, rule in zip(paths, rules, strict=True))
