"""Units and amounts as people say them. The converting itself is pint's (`libraries`)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from functools import cache

from agent.thinking.tools.numerals import number_at, spoken

# Pint's name: spoken singular / plural / further names. A blank line parts kinds of quantity.
_TABLE = """
millimeter: millimeter / millimeters / mm / millimetre / millimetres
centimeter: centimeter / centimeters / cm / centimetre / centimetres
meter: meter / meters / m / metre / metres
kilometer: kilometer / kilometers / km / kilometre / kilometres / k
inch: inch / inches / in
foot: foot / feet / ft
yard: yard / yards
mile: mile / miles / mi
light_year: light-year / light-years / light year / light years

milligram: milligram / milligrams / mg
gram: gram / grams / g
kilogram: kilogram / kilograms / kg / kilo / kilos
short_ton: ton / tons
metric_ton: tonne / tonnes / metric ton / metric tons
ounce: ounce / ounces / oz
pound: pound / pounds / lb / lbs
stone: stone / stones

milliliter: milliliter / milliliters / ml / millilitre / millilitres
liter: liter / liters / l / litre / litres
cup: cup / cups
teaspoon: teaspoon / teaspoons / tsp
tablespoon: tablespoon / tablespoons / tbsp
fluid_ounce: fluid ounce / fluid ounces
pint: pint / pints
quart: quart / quarts
gallon: gallon / gallons

second: second / seconds / s
minute: minute / minutes / min
hour: hour / hours / h
day: day / days
week: week / weeks
month: month / months
year: year / years

degC: degree Celsius / degrees Celsius / celsius / centigrade / degrees centigrade / c / °c
degF: degree Fahrenheit / degrees Fahrenheit / fahrenheit / degree fahrenheit / degrees fahrenheit / f / °f
kelvin: kelvin / kelvins

kilometer/hour: kilometer per hour / kilometers per hour / kph / kilometers an hour / km/h
mile/hour: mile per hour / miles per hour / mph / miles an hour
meter/second: meter per second / meters per second / meters a second
knot: knot / knots

byte: byte / bytes
kilobyte: kilobyte / kilobytes / kb
megabyte: megabyte / megabytes / mb
gigabyte: gigabyte / gigabytes / gb
terabyte: terabyte / terabytes / tb

foot**2: square foot / square feet
meter**2: square meter / square meters / square metre / square metres
acre: acre / acres
hectare: hectare / hectares

joule: joule / joules
calorie: calorie / calories
kilocalorie: kilocalorie / kilocalories

watt: watt / watts
horsepower: horsepower

psi: psi
bar: bar / bars
"""
_CURRENCIES = frozenset(
    "dollar dollars euro euros yen yuan rupee rupees franc francs peso pesos bitcoin bitcoins".split()
)
CURRENCY = "currency"
"""Stands for every currency: recognised, so that the refusal can say why."""
NO_CURRENCY = "I can't convert currencies, because I don't know today's rates."


@cache
def _units() -> tuple[dict[str, str], dict[str, tuple[str, str]]]:
    """Pint name by spoken name, and (singular, plural) by pint name."""
    by_name: dict[str, str] = {}
    shown: dict[str, tuple[str, str]] = {}
    for line in filter(None, _TABLE.splitlines()):
        pint_name, _, names = line.partition(": ")
        forms = names.split(" / ")
        shown[pint_name] = (forms[0], forms[min(1, len(forms) - 1)])
        by_name |= {form.lower(): pint_name for form in forms}
    by_name |= dict.fromkeys(_CURRENCIES, CURRENCY)
    return by_name, shown


def unit(text: str) -> str | None:
    """Pint's name of a spoken unit, `currency` for any currency, None if it is no unit."""
    return _units()[0].get(text.strip().removeprefix("the "))


def unit_names() -> Iterable[str]:
    """Every unit as it is spoken."""
    return _units()[0]


@cache
def _kinds() -> dict[str, int]:
    """The kind of quantity that a unit, by pint's name, measures."""
    blocks = _TABLE.strip().split("\n\n")
    return {line.partition(":")[0]: kind for kind, block in enumerate(blocks) for line in block.splitlines()}


@cache
def _unit_names() -> re.Pattern[str]:
    names = sorted(_units()[0], key=len, reverse=True)
    return re.compile(rf"(?<!\S)(?:{'|'.join(map(re.escape, names))})(?!\S)")


def same_kind(sentence: str) -> bool:
    """Whether all units in it measure the same, and none is there twice."""
    found = [_units()[0][name] for name in _unit_names().findall(sentence)]
    return len(set(found)) == len(found) and len({_kinds().get(name, -1) for name in found}) <= 1


def pint_name(text: str) -> str | None:
    """Of a spoken unit, or of pint's own name of a unit in the table."""
    return unit(text.lower()) or (text if text in _units()[1] else None)


def shown_unit(name: str, *, plural: bool) -> str:
    """How a unit is written and spoken."""
    return _units()[1].get(name, (name, name))[plural]


def quantity(words: Sequence[str]) -> str | None:
    """`ten and a half miles`, `a cup`, `5 km` as `10.5 mile`; None if it is no amount of a unit."""
    found = number_at(words, 0)
    if found is None and words and words[0] in ("a", "an", "one"):
        value, at = 1.0, 1
    elif found is None:
        return None
    else:
        value, at = float(found[0]), found[1]
    while at < len(words) and words[at] in ("of", "a", "an"):
        at += 1
    name = unit(" ".join(words[at:]))
    return f"{value!r} {name}" if name else None


SPOKEN_UNITS = (
    *(
        "millimeters centimeters meters kilometers inches feet yards miles grams kilograms kilos ounces "
        "pounds tons stones "
        "milliliters liters cups teaspoons tablespoons pints quarts gallons seconds minutes hours days weeks "
        "months years "
        "celsius fahrenheit kelvin knots bytes kilobytes megabytes gigabytes terabytes acres hectares calories watts "
        "horsepower dollars euros"
    ).split(),
    *("degrees celsius", "degrees fahrenheit", "kilometers per hour", "miles per hour", "meters per second"),
    *("fluid ounces", "square feet", "square meters"),
)
_NUMBERS = (
    *(2, 3, 4, 5, 6, 7, 8, 9, 10, 12, 15, 16, 18, 20, 25, 26, 30, 32, 36, 37, 40, 42, 45, 50, 60, 65, 70, 72, 75, 80),
    *(90, 100, 120, 150, 180, 200, 250, 350, 400, 500, 1000),
)
_SINGLES = (
    "a mile|a kilometer|an inch|a foot|a yard|a pound|a kilogram|a gallon|a cup|a liter|a pint|an ounce|a day|a week|"
    "a year|an hour|one mile|one kilometer|one pound|one inch|one meter|a meter|a tablespoon|a gigabyte|a megabyte|"
    "half a mile|two and a half miles|one and a half cups|minus ten degrees celsius|minus forty degrees fahrenheit|"
    "minus three degrees celsius"
).split("|")


def sample_quantities() -> list[str]:
    """Spoken amounts that cover numbers and units."""
    found = [
        f"{spoken(_NUMBERS[(index * 5 + step * 11) % len(_NUMBERS)])} {name}"
        for step in range(4)
        for index, name in enumerate(SPOKEN_UNITS)
    ]
    found += [
        f"{spoken(n)} {name}"
        for n in _NUMBERS
        for name in ("kilometers", "miles", "degrees celsius", "pounds", "degrees fahrenheit")
    ]
    found += _SINGLES
    # Mixed, so that any part of the list covers the numbers and units evenly.
    return [found[index * 797 % len(found)] for index in range(len(found))]
