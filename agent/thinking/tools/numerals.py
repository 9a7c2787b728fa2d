"""Numbers as people say them: words to values, and values to words."""

from __future__ import annotations

import re
from collections.abc import Sequence
from fractions import Fraction

_ONES = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen "
    "seventeen eighteen nineteen"
).split()
_TENS = "twenty thirty forty fifty sixty seventy eighty ninety".split()
_SMALL = {word: value for value, word in enumerate(_ONES)} | {
    word: 10 * value for value, word in enumerate(_TENS, start=2)
}
_SCALES = {"thousand": 10**3, "million": 10**6, "billion": 10**9, "trillion": 10**12}
_PARTS = {
    "half": Fraction(1, 2), "third": Fraction(1, 3), "quarter": Fraction(1, 4), "thirds": Fraction(1, 3),
    "quarters": Fraction(1, 4), "fifth": Fraction(1, 5), "tenth": Fraction(1, 10),
}  # fmt: skip
_DIGITS = re.compile(r"\d{1,30}(?:\.\d{1,30})?|\d{1,3}(?:,\d{3}){1,8}(?:\.\d{1,30})?|\.\d{1,30}")
_ORDINALS = {
    word: value
    for value, word in enumerate(
        (
            "first second third fourth fifth sixth seventh eighth ninth tenth eleventh twelfth thirteenth fourteenth "
            "fifteenth sixteenth seventeenth eighteenth nineteenth twentieth"
        ).split(),
        start=1,
    )
} | {"thirtieth": 30}

NUMBER_WORDS = frozenset(_SMALL) | frozenset(_SCALES) | {"hundred", "half", "dozen", "minus", "negative", "point"}


def number_at(words: Sequence[str], at: int) -> tuple[Fraction, int] | None:
    """The longest number beginning at word `at`, and the index behind it."""
    if at < len(words) and words[at] in ("minus", "negative"):
        found = _unsigned(words, at + 1)
        return None if found is None else (-found[0], found[1])
    if at < len(words) and len(words[at]) > 1 and words[at][0] in "-−" and _DIGITS.fullmatch(words[at][1:]):
        found = _unsigned([words[at][1:], *words[at + 1 :]], 0)
        return None if found is None else (-found[0], found[1] + at)
    return _unsigned(words, at)


def number(words: Sequence[str]) -> Fraction | None:
    """The value of all the words together, or None."""
    found = number_at(words, 0)
    return found[0] if found is not None and found[1] == len(words) else None


def _unsigned(words: Sequence[str], at: int) -> tuple[Fraction, int] | None:
    part = _fraction(words, at)
    if part is not None:
        return part
    whole = _whole(words, at)
    if whole is None:
        return None
    value, at = whole
    decimals = _decimals(words, at)
    if decimals is not None:
        return value + decimals[0], decimals[1]
    if at + 1 < len(words) and words[at] == "and":
        part = _fraction(words, at + 1)
        if part is not None:
            return value + part[0], part[1]
    if at < len(words) and words[at] in _PARTS and words[at] != "half" and words[at].endswith("s"):
        return value * _PARTS[words[at]], at + 1
    return Fraction(value), at


def _fraction(words: Sequence[str], at: int) -> tuple[Fraction, int] | None:
    if at < len(words) and words[at] == "half":
        return Fraction(1, 2), at + 1
    if at + 1 < len(words) and words[at] in ("a", "one") and words[at + 1] in ("half", "third", "quarter"):
        return _PARTS[words[at + 1]], at + 2
    return None


def _decimals(words: Sequence[str], at: int) -> tuple[Fraction, int] | None:
    """`point one four`; also `point twenty five`."""
    if at + 1 >= len(words) or words[at] != "point":
        return None
    digits = ""
    end = at + 1
    while end < len(words) and len(digits) < 30:
        word = "zero" if words[end] == "oh" else words[end]
        if word not in _SMALL and not (word.isdecimal() and len(word) < 10):
            break
        digits += str(_SMALL.get(word, word))
        end += 1
    return (Fraction(int(digits), 10 ** len(digits)), end) if digits else None


def _whole(words: Sequence[str], at: int) -> tuple[Fraction, int] | None:
    total = Fraction(0)
    ceiling = 10**15
    start = at
    while at < len(words):
        group = _below_thousand(words, at, first=at == start)
        if group is None:
            break
        value, end = group
        scale = _SCALES.get(words[end], 1) if end < len(words) else 1
        if scale >= ceiling or (at > start and scale == 1 and ceiling < 10**3):
            break
        total += value * scale
        at = end + (scale > 1)
        ceiling = scale
        if scale == 1:
            break
        if at + 1 < len(words) and words[at] == "and" and words[at + 1] in _SMALL:
            at += 1
    if at > start and words[at - 1] == "and":
        at -= 1
    return (total, at) if at > start else None


def _below_thousand(words: Sequence[str], at: int, *, first: bool) -> tuple[Fraction, int] | None:
    word = words[at]
    if _DIGITS.fullmatch(word):
        return Fraction(word.replace(",", "")), at + 1
    if word == "dozen" or (word == "a" and words[at + 1 : at + 2] == ["dozen"]):
        return Fraction(12), at + 1 + (word == "a")
    if word == "a" and first and at + 1 < len(words) and (words[at + 1] == "hundred" or words[at + 1] in _SCALES):
        value, end = 1, at + 1
    else:
        pair = _below_hundred(words, at)
        if pair is None:
            return None
        value, end = pair
    if end < len(words) and words[end] == "hundred":
        value, end = value * 100, end + 1
        rest = end + (end < len(words) and words[end] == "and")
        pair = _below_hundred(words, rest) if rest < len(words) else None
        if pair is not None:
            return Fraction(value + pair[0]), pair[1]
    return Fraction(value), end


def _below_hundred(words: Sequence[str], at: int) -> tuple[int, int] | None:
    word = words[at]
    tens, _, ones = word.partition("-")
    if tens in _TENS and ones in _ONES[1:10]:
        return _SMALL[tens] + _SMALL[ones], at + 1
    if word not in _SMALL:
        return None
    if word in _TENS and at + 1 < len(words) and words[at + 1] in _ONES[1:10]:
        return _SMALL[word] + _SMALL[words[at + 1]], at + 2
    return _SMALL[word], at + 1


def ordinal(words: Sequence[str]) -> int | None:
    """`first` … `thirty first`, `3rd`, or a plain number, up to 31."""
    if len(words) == 1:
        found = re.fullmatch(r"(\d{1,2})(?:st|nd|rd|th)", words[0])
        if found:
            return int(found.group(1))
        if words[0] in _ORDINALS:
            return _ORDINALS[words[0]]
    if len(words) == 2 and words[0] in ("twenty", "thirty") and words[1] in _ORDINALS:
        return _SMALL[words[0]] + _ORDINALS[words[1]]
    value = number(words)
    return int(value) if value is not None and value.denominator == 1 and 0 < value <= 31 else None


def spoken(value: int) -> str:
    """A whole number in words: 205 is `two hundred and five`. Up to a million million."""
    if value < 0:
        return f"minus {spoken(-value)}"
    if value < 20:
        return _ONES[value]
    if value < 100:
        tens, ones = divmod(value, 10)
        return _TENS[tens - 2] + (f" {_ONES[ones]}" if ones else "")
    if value < 1000:
        hundreds, rest = divmod(value, 100)
        return f"{_ONES[hundreds]} hundred" + (f" and {spoken(rest)}" if rest else "")
    for name, scale in reversed(_SCALES.items()):
        if value >= scale:
            high, rest = divmod(value, scale)
            return f"{spoken(high)} {name}" + (f" {spoken(rest)}" if rest else "")
    raise AssertionError(value)


def plain(value: Fraction | float, places: int = 4) -> str:
    """For eye and ear: `3.25`, `1,200`, `-3`. Rounded to so many places, more for small values."""
    value = Fraction(value)
    if value >= 10**15 or value <= -(10**15):
        return f"{float(value):.4g}".replace("e+", " times 10 to the power of ")
    if value == int(value):
        return f"{int(value):,}"
    decimal = float(value)
    if 0 < abs(decimal) < 0.1**places:
        return f"{decimal:.3g}" if abs(decimal) < 1e-12 else f"{decimal:.15f}".rstrip("0")[: 2 + places + 10]
    return f"{decimal:,.{places}f}".rstrip("0").rstrip(".")
