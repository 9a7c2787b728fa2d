"""Settings as people read them: a documented `agent.toml`, and what is in force."""

from __future__ import annotations

import re
import textwrap
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tomlkit

from agent.config.keys import Key, families, family_keys, key_of, keys, table_doc, tables
from agent.config.load import Loaded
from agent.settings import Settings

MASK = "********"

_PASSWORD = re.compile(r"^(turns?:[^:@]*:)[^@]*@")


@dataclass(frozen=True, slots=True)
class Row:
    """One setting in force: `value` is TOML, a secret one masked."""

    key: str
    value: str
    origin: str
    doc: str


def rows(loaded: Loaded) -> list[Row]:
    """Every setting in force, in the order of the file."""
    return [
        Row(name, _toml(_masked(key, _value(loaded, name))), origin, _sentence(key))
        for name, origin in loaded.origin.items()
        if (key := key_of(name)) is not None
    ]


def masked(settings: Settings) -> dict[str, dict[str, object]]:
    """The settings as nested JSON values, fit for a report: secrets are masked."""
    return {
        table: {name: _masked(keys()[f"{table}.{name}"], value) for name, value in values.items()}
        for table, values in settings.model_dump(mode="json", exclude=set(families())).items()
    }


def describe() -> str:
    """An `agent.toml` with every key at its default and what it means above it."""
    parts: list[str] = []
    for table, owner in tables().items():
        parts.append(f"{_comment(table_doc(owner))}[{table}]\n")
        for name, key in keys().items():
            if key.table == table:
                parts.append(_comment(_sentence(key)) + _assignments(name.partition(".")[2], key.default))
        parts.append("\n")
    parts += [_family(family, owner) for family, owner in families().items()]
    return "".join(parts).rstrip("\n") + "\n"


def _family(family: str, owner: type) -> str:
    """A table of a family as a comment: there is none by default."""
    shown = [f"[{family}.NAME]"]
    for name, key in family_keys(family, "NAME").items():
        shown += [*_comment(_sentence(key)).splitlines(), f"{name.rpartition('.')[2]} = {_toml(key.default)}"]
    return _comment(table_doc(owner)) + "".join(f"# {line}\n" for line in shown) + "\n"


def _value(loaded: Loaded, name: str) -> object:
    found: Any = loaded.settings
    for part in name.split("."):
        found = found[part] if isinstance(found, dict) else getattr(found, part)
    return found


def _sentence(key: Key) -> str:
    allowed = f"({key.allowed})" if key.allowed else ""
    return " ".join(part for part in (" ".join(key.doc.split()), allowed) if part)


def _masked(key: Key, value: object) -> object:
    if key.secret and value:
        return MASK
    if isinstance(value, tuple | list):
        return [_PASSWORD.sub(rf"\g<1>{MASK}@", item) if isinstance(item, str) else item for item in value]
    return value


def _assignments(name: str, value: object) -> str:
    """A line of TOML; of a table, one for each of its keys."""
    if isinstance(value, dict):
        return "".join(_assignments(f"{name}.{key}", within) for key, within in value.items())
    return f"{name} = {_toml(value)}\n"


def _toml(value: object) -> str:
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{key} = {_toml(within)}" for key, within in value.items()) + " }"
    if isinstance(value, Path):
        value = str(value)
    return tomlkit.item(list(value) if isinstance(value, tuple) else value).as_string()


def _comment(text: str) -> str:
    paragraphs = [textwrap.fill(" ".join(part.split()), 98) for part in text.split("\n\n") if part.strip()]
    return "".join(f"# {line}".rstrip() + "\n" for line in "\n\n".join(paragraphs).splitlines())
