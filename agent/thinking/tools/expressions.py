"""Arithmetic: from spoken words to symbols, and from symbols to an exact value.

expression  = term (("+" | "-") term)*
term        = factor (("*" | "/" | "mod") factor)*
factor      = "-" factor | power
power       = atom ["^" factor]
atom        = number | "(" expression ")" | ("sqrt" | "cbrt") factor
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from fractions import Fraction

from agent.errors import ToolError
from agent.thinking.tools.numerals import number_at, spoken

MAX_TOKENS = 100
MAX_DEPTH = 30
MAX_BITS = 2_000
"""Bound on the size of any value on the way."""

_PHRASES = (
    (r"(?:multiplied by|times|x|×|\*)", " * "),
    (r"(?:divided by|over|÷|/)", " / "),
    (r"(?:raised to the power of|to the power of|raised to|\*\*|\^)", " ^ "),
    (r"(?:plus|\+|added to)", " + "),
    (r"(?:the )?square root of|sqrt", " sqrt "),
    (r"(?:the )?cube root of|cbrt", " cbrt "),
    (r"squared", " ^ 2 "),
    (r"cubed", " ^ 3 "),
    (r"(?:percent|%) of", " / 100 * "),
    (r"percent|%", " / 100 "),
    (r"modulo|modulus|mod", " mod "),
    (r"half of", " 0.5 * "),
    (r"(?:a )?third of", " 1 / 3 * "),
    (r"(?:a )?quarter of", " 0.25 * "),
    (r"(?:twice|double)", " 2 * "),
)
_RULES = [(re.compile(rf"(?<![a-z]){pattern}(?![a-z])"), symbol) for pattern, symbol in _PHRASES]
_OPERATORS = frozenset("+-*/^()") | {"mod", "sqrt", "cbrt"}
_TOKEN = re.compile(r"\d+(?:\.\d+)?|mod|sqrt|cbrt|[-+*/^()]")
_SPACED = re.compile(r"(?<=[\d).])\s*([-+*/^])\s*(?=[\d(.])|([()])")
_SAID = {"*": "times", "/": "divided by", "^": "to the power of", "+": "plus", "-": "minus",
         "sqrt": "the square root of", "cbrt": "the cube root of"}  # fmt: skip


def symbols(words: Sequence[str]) -> str | None:
    """`seven times eight plus two` → `7 * 8 + 2`; None unless it is all arithmetic with an operation."""
    text = " ".join(words)[:400].replace("−", "-")
    text = re.sub(r"(?<=\d)[x×](?=\d)", " * ", text)
    text = _SPACED.sub(lambda found: f" {found.group(1) or found.group(2)} ", text)
    for rule, symbol in _RULES:
        text = rule.sub(symbol, text)
    tokens: list[str] = []
    pieces = text.split()
    at = 0
    while at < len(pieces):
        piece = pieces[at]
        if piece in ("minus", "-") and tokens and tokens[-1] not in _OPERATORS - {")"}:
            tokens.append("-")
            at += 1
            continue
        if piece in _OPERATORS:
            tokens.append(piece)
            at += 1
            continue
        found = number_at(pieces, at)
        if found is None:
            return None
        value, at = found
        tokens.extend(_number_tokens(value))
    if len(tokens) > MAX_TOKENS or not any(token in _OPERATORS - set("()") for token in tokens):
        return None
    if len(tokens) < 2 or (len(tokens) == 2 and tokens[0] == "-"):
        return None
    if tokens[0] in ("*", "/", "^", "+", "mod", ")") or tokens[-1] in _OPERATORS - {")"}:
        return None
    return " ".join(tokens)


def _number_tokens(value: Fraction) -> list[str]:
    sign = ["-"] if value < 0 else []
    value = abs(value)
    decimal = format(float(value), ".12f").rstrip("0").rstrip(".")
    if value.denominator == 1:
        return [*sign, str(int(value))]
    if Fraction(decimal) == value:
        return [*sign, decimal]
    return [*sign, "(", str(value.numerator), "/", str(value.denominator), ")"]


def said(expression: str) -> str:
    """Symbols as they are spoken and shown: `7 times 8 plus 2`."""
    text = re.sub(r"([\d.]+) / 100 \*", r"\1 percent of", expression)
    text = re.sub(r"\^ 2(?![\d.])", "squared", text)
    text = re.sub(r"\^ 3(?![\d.])", "cubed", text)
    words = [_SAID.get(token, token) for token in text.split()]
    return " ".join(words).replace("( ", "(").replace(" )", ")")


def evaluate(expression: str) -> Fraction:
    """Exact where the numbers are. Raises `ToolError` (class input) for what has no value or is too large."""
    tokens = _TOKEN.findall(expression)
    if "".join(tokens) != "".join(expression.split()) or not tokens or len(tokens) > MAX_TOKENS:
        raise ToolError("I can't read that as arithmetic.", "input")
    parser = _Parser(tokens)
    value = parser.expression(0)
    if parser.left:
        raise ToolError("I can't read that as arithmetic.", "input")
    return value


class _Parser:
    def __init__(self, tokens: list[str]) -> None:
        self.left = tokens[::-1]

    def _next(self, *wanted: str) -> str:
        if self.left and self.left[-1] in wanted:
            return self.left.pop()
        return ""

    def expression(self, depth: int) -> Fraction:
        if depth > MAX_DEPTH:
            raise ToolError("That is nested too deep for me.", "input")
        value = self._term(depth)
        while sign := self._next("+", "-"):
            right = self._term(depth)
            value = _bounded(value + right if sign == "+" else value - right)
        return value

    def _term(self, depth: int) -> Fraction:
        value = self._factor(depth)
        while sign := self._next("*", "/", "mod"):
            right = self._factor(depth)
            if sign != "*" and right == 0:
                raise ToolError("Dividing by zero has no answer.", "input")
            value = _bounded(value * right if sign == "*" else value / right if sign == "/" else value % right)
        return value

    def _factor(self, depth: int) -> Fraction:
        if depth > MAX_DEPTH:
            raise ToolError("That is nested too deep for me.", "input")
        if self._next("-"):
            return -self._factor(depth + 1)
        value = self._atom(depth)
        return _power(value, self._factor(depth + 1)) if self._next("^") else value

    def _atom(self, depth: int) -> Fraction:
        if self._next("("):
            value = self.expression(depth + 1)
            if not self._next(")"):
                raise ToolError("A closing bracket is missing.", "input")
            return value
        if root := self._next("sqrt", "cbrt"):
            return _root(self._factor(depth + 1), 2 if root == "sqrt" else 3)
        if self.left and self.left[-1][0].isdigit():
            return _bounded(Fraction(self.left.pop()))
        raise ToolError("I can't read that as arithmetic.", "input")


def _bounded(value: Fraction) -> Fraction:
    if value.numerator.bit_length() > MAX_BITS or value.denominator.bit_length() > MAX_BITS:
        raise ToolError("That number is too large for me.", "input")
    return value


def _power(base: Fraction, exponent: Fraction) -> Fraction:
    if base == 0 and exponent < 0:
        raise ToolError("Dividing by zero has no answer.", "input")
    if exponent.denominator != 1:
        if base < 0:
            raise ToolError("That root is not a real number.", "input")
        return _float(lambda: float(base) ** float(exponent))
    size = max(base.numerator.bit_length(), base.denominator.bit_length())
    if base not in (0, 1, -1) and size * abs(exponent) > MAX_BITS:
        raise ToolError("That number is too large for me.", "input")
    return (
        base ** (int(exponent) % 2 if base in (0, 1, -1) and exponent > 2 else int(exponent))
        if base
        else Fraction(exponent == 0)
    )


def _root(value: Fraction, degree: int) -> Fraction:
    if value < 0 and degree == 2:
        raise ToolError("A negative number has no real square root.", "input")
    exact = round(_float(lambda: abs(float(value)) ** (1 / degree)))
    if exact**degree == abs(value):
        return Fraction(exact if value >= 0 else -exact)
    return _float(lambda: math.sqrt(value) if degree == 2 else math.cbrt(value))


def _float(compute: Callable[[], float]) -> Fraction:
    try:
        value = compute()
    except OverflowError:
        raise ToolError("That number is too large for me.", "input") from None
    if not math.isfinite(value):
        raise ToolError("That number is too large for me.", "input")
    return Fraction(value)


def samples() -> list[str]:
    """Spoken expressions that cover the number words and the operations."""
    operations = ("plus", "minus", "times", "divided by", "plus", "times", "multiplied by", "over")
    numbers = [*range(101), 120, 144, 250, 365, 500, 999, 1000, 2500]
    found = []
    for index, left in enumerate(numbers):
        for step, operation in enumerate(operations):
            right = numbers[(index * 3 + step * 5 + 7) % (13 if index % 2 else len(numbers))]
            found.append(f"{spoken(left)} {operation} {spoken(right)}")
    for a in range(1, 13):
        found += [f"{spoken(a)} times {spoken(b)}" for b in range(1, 13)]
        found.append(f"{spoken(a)} times {spoken(a + 1)} plus {spoken(a % 7 + 1)}")
        found.append(f"{spoken(a)} plus {spoken(a + 3)} minus {spoken(a % 5 + 1)}")
        found.append(f"{spoken(a)} to the power of {spoken(a % 9 + 1)}")
        found += [f"{spoken(a)} squared", f"{spoken(a)} cubed", f"the square root of {spoken(a * a)}"]
    for percent in (1, 2, 5, 8, 10, 12, 15, 18, 20, 25, 30, 40, 50, 60, 75, 80, 90):
        found += [
            f"{spoken(percent)} percent of {spoken(total)}" for total in (40, 60, 80, 100, 120, 200, 250, 500, 1000)
        ]
    found += ["half of eighty", "half of fifty", "the cube root of twenty seven", "three point five times two",
              "two point five plus one point five", "ten divided by zero", "minus five plus eight"]  # fmt: skip
    # Mixed, so that any part of the list covers the numbers and operations evenly.
    return [found[index * 797 % len(found)] for index in range(len(found))]
