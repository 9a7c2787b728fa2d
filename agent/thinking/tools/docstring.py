"""A docstring taken apart: what a function does, and what its arguments are.

How full a tank is.

Args:
    tank: Which one, such as "rain".
"""

from __future__ import annotations

import inspect
import re

_SECTION = re.compile(r"^(Args|Arguments|Parameters|Returns|Raises|Yields|Examples?|Notes?):\s*$")
_ARGUMENT = re.compile(r"^(\w+)(?: \([^)]*\))?:\s*(.*)$")


def parsed(docstring: str) -> tuple[str, dict[str, str]]:
    """The description, and that of each argument, in one line each. Other sections are for programmers."""
    described: list[str] = []
    arguments: dict[str, list[str]] = {}
    section, argument = "", ""
    for line in inspect.cleandoc(docstring).splitlines():
        if found := _SECTION.match(line):
            section = found.group(1)
        elif not section:
            described.append(line)
        elif section not in ("Args", "Arguments", "Parameters"):
            continue
        elif found := _named(line):
            argument = found.group(1)
            arguments[argument] = [found.group(2)]
        elif argument:
            arguments[argument].append(line)
    return _joined(described), {name: _joined(lines) for name, lines in arguments.items()}


def _named(line: str) -> re.Match[str] | None:
    """The line that an argument begins with, which is indented once."""
    indent = len(line) - len(line.lstrip())
    return _ARGUMENT.match(line.strip()) if 0 < indent <= 4 else None


def _joined(lines: list[str]) -> str:
    return " ".join(" ".join(lines).split())
