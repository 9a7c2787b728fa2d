"""Every key of `agent.toml` as the settings classes declare it: type, default, bounds, words."""

from __future__ import annotations

import ast
import inspect
import textwrap
from collections.abc import Mapping
from dataclasses import dataclass, fields, is_dataclass
from functools import cache
from typing import Annotated, Any, Literal, get_args, get_origin, get_type_hints

from pydantic import BaseModel

from agent.settings import Settings

_SECRET_ENDINGS = ("token", "tokens", "key", "password", "secret")


@dataclass(frozen=True, slots=True)
class Key:
    """One setting of the class `owner`. `name` is `table.key`, or `family.name.key`; `allowed` says in words what may
    be set."""

    name: str
    type: Any
    default: object
    allowed: str
    owner: type

    @property
    def table(self) -> str:
        return self.name.partition(".")[0]

    @property
    def doc(self) -> str:
        """What it is for; read from the source when it is asked for, since a start does not need it."""
        return _attribute_docs(self.owner).get(self.name.rpartition(".")[2], "")

    @property
    def secret(self) -> bool:
        """Whether its value is shown to nobody."""
        return self.name.endswith(_SECRET_ENDINGS)

    @property
    def textual(self) -> bool:
        """Whether its value is text, so that `12` on a command line means "12"."""
        kind = self.type
        if get_origin(kind) is Literal:
            return all(isinstance(choice, str) for choice in get_args(kind))
        return isinstance(kind, type) and not issubclass(kind, int | float)


def tables() -> Mapping[str, type]:
    """The class of each table, in the order of the file."""
    hints = get_type_hints(Settings)
    return {name: hints[name] for name in Settings.model_fields if isinstance(hints[name], type)}


def families() -> Mapping[str, type]:
    """The class of the tables of which there may be any number, `[family.name]`."""
    hints = get_type_hints(Settings)
    return {name: get_args(hints[name])[1] for name in Settings.model_fields if get_origin(hints[name]) is dict}


def key_of(name: str) -> Key | None:
    """The setting of this name, if there is one."""
    return near_keys(name).get(name)


def near_keys(name: str) -> Mapping[str, Key]:
    """The settings that this name may be one of: those of its table if that is one of a family, else of all tables."""
    family, _, rest = name.partition(".")
    member = rest.partition(".")[0]
    return family_keys(family, member) if member and family in families() else keys()


@cache
def keys() -> Mapping[str, Key]:
    """All settings by `table.key`, in the order of the file."""
    found: dict[str, Key] = {}
    for table, owner in tables().items():
        found |= _keys_in(table, owner, owner())
    return found


@cache
def family_keys(family: str, member: str) -> Mapping[str, Key]:
    """The settings of one table of a family, by `family.member.key`."""
    owner = families()[family]
    assert issubclass(owner, BaseModel)  # noqa: S101 - Settings has no other families
    return _keys_in(f"{family}.{member}", owner, owner.model_construct())


def _keys_in(table: str, owner: type, defaults: object) -> dict[str, Key]:
    found: dict[str, Key] = {}
    for name, hint in _hints(owner).items():
        kind, bounds = _unwrapped(hint)
        full = f"{table}.{name}"
        found[full] = Key(full, kind, getattr(defaults, name), _allowed(kind, bounds), owner)
    return found


def table_doc(owner: type) -> str:
    """The docstring of a table, or nothing (a class without one inherits its base's)."""
    return inspect.cleandoc(owner.__dict__.get("__doc__") or "")


def _hints(owner: type) -> dict[str, Any]:
    hints = get_type_hints(owner, include_extras=True)
    # The core's tables are plain dataclasses.
    if is_dataclass(owner):
        return {field.name: hints[field.name] for field in fields(owner)}
    assert issubclass(owner, BaseModel)  # noqa: S101 - Settings has no other tables
    return {name: hints[name] for name in owner.model_fields}


def _unwrapped(hint: Any) -> tuple[Any, tuple[Any, ...]]:
    if get_origin(hint) is Annotated:
        kind, field = get_args(hint)[:2]
        return kind, tuple(field.metadata)
    return hint, ()


def _allowed(kind: Any, bounds: tuple[Any, ...]) -> str:
    if get_origin(kind) is Literal:
        return "one of " + ", ".join(str(choice) for choice in get_args(kind))
    low = next((bound.ge for bound in bounds if hasattr(bound, "ge")), None)
    high = next((bound.le for bound in bounds if hasattr(bound, "le")), None)
    if low is not None and high is not None:
        return f"{low} to {high}"
    if kind is bool:
        return "true or false"
    if get_origin(kind) is dict:
        return "a table with lists of strings"
    return "a list of strings" if get_origin(kind) is tuple else ""


@cache
def _attribute_docs(owner: type) -> dict[str, str]:
    """The strings that stand under a class's fields."""
    body = ast.parse(textwrap.dedent(inspect.getsource(owner))).body[0]
    assert isinstance(body, ast.ClassDef)  # noqa: S101 - the source of a class is a class
    docs: dict[str, str] = {}
    for field, text in zip(body.body, body.body[1:], strict=False):
        if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name) and isinstance(text, ast.Expr):
            value = text.value
            if isinstance(value, ast.Constant) and isinstance(value.value, str):
                docs[field.target.id] = inspect.cleandoc(value.value)
    return docs
