"""The settings in force, and where each one comes from.

Later sources win: defaults, `agent.toml`, the environment (`VOICE_AGENT__TABLE__KEY`), the
command line (`--set table.key=value`). Values of the last two are TOML where they parse as such,
and plain text otherwise.
"""

from __future__ import annotations

import difflib
import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from agent.config import file
from agent.config.keys import Key, families, key_of, keys, near_keys, tables
from agent.errors import SettingsError
from agent.settings import Settings

ENVIRONMENT_PREFIX = "VOICE_AGENT__"

DEFAULT = "default"

_USERINFO = re.compile(r"//[^/\s]*@")
"""RFC 3986, section 3.2.1."""


@dataclass(frozen=True, slots=True)
class Loaded:
    """`origin` says for every `table.key`: `default`, `agent.toml:12`,
    `environment VOICE_AGENT__TABLE__KEY` or `command line`."""

    settings: Settings
    origin: dict[str, str]


@dataclass(frozen=True, slots=True)
class _Given:
    """A value that somebody set."""

    key: Key
    value: Any
    origin: str

    def __str__(self) -> str:
        """For an error message, which may end in a log: a secret and the password in an address are left out."""
        if self.key.secret:
            return self.key.name
        return f"{self.key.name} = {_USERINFO.sub('//…@', repr(self.value)):.60}"


def load(path: Path | None, environ: Mapping[str, str], overrides: Sequence[str] = ()) -> Loaded:
    """Read every source. `path` must exist if it is given; `overrides` are `table.key=value`.

    Raises `SettingsError`, one line for each thing that is wrong: the key, where it was set and
    what is allowed.
    """
    given: dict[str, _Given] = {}
    if path is not None:
        given.update({one.key.name: one for one in _from_file(path)})
    given.update({one.key.name: one for one in _from_environment(environ)})
    given.update({one.key.name: one for one in _from_command_line(overrides)})
    origin = dict.fromkeys(keys(), DEFAULT) | {name: one.origin for name, one in given.items()}
    return Loaded(_validated(given), origin)


def save(path: Path, changes: Mapping[str, Any]) -> None:
    """Set `table.key`s in the file, comments and layout kept, in one step; it is made if missing.

    Raises `SettingsError`, and changes nothing, if the file would not be valid with them.
    """
    given = {one.key.name: one for one in _from_file(path)} if path.exists() else {}
    for name, value in changes.items():
        key = _known(name, "to be saved")
        given[name] = _Given(key, value, "to be saved")
    _validated(given)
    file.write(path, {name: list(value) if isinstance(value, tuple) else value for name, value in changes.items()})


def values_of(overrides: Sequence[str]) -> dict[str, Any]:
    """The values of `table.key=value`s alone, by key, not checked against each other. Raises `SettingsError`."""
    return {one.key.name: one.value for one in _from_command_line(overrides)}


# ── sources ──────────────────────────────────────────────────────────────────────────────


def _from_file(path: Path) -> Iterator[_Given]:
    numbers = file.lines(path)
    for table, values in _tables_of(file.read(path)):
        if not isinstance(values, dict):
            raise SettingsError(f"{table} ({path.name}) stands outside any table{_suggestion(table, _by_last_part())}")
        if table not in tables() and table.partition(".")[0] not in families():
            raise SettingsError(f"there is no table [{table}] ({path.name}){_suggestion(table, tables())}")
        if table not in tables() and not values:
            raise SettingsError(f"[{table}] ({path.name}) is empty")
        for name, value in values.items():
            full = f"{table}.{name}"
            origin = f"{path.name}:{numbers[full]}" if full in numbers else path.name
            yield _Given(_known(full, origin), value, origin)


def _tables_of(document: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """The tables of a file by name, those of a family as `family.name`."""
    for table, values in document.items():
        if table in families() and isinstance(values, dict):
            yield from ((f"{table}.{member}", within) for member, within in values.items())
        else:
            yield table, values


def _from_environment(environ: Mapping[str, str]) -> Iterator[_Given]:
    for variable in sorted(environ):
        if variable.startswith(ENVIRONMENT_PREFIX):
            name = variable.removeprefix(ENVIRONMENT_PREFIX).lower().replace("__", ".")
            origin = f"environment {variable}"
            key = _known(name, origin)
            yield _Given(key, _parsed(environ[variable], key), origin)


def _from_command_line(overrides: Sequence[str]) -> Iterator[_Given]:
    for override in overrides:
        name, equals, text = override.partition("=")
        if not equals:
            raise SettingsError(f"{override!r} (command line) is not of the form table.key=value")
        key = _known(name.strip(), "command line")
        yield _Given(key, _parsed(text.strip(), key), "command line")


def _parsed(text: str, key: Key) -> Any:
    """TOML where it parses as such; text for a key that wants text."""
    try:
        document = tomllib.loads(f"value = {text}")
    except tomllib.TOMLDecodeError:
        return text
    value = document["value"]
    if len(document) > 1 or (key.textual and not isinstance(value, str)):
        return text
    return value


# ── checks ───────────────────────────────────────────────────────────────────────────────


def _known(name: str, origin: str) -> Key:
    key = key_of(name)
    if key is None:
        known = list(near_keys(name))
        nearest = _suggestion(name, known) or _suggestion(name.rpartition(".")[2], _by_last_part())
        raise SettingsError(f"there is no setting {name} ({origin}){nearest}")
    return key


def _by_last_part() -> dict[str, str]:
    return {name.partition(".")[2]: name for name in keys()}


def _suggestion(name: str, known: Mapping[str, Any] | Sequence[str]) -> str:
    near = difflib.get_close_matches(name, known, n=1)
    if not near:
        return ""
    meant = known[near[0]] if isinstance(known, Mapping) and isinstance(known[near[0]], str) else near[0]
    return f"; did you mean {meant}?"


def _validated(given: Mapping[str, _Given]) -> Settings:
    nested: dict[str, Any] = {}
    for one in given.values():
        # A bool is an int to pydantic, but `port = true` is a mistake.
        if isinstance(one.value, bool) and one.key.type is not bool:
            raise SettingsError(f"{one} ({one.origin}) must be {one.key.allowed or 'something else than a bool'}")
        *path, last = one.key.name.split(".")
        table = nested
        for part in path:
            table = table.setdefault(part, {})
        table[last] = one.value
    try:
        return Settings.model_validate(nested)
    except ValidationError as error:
        complaints = error.errors(include_url=False, include_context=False, include_input=False)
        raise SettingsError("\n".join(_complaint(one["loc"], one["msg"], given) for one in complaints)) from None


def _complaint(place: tuple[int | str, ...], message: str, given: Mapping[str, _Given]) -> str:
    """One of pydantic's errors in a line that names the key and where it was set."""
    table = str(place[0])
    name = ".".join(str(part) for part in place[: 3 if table in families() else 2])
    message = message.removeprefix("Value error, ").replace("Input should be", "must be")
    if len(place) == 1:
        # The core's own tables check themselves and begin with the key: "floor_ms is -1; it must …".
        blamed = f"{table}.{message.partition(' ')[0]}"
        if blamed in given:
            return f"{table}.{message} ({given[blamed].origin})"
        others = [f"{one} ({one.origin})" for one in given.values() if one.key.table == table]
        return f"{table}.{message} (set: {', '.join(others)})"
    one = given.get(name)
    if one is None:
        return f"{name}: {message}"
    return f"{one} ({one.origin}) " + (f"must be {one.key.allowed}" if one.key.allowed else message)
