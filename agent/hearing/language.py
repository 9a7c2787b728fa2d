"""The recogniser's domain: a trigram language model of the sentences that skills understand.

Witten-Bell smoothing, interpolated (Witten and Bell, 1991; Chen and Goodman, 1998, section
2.4), written in the ARPA format. `NOVELTY` scales the share left for what the sentences do
not have: small, because a sentence outside the domain is the general model's business.
"""

from __future__ import annotations

import hashlib
import math
import os
import re
from collections import defaultdict
from collections.abc import Container, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

NOVELTY = 0.2
FILLERS = ("uh", "um", "hm", "hmm", "mhm", "uh-huh")
"""Hesitations and listener's sounds; no skill has a sentence with them."""
FILLER_WEIGHT = 0.05
"""How often, against the plain sentence, one is begun with a filler."""
_NOT_SPOKEN = re.compile(r"[^a-z' -]+")

Gram = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Domain:
    """Sentences as the recogniser can hear them.

    `unknown_words` are not in the pronunciation dictionary; the sentences that have one
    were left out and are counted in `left_out`.
    """

    sentences: tuple[str, ...]
    unknown_words: tuple[str, ...] = ()
    left_out: int = 0

    def report(self) -> str:
        """For a log or `doctor`; empty when every sentence is in."""
        if not self.left_out:
            return ""
        words = ", ".join(self.unknown_words[:20])
        return f"{self.left_out} example sentences have words without a pronunciation and cannot be heard: {words}"


def words_of(sentences: Iterable[str]) -> set[str]:
    """All that a pronunciation is looked for."""
    whole = {word for sentence in sentences for word in _written_words(sentence)}
    return whole | {part for word in whole for part in word.split("-")}


def _written_words(sentence: str) -> list[str]:
    return _NOT_SPOKEN.sub(" ", sentence.lower()).split()


def domain(sentences: Iterable[str], pronounced: Container[str]) -> Domain:
    """Lower-case words without punctuation; sentences that cannot be pronounced are left out."""
    kept: list[str] = []
    unknown: set[str] = set()
    left_out = 0
    for sentence in sentences:
        words = [w for word in _written_words(sentence) for w in _spoken(word, pronounced)]
        missing = {word for word in words if word not in pronounced}
        if missing:
            unknown |= missing
            left_out += 1
        elif words:
            kept.append(" ".join(words))
    return Domain(tuple(kept), tuple(sorted(unknown)), left_out)


def _spoken(word: str, pronounced: Container[str]) -> list[str]:
    """`to-do` is one word where the dictionary has it, two otherwise."""
    if word in pronounced:
        return [word]
    return [part for part in word.split("-") if part]


Pronunciations = dict[str, list[str]]
"""The lines of a dictionary in CMU's format by word: `word PH ON ES`, variants as `word(2)`."""


def pronunciations(dictionary: Path, wanted: Container[str]) -> Pronunciations:
    """Those of a dictionary file that are wanted: a whole one has 130,000."""
    found: Pronunciations = defaultdict(list)
    with dictionary.open(encoding="utf-8") as lines:
        for line in lines:
            word = line.partition(" ")[0].partition("(")[0]
            if word in wanted:
                found[word].append(line.rstrip())
    return dict(found)


def dictionary_of(sentences: Iterable[str], fillers: Iterable[str], known: Pronunciations) -> str:
    """The dictionary of these sentences' words alone."""
    words = sorted({word for sentence in sentences for word in sentence.split()} | set(fillers))
    return "".join(line + "\n" for word in words for line in known[word])


def arpa(sentences: Sequence[str], fillers: Sequence[str] = ()) -> str:
    """The model as ARPA text. `fillers` may stand alone or begin any sentence."""
    counts = _counts(sentences, fillers)
    followers: dict[Gram, set[str]] = defaultdict(set)
    totals: dict[Gram, float] = defaultdict(float)
    for gram, count in counts.items():
        followers[gram[:-1]].add(gram[-1])
        totals[gram[:-1]] += count
    words = sorted(followers[()] | {"<s>"})

    def left_over(history: Gram) -> float:
        novelty = NOVELTY * len(followers[history])
        return novelty / (totals[history] + novelty)

    def probability(gram: Gram) -> float:
        history = gram[:-1]
        lower = probability(gram[1:]) if history else 1.0 / len(words)
        if not totals.get(history):
            return lower
        seen = counts.get(gram, 0.0) / totals[history]
        rest = left_over(history)
        return (1.0 - rest) * seen + rest * lower

    lines = ["\\data\\"]
    grams = {order: sorted(g for g in counts if len(g) == order) for order in (1, 2, 3)}
    grams[1] = [(word,) for word in words]
    lines += [f"ngram {order}={len(grams[order])}" for order in (1, 2, 3)]
    for order in (1, 2, 3):
        lines += ["", f"\\{order}-grams:"]
        for gram in grams[order]:
            chance = -99.0 if gram == ("<s>",) else math.log10(probability(gram))
            backoff = math.log10(left_over(gram)) if order < 3 and gram in totals else 0.0
            lines.append(f"{chance:.4f} {' '.join(gram)}" + (f" {backoff:.4f}" if order < 3 else ""))
    return "\n".join([*lines, "", "\\end\\", ""])


def _counts(sentences: Sequence[str], fillers: Sequence[str]) -> dict[Gram, float]:
    counts: dict[Gram, float] = defaultdict(float)
    share = FILLER_WEIGHT / max(1, len(fillers))
    weighted = [(sentence.split(), 1.0) for sentence in sentences]
    weighted += [([filler, *words], share) for words, _ in list(weighted) for filler in fillers]
    weighted += [([filler], FILLER_WEIGHT * len(sentences) / 10) for filler in fillers]
    for words, weight in weighted:
        marked = ["<s>", *words, "</s>"]
        for end in range(1, len(marked)):
            for order in (1, 2, 3):
                if end - order >= -1:
                    counts[tuple(marked[end - order + 1 : end + 1])] += weight
    return counts


def arpa_file(sentences: Sequence[str], fillers: Sequence[str], folder: Path) -> Path:
    """The model as a file in `folder`, made once for the same sentences and the rules of this module."""
    rules = Path(__file__).read_bytes() + repr((sentences, fillers)).encode()
    path = folder / f"domain-{hashlib.sha256(rules).hexdigest()[:16]}.arpa"
    if not path.exists():
        _write(path, arpa(sentences, fillers))
    return path


def written(text: str, folder: Path, suffix: str) -> Path:
    """`text` as a file in `folder`, named by its content; written once."""
    path = folder / f"domain-{hashlib.sha256(text.encode()).hexdigest()[:16]}{suffix}"
    if not path.exists():
        _write(path, text)
    return path


def _write(path: Path, text: str) -> None:
    """Whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(f".{os.getpid()}.partial")
    partial.write_text(text, encoding="utf-8")
    partial.replace(path)
