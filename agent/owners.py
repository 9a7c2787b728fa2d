"""Owners: whom a conversation belongs to, and what is remembered in it.

There is one, `local`, unless the settings name more, each with a token of its own. Whoever reaches the server
without one, where it asks for none, is `local`; so is whoever has `server.token`.
"""

from __future__ import annotations

import hmac
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path

from agent.errors import SettingsError

LOCAL = "local"
"""The owner who runs the agent."""
NOBODY = ""
"""Who has no owner's token, where one is needed."""
MIN_TOKEN_CHARS = 8

OWNER_NAME = "[a-z][a-z0-9_-]{0,31}"
"""As a regular expression."""


def owner_tokens(named: Sequence[str], local_token: str) -> dict[str, str]:
    """The token of each owner, by name; of `local` only if there is one. `named`: entries of `server.owner_tokens`.

    Raises `SettingsError` naming the entry that cannot be, and never its token.
    """
    found = {LOCAL: local_token} if local_token else {}
    for number, entry in enumerate(named, 1):
        name, _, token = (part.strip() for part in entry.partition("="))
        where = f"server.owner_tokens, entry {number}"
        if not re.fullmatch(OWNER_NAME, name) or name == LOCAL:
            raise SettingsError(
                f'{where}: give "name = token", the name in lower-case letters, digits and hyphens, and not {LOCAL}, '
                "whose token is server.token"
            )
        if len(token) < MIN_TOKEN_CHARS:
            raise SettingsError(f"{where}: the token of {name} must have {MIN_TOKEN_CHARS} characters or more")
        if name in found or token in found.values():
            raise SettingsError(f"{where}: each owner has one name and one token, which no other has")
        found[name] = token
    return found


def owner_of(offered: Iterable[str], tokens: Mapping[str, str]) -> str:
    """Whose one of the offered tokens is; `local` where nobody has one, `NOBODY` for one that is no owner's.

    Every token is compared, so that the time that it takes tells nothing.
    """
    if not tokens:
        return LOCAL
    given = [one.encode(errors="replace") for one in offered]
    found = [name for name, token in tokens.items() for one in given if hmac.compare_digest(one, token.encode())]
    return found[0] if found else NOBODY


def no_place(limit: int, open_: Sequence[str], owner: str, owners: Collection[str]) -> str:
    """Why no further session of `owner` may run; empty where one may. `open_`: whose those that run are, one each.

    Who has one already leaves a place for each of the `owners` who has none.
    """
    kept = len({*owners} - {*open_, owner}) if owner in open_ else 0
    if len(open_) + kept < limit:
        return ""
    others = ", and what is left is for other owners" if len(open_) < limit else ", which is the limit"
    return f"{len(open_)} sessions are open{others}; try again when one has ended, or raise limits.sessions"


def own_file(path: Path, owner: str) -> Path:
    """Where an owner has what `local` has at `path`."""
    in_memory = str(path) == ":memory:"
    return path if owner == LOCAL or in_memory else path.with_name(f"{path.stem}-{owner}{path.suffix}")
