"""Where in the phonemes of a sentence each of its tokens begins.

Words cannot be matched by counting: "2026" is four phoneme words, "of the" is one, and a dash none. So each token
is pronounced by itself, too, and what that gives is laid beside the sentence with the fewest differences
(Needleman and Wunsch): phonemes change in a sentence, but seldom all those of a word.
"""

from __future__ import annotations

from collections.abc import Sequence

STRESS = frozenset("ˈˌ")
_SILENT = STRESS | frozenset(" ,.:;!?…-–—'\"()_^$")
_GAP, _DIFFERENT = 2, 3
_SAME, _LEFT_OUT, _ADDED = 0, 1, 2


def token_starts(sentence: Sequence[str], tokens: Sequence[Sequence[str]]) -> list[int | None]:
    """The index in `sentence` of the first phoneme of each token; None for one that is not heard in it.

    `sentence` and each of `tokens` are phonemes, one a string. Indices rise. A stress mark belongs to the
    phoneme behind it.
    """
    heard = [index for index, phoneme in enumerate(sentence) if phoneme not in _SILENT]
    letters = [(token, phoneme) for token, phonemes in enumerate(tokens) for phoneme in phonemes]
    letters = [(token, phoneme) for token, phoneme in letters if phoneme not in _SILENT]
    starts: list[int | None] = [None] * len(tokens)
    for letter, place in _pairs([phoneme for _, phoneme in letters], [sentence[index] for index in heard]):
        token = letters[letter][0]
        if starts[token] is None:
            starts[token] = _before_stress(sentence, heard[place])
    return starts


def _before_stress(sentence: Sequence[str], index: int) -> int:
    while index and sentence[index - 1] in STRESS:
        index -= 1
    return index


def _pairs(one: Sequence[str], other: Sequence[str]) -> list[tuple[int, int]]:
    """Indices of `one` and `other` that belong together, in order."""
    costs = [_GAP * column for column in range(len(other) + 1)]
    steps = [bytes([_ADDED]) * len(costs)]
    for row, letter in enumerate(one, start=1):
        diagonal, costs[0] = costs[0], _GAP * row
        taken = bytearray([_LEFT_OUT])
        for column, against in enumerate(other, start=1):
            paired = diagonal + (0 if letter == against else _DIFFERENT)
            diagonal = costs[column]
            left_out, added = diagonal + _GAP, costs[column - 1] + _GAP
            best = min(paired, left_out, added)
            costs[column] = best
            taken.append(_SAME if best == paired else _LEFT_OUT if best == left_out else _ADDED)
        steps.append(bytes(taken))
    pairs, row, column = [], len(one), len(other)
    while row and column:
        step = steps[row][column]
        if step == _SAME:
            pairs.append((row - 1, column - 1))
        row -= step != _ADDED
        column -= step != _LEFT_OUT
    return pairs[::-1]
