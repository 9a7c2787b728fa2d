from __future__ import annotations

import math
from collections import defaultdict
from pathlib import Path

from agent.hearing.language import arpa, arpa_file, dictionary_of, domain, pronunciations, words_of, written

SENTENCES = ["set a timer", "set a timer for ten minutes", "what time is it", "stop"]


def parsed(text: str) -> dict[tuple[str, ...], tuple[float, float]]:
    """The grams of an ARPA file: log10 probability and backoff weight."""
    grams: dict[tuple[str, ...], tuple[float, float]] = {}
    order = 0
    for line in text.splitlines():
        if line.startswith("\\") and line.endswith("-grams:"):
            order = int(line[1])
        elif order and line and not line.startswith("\\"):
            fields = line.split()
            backoff = float(fields[order + 1]) if len(fields) > order + 1 else 0.0
            grams[tuple(fields[1 : order + 1])] = (float(fields[0]), backoff)
    return grams


def probability(grams: dict[tuple[str, ...], tuple[float, float]], gram: tuple[str, ...]) -> float:
    """By the backoff rule of the ARPA format."""
    if gram in grams:
        return 10 ** grams[gram][0]
    history = gram[:-1]
    weight = 10 ** grams[history][1] if history in grams else 1.0
    return weight * probability(grams, gram[1:])


def test_every_distribution_sums_to_one() -> None:
    grams = parsed(arpa(SENTENCES, ["uh"]))
    words = [gram[0] for gram in grams if len(gram) == 1 and gram != ("<s>",)]
    histories = [gram for gram in grams if len(gram) < 3 and gram[-1] != "</s>"]
    assert len(histories) > 10
    for history in histories:
        total = sum(probability(grams, (*history, word)) for word in words)
        assert math.isclose(total, 1.0, abs_tol=0.02), history


def test_a_sentence_of_the_domain_is_likelier_than_its_words_in_disorder() -> None:
    grams = parsed(arpa(SENTENCES))

    def chance(sentence: str) -> float:
        words = ["<s>", *sentence.split(), "</s>"]
        return math.prod(probability(grams, tuple(words[max(0, i - 2) : i + 1])) for i in range(1, len(words)))

    assert chance("set a timer for ten minutes") > 1_000 * chance("minutes a ten timer set for")


def test_the_counts_in_the_header_are_those_of_the_body() -> None:
    text = arpa(SENTENCES, ["uh", "um"])
    sizes: dict[int, int] = defaultdict(int)
    for gram in parsed(text):
        sizes[len(gram)] += 1
    for order in (1, 2, 3):
        assert f"ngram {order}={sizes[order]}" in text


def test_sentences_that_cannot_be_pronounced_are_left_out_and_reported() -> None:
    known = frozenset("what's on my to do list add milk".split())
    found = domain(["What's on my to-do list?", "Add quinoa!", "add milk", "  "], known)
    assert found.sentences == ("what's on my to do list", "add milk")
    assert found.unknown_words == ("quinoa",)
    assert "1 example sentences" in found.report()
    assert "quinoa" in found.report()
    assert domain(["add milk"], known).report() == ""


def test_a_dictionary_is_cut_to_the_words_of_the_domain_with_their_variants(tmp_path: Path) -> None:
    path = tmp_path / "some.dict"
    path.write_text("hello HH AH L OW\nhello(2) HH EH L OW\nto T UW\ndo D UW\nworld W ER L D\n\n")
    known = pronunciations(path, words_of(["Hello!", "a to-do list"]))
    assert set(known) == {"hello", "to", "do"}, "no more of it than is wanted"
    assert dictionary_of(["hello"], [], known) == "hello HH AH L OW\nhello(2) HH EH L OW\n"


def test_a_model_is_written_once_and_named_by_its_content(tmp_path: Path) -> None:
    first = written("one", tmp_path / "cache", ".arpa")
    made = first.stat().st_mtime_ns
    assert written("one", tmp_path / "cache", ".arpa") == first
    assert first.stat().st_mtime_ns == made
    assert written("two", tmp_path / "cache", ".arpa") != first
    assert first.read_text() == "one"


def test_a_model_of_the_same_sentences_is_made_once(tmp_path: Path) -> None:
    first = arpa_file(SENTENCES, ["uh"], tmp_path / "cache")
    assert first.read_text() == arpa(SENTENCES, ["uh"])
    made = first.stat().st_mtime_ns
    assert arpa_file(SENTENCES, ["uh"], tmp_path / "cache") == first
    assert first.stat().st_mtime_ns == made
    others = {arpa_file(SENTENCES, ["um"], tmp_path / "cache"), arpa_file(SENTENCES[1:], ["uh"], tmp_path / "cache")}
    assert len(others | {first}) == 3
    assert len(list((tmp_path / "cache").iterdir())) == 3, "nothing half-written stays"
