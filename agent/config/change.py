"""Settings changed at run time."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from agent.config.keys import keys
from agent.errors import SettingsError
from agent.settings import Settings


def with_changes(settings: Settings, changes: Mapping[str, Any]) -> Settings:
    """A copy with these `table.key`s set. Raises `SettingsError` naming the key that cannot be."""
    nested: dict[str, dict[str, Any]] = settings.model_dump()
    for name, value in changes.items():
        if name not in keys():
            raise SettingsError(f"there is no setting {name}")
        table, _, key = name.partition(".")
        nested[table][key] = value
    try:
        return Settings.model_validate(nested)
    except ValidationError as error:
        problems = error.errors(include_url=False, include_context=False, include_input=False)
        named = (f"{'.'.join(str(part) for part in one['loc'])}: {one['msg']}" for one in problems)
        raise SettingsError("; ".join(named)) from None
