from agent.hearing.rejection import BestPath, Segment, confidence


def path(text: str, score: float, frames_a_word: int = 30) -> BestPath:
    segments, at = [Segment("<s>", 0, 9)], 10
    for word in text.split():
        segments.append(Segment(word, at, at + frames_a_word - 1))
        at += frames_a_word
    return BestPath(text, score, [*segments, Segment("</s>", at, at + 9)])


def test_a_likelier_domain_path_with_the_same_words_is_sure() -> None:
    assert confidence(path("stop it", -9_000), path("stop it", -9_600)) > 0.9


def test_a_general_path_that_fits_far_better_is_a_rejection() -> None:
    assert confidence(path("set a timer", -9_900), path("said the miner", -9_000)) < 0.1


def test_agreement_helps() -> None:
    alone = confidence(path("what time", -9_000), path("but dime", -9_300))
    together = confidence(path("what time", -9_000), path("what time", -9_300))
    assert together > alone


def test_a_hesitation_needs_less() -> None:
    general = path("come", -9_060)
    assert confidence(path("um", -9_000), general) > 0.5 > confidence(path("yes", -9_000), general)
    assert confidence(path("mhm", -9_000), general) > 0.5


def test_silence_is_nothing() -> None:
    assert confidence(path("", -100), path("", -100)) == 0.0
    assert confidence(path("", -100), path("and", -100)) == 0.0


def test_a_word_where_the_general_decoder_has_nothing_at_all_is_none() -> None:
    """As for a click of a few frames: no frame can be compared."""
    assert confidence(path("uh", -900), BestPath("", 0.0, [])) == 0.0


def test_a_word_that_lasts_longer_than_words_do_is_none() -> None:
    horn = path("add", -9_000, frames_a_word=150)
    assert not horn.plausible
    assert confidence(horn, path("i should", -12_000, frames_a_word=75)) == 0.0


def test_variants_of_a_pronunciation_are_the_same_word() -> None:
    assert path("a(2)", 0).words() == path("a", 0).words()
