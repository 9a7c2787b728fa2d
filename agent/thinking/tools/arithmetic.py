"""Sums, products, percentages, roots and powers."""

from __future__ import annotations

from fractions import Fraction

from agent.conversation.events import Json
from agent.thinking.port import ToolContext, UserContext
from agent.thinking.tools.expressions import evaluate, said
from agent.thinking.tools.numerals import plain
from agent.thinking.tools.pattern import Value
from agent.thinking.tools.quantities import CURRENCY, NO_CURRENCY
from agent.thinking.tools.skill import (
    STRING,
    Answer,
    Arguments,
    Ask,
    Build,
    Intent,
    Kit,
    Past,
    Say,
    Skill,
    SkillTool,
    Slots,
    fields_of,
    spec,
    text_of,
)


def _calculate(slots: Slots, _: Past) -> Answer:
    return Ask("calculate", {"expression": str(slots["expression"])})


def _two(template: str) -> Build:
    def build(slots: Slots, _: Past) -> Answer:
        a, b = (_symbol(slots[name]) for name in ("number", "second"))
        return Ask("calculate", {"expression": template.format(a=a, b=b)})

    return build


def _apart(slots: Slots, past: Past) -> Answer | None:
    """`the difference between`: the larger less the smaller."""
    a, b = slots["number"], slots["second"]
    if not isinstance(a, int | float) or not isinstance(b, int | float):
        return None
    return _two("{a} - {b}")({"number": max(a, b), "second": min(a, b)}, past)


def _symbol(value: Value) -> str:
    text = format(value, ".12f").rstrip("0").rstrip(".") if isinstance(value, float) else str(value)
    return f"- {text[1:]}" if text.startswith("-") else text


def _go_on(operation: str) -> Build:
    """`times two` after a result."""

    def build(slots: Slots, past: Past) -> Answer | None:
        value = fields_of(past.result).get("exact")
        if not isinstance(value, str):
            return None
        number = _symbol(slots["number"]) if "number" in slots else ""
        return Ask(
            "calculate",
            {"expression": operation.format(last=f"( {value} )" if not value.isdecimal() else value, n=number)},
        )

    return build


def _swap(slots: Slots, past: Past) -> Answer | None:
    """`how about minus three` takes three away; `and nine times nine` is a new one."""
    return _go_on("{last} - {n}")(slots, past)


def _no_unit(slots: Slots, past: Past) -> Answer | None:
    """`in miles` after a sum: of what, only the user knows."""
    if slots["unit"] == CURRENCY:
        return Say(NO_CURRENCY)
    text = fields_of(past.result).get("text")
    return Say(f"{text} is only a number. Tell me its unit, too.") if text else None


async def _run(arguments: Arguments, _: ToolContext) -> Json:
    expression = text_of(arguments, "expression")
    value = evaluate(expression)
    return {
        "expression": expression,
        "value": _json_number(value),
        "text": plain(value),
        "exact": _exact(value),
        "rounded": _rounded(value),
    }


def _json_number(value: Fraction) -> Json:
    if value.denominator == 1:
        return int(value) if abs(value) < 2**53 else str(int(value))
    return float(value)


def _exact(value: Fraction) -> str:
    if value.denominator.bit_length() > 64:
        value = value.limit_denominator(10**12)
    number = str(value.numerator) if value.denominator == 1 else f"{value.numerator} / {value.denominator}"
    return number.replace("-", "- ")


def _rounded(value: Fraction) -> bool:
    return Fraction(plain(value).replace(",", "")) != value if "times" not in plain(value) else True


def _value_alone(_: Arguments, content: Json, __: UserContext) -> str:
    text = str(fields_of(content)["text"])
    return f"minus {text[1:]}" if text.startswith("-") else text


def _say(arguments: Arguments, content: Json, user: UserContext) -> str:
    found = fields_of(content)
    about = "about " if found["rounded"] else ""
    sum_text = said(str(found["expression"]))
    answer = _value_alone(arguments, content, user)
    if len(sum_text) > 60 or "(" in sum_text:
        return f"That's {about}{answer}."
    return f"{sum_text[0].upper()}{sum_text[1:]} is {about}{answer}."


def _tools(_: Kit) -> list[SkillTool]:
    description = "Evaluate arithmetic written with + - * / ^ mod, sqrt, cbrt and brackets."
    return [SkillTool(spec("calculate", description, {"expression": STRING}, required=["expression"]), _run)]


SKILL = Skill(
    name="arithmetic",
    help="do sums",
    intents=[
        Intent("what is {expression}", _calculate, limit=500),
        Intent("(how much is|calculate|compute|work out|what does) {expression}", _calculate, limit=150),
        Intent("{expression}", _calculate, limit=150),
        Intent("(how much does|what does) {expression} (make|equal|equals)", _calculate, loose=True),
        Intent("[what is] the sum of {number} and {number:second}", _two("{a} + {b}"), limit=40),
        Intent("add {number} (and|to) {number:second}", _two("{a} + {b}"), limit=40),
        Intent("subtract {number} from {number:second}", _two("{b} - {a}"), limit=40),
        Intent("[what is] the difference between {number} and {number:second}", _apart, limit=40),
        Intent("multiply {number} (by|and|with|times) {number:second}", _two("{a} * {b}"), limit=40),
        Intent("[what is] the product of {number} and {number:second}", _two("{a} * {b}"), limit=40),
        Intent("divide {number} by {number:second}", _two("{a} / {b}"), limit=40),
    ],
    follow_ups=[
        Intent(
            "[and|now|then|what about|how about|and now] (times|multiplied by|multiply that by|multiply it "
            "by) {number}",
            _go_on("{last} * {n}"),
            limit=40,
        ),
        Intent(
            "[and|now|then|what about|how about|and now] (plus|add) {number} [to that]",
            _go_on("{last} + {n}"),
            limit=40,
        ),
        Intent(
            "[and|now|then|what about|how about|and now] (subtract|take away) {number}",
            _go_on("{last} - {n}"),
            limit=40,
        ),
        Intent("[and|now|then|and now] minus {number}", _swap, loose=True),
        Intent(
            "[and|now|then|what about|how about|and now] (divided by|divide that by|divide it by) {number}",
            _go_on("{last} / {n}"),
            limit=40,
        ),
        Intent("[and|now] (squared|square that|square it|that squared)", _go_on("{last} ^ 2")),
        Intent("[and] (the square root|the square root of that)", _go_on("sqrt {last}")),
        Intent("[and|no] [what is that|how much is that|convert that] (in|to|into) {unit}", _no_unit, loose=True),
        Intent("[and|what about|how about|no|i meant] {expression}", _calculate, loose=True),
        Intent(
            "(what about|how about) {number}",
            lambda slots, past: (
                _swap({"number": -n}, past) if isinstance(n := slots["number"], int) and n < 0 else None
            ),
            loose=True,
        ),
    ],
    phrases={"calculate": _say},
    briefs={"calculate": _value_alone},
    tools=_tools,
)
