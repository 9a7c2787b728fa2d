"""Converting between units."""

from __future__ import annotations

from agent.conversation.events import Json
from agent.errors import ToolError
from agent.thinking.port import ToolContext, UserContext
from agent.thinking.tools.numerals import plain
from agent.thinking.tools.quantities import CURRENCY, NO_CURRENCY, pint_name, shown_unit
from agent.thinking.tools.skill import (
    NUMBER,
    STRING,
    Answer,
    Arguments,
    Ask,
    Intent,
    Kit,
    Past,
    Say,
    Skill,
    SkillTool,
    Slots,
    fields_of,
    number_of,
    spec,
    text_of,
)

_FLUID = {"cup", "teaspoon", "tablespoon", "fluid_ounce", "pint", "quart", "gallon", "milliliter", "liter"}


def _convert(slots: Slots, _: Past) -> Answer:
    value, source = str(slots["quantity"]).split(" ", 1)
    return _ask(float(value), source, str(slots["unit"]))


def _one(slots: Slots, _: Past) -> Answer | None:
    if slots["source"] == slots["unit"]:
        return None
    return _ask(1.0, str(slots["source"]), str(slots["unit"]))


def _ask(value: float, source: str, target: str) -> Answer:
    if CURRENCY in (source, target):
        return Say(NO_CURRENCY)
    if source == "ounce" and target in _FLUID:
        source = "fluid_ounce"
    if target == "ounce" and source in _FLUID:
        target = "fluid_ounce"
    return Ask("convert_units", {"value": int(value) if value == int(value) else value, "from": source, "to": target})


def _of_what(slots: Slots, _: Past) -> Answer:
    return Say(NO_CURRENCY if slots["unit"] == CURRENCY else "What should I convert?")


def _last(past: Past) -> tuple[float, str, str] | None:
    if past.last is None or past.last.tool != "convert_units":
        return None
    try:
        return (
            number_of(past.last.arguments, "value"),
            text_of(past.last.arguments, "from"),
            text_of(past.last.arguments, "to"),
        )
    except ToolError:
        return None


def _other_unit(slots: Slots, past: Past) -> Answer | None:
    last = _last(past)
    return _ask(last[0], last[1], str(slots["unit"])) if last else None


def _other_value(slots: Slots, past: Past) -> Answer | None:
    last = _last(past)
    value = slots["number"]
    return _ask(float(value), last[1], last[2]) if last and isinstance(value, int | float) else None


def _other_quantity(slots: Slots, past: Past) -> Answer | None:
    last = _last(past)
    value, source = str(slots["quantity"]).split(" ", 1)
    return _ask(float(value), source, last[2]) if last else None


def _say(_: Arguments, content: Json, __: UserContext) -> str:
    found = fields_of(content)
    about = "about " if found["rounded"] else ""
    text = f"{_amount(found['value'], str(found['from']))} is {about}{_amount(found['answer'], str(found['to']))}."
    return text[0].upper() + text[1:]


def _answer_alone(_: Arguments, content: Json, __: UserContext) -> str:
    found = fields_of(content)
    return _amount(found["answer"], str(found["to"]))


def _amount(value: Json, name: str) -> str:
    number = float(value) if isinstance(value, int | float) else 0.0
    text = plain(_rounded(number))
    text = f"minus {text[1:]}" if text.startswith("-") else text
    return f"{text} {shown_unit(name, plural=text != '1')}"


def _rounded(value: float) -> float:
    """Two decimals, or three significant digits of something small."""
    return round(value, 2) if abs(value) >= 1 else float(f"{value:.3g}")


def _known(name: str) -> str:
    known = pint_name(name)
    if known is None:
        raise ToolError(f"I don't know the unit {name[:40]}.", "input")
    return known


def _tools(kit: Kit) -> list[SkillTool]:
    async def convert(arguments: Arguments, _: ToolContext) -> Json:
        value = number_of(arguments, "value")
        source, target = (_known(text_of(arguments, name)) for name in ("from", "to"))
        if CURRENCY in (source, target):
            raise ToolError(NO_CURRENCY, "input")
        if abs(value) > 1e15:
            raise ToolError("That is more than I can convert.", "input")
        answer = await kit.libraries.convert(value, source, target)
        answer = float(f"{answer:.12g}")
        rounded = abs(_rounded(answer) - answer) > 1e-9 * max(1.0, abs(answer))
        return {"value": value, "from": source, "to": target, "answer": answer, "rounded": rounded}

    properties: dict[str, Json] = {"value": NUMBER, "from": STRING, "to": STRING}
    described = spec(
        "convert_units", "Convert an amount from one unit to another.", properties, required=["value", "from", "to"]
    )
    return [SkillTool(described, convert, kit.libraries.check)]


SKILL = Skill(
    name="units",
    help="convert units",
    intents=[
        Intent("how (many|much) {unit} (is|are|in|make|makes) {quantity}", _convert, limit=300),
        Intent("how many {unit} (are in|are there in|is in) {quantity}", _convert, limit=200),
        Intent("(what is|how much is) {quantity} in {unit}", _convert, limit=300),
        Intent("(convert|change) {quantity} (to|into|in) {unit}", _convert, limit=200),
        Intent("{quantity} (in|to|into) {unit}", _convert, limit=200),
        Intent("how (long|far|heavy|hot|cold|fast|big|tall) is {quantity} in {unit}", _convert, loose=True),
        Intent("how many {unit} (in|to) (a|an|the|one) {unit:source}", _one, loose=True),
        Intent("(in|to|into) {unit}", _of_what, loose=True, last=True),
    ],
    follow_ups=[
        Intent(
            "[and|no] [what about|how about|what is that|what is it|how much is that|how many is that|i "
            "meant|convert that|convert it] [in|to|into] {unit}",
            _other_unit,
            limit=120,
        ),
        Intent("[and|no] [what about|how about|what is|i meant|how much is] {quantity}", _other_quantity, limit=120),
        Intent("[and|no] (what about|how about|what is|i meant|and) {number}", _other_value, limit=120),
    ],
    phrases={"convert_units": _say},
    briefs={"convert_units": _answer_alone},
    tools=_tools,
)
