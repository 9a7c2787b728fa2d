"""Reading and editing `agent.toml`."""

from __future__ import annotations

import os
import re
import shutil
import tempfile
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import tomlkit
from tomlkit.exceptions import TOMLKitError
from tomlkit.items import Table

from agent.errors import SettingsError

_HEADER = re.compile(r"\s*\[\s*([A-Za-z0-9_.-]+)\s*\]")
_ASSIGNMENT = re.compile(r"\s*([A-Za-z0-9_.-]+)\s*=")


def read(path: Path) -> dict[str, Any]:
    """The file's tables. Raises `SettingsError` when it is missing, unreadable or not TOML."""
    try:
        return tomllib.loads(_text(path))
    except tomllib.TOMLDecodeError as error:
        raise SettingsError(f"{path} is not TOML: {error}") from None


def lines(path: Path) -> dict[str, int]:
    """The line on which each `table.key` is set, as far as a look at the line starts can tell."""
    found: dict[str, int] = {}
    table = ""
    for number, line in enumerate(_text(path).splitlines(), 1):
        if header := _HEADER.match(line):
            table = header[1] + "."
        elif assignment := _ASSIGNMENT.match(line):
            found.setdefault(table + assignment[1], number)
    return found


def write(path: Path, changes: Mapping[str, Any]) -> None:
    """Set `table.key`s in the file, keeping its comments and layout; it is made if missing.

    The file is replaced in one step: whoever reads it sees the old one or the new one. Raises
    `SettingsError`.
    """
    # Through a symbolic link, so that the link stays one.
    target = path.resolve()
    try:
        document = tomlkit.parse(_text(target) if target.exists() else "")
    except TOMLKitError as error:
        raise SettingsError(f"{path} is not TOML: {error}") from None
    for name, value in changes.items():
        table, _, key = name.partition(".")
        if table not in document:
            document[table] = tomlkit.table()
        section = document[table]
        if not isinstance(section, Table):
            raise SettingsError(f"{path}: write {table} as a table of its own, [{table}], so that it can be edited")
        section[key] = value
    _replace(target, tomlkit.dumps(document))


def _text(path: Path) -> str:
    try:
        return path.read_bytes().decode()
    except OSError as error:
        raise SettingsError(f"{path} cannot be read: {error.strerror or error}") from None
    except UnicodeDecodeError:
        raise SettingsError(f"{path} is not UTF-8 text") from None


def _replace(path: Path, text: str) -> None:
    draft: Path | None = None
    try:
        with tempfile.NamedTemporaryFile("wb", dir=path.parent, prefix=f".{path.name}.", delete=False) as file:
            draft = Path(file.name)
            file.write(text.encode())
            file.flush()
            os.fsync(file.fileno())
        if path.exists():
            shutil.copymode(path, draft)
        draft.replace(path)
    except OSError as error:
        if draft is not None:
            draft.unlink(missing_ok=True)
        raise SettingsError(f"{path} cannot be written: {error.strerror or error}") from None
