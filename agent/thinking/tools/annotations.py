"""What a tool declares, from and to the tool annotations of the Model Context Protocol.

The four hints (MCP specification, revision 2025-06-18, `ToolAnnotations`) and their defaults
where one is absent: `readOnlyHint` false, `destructiveHint` true, `idempotentHint` false,
`openWorldHint` true. So a tool that says nothing is a write that cannot be undone and that
the user has to confirm. Hints of a server that is not trusted are worth nothing: all of its
tools are taken for such.

    ToolSpec                     hint
    effect = read                readOnlyHint
    reversible                   not destructiveHint
    idempotent                   idempotentHint
    open_world                   openWorldHint
    risk, confirm                none: from the others, on the safe side
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from agent.conversation.events import Json
from agent.thinking.port import ToolSpec

HINTS = ("readOnlyHint", "destructiveHint", "idempotentHint", "openWorldHint")


@dataclass(frozen=True, slots=True)
class Annotations:
    """The hints, each with the protocol's own default."""

    read_only: bool = False
    destructive: bool = True
    idempotent: bool = False
    open_world: bool = True


def read(hints: Mapping[str, Json] | None) -> Annotations:
    """The hints of a tool as a server sends them; whatever is not a boolean counts as absent."""
    given = {name: value for name, value in (hints or {}).items() if isinstance(value, bool)}
    default = Annotations()
    return Annotations(
        given.get("readOnlyHint", default.read_only),
        given.get("destructiveHint", default.destructive),
        given.get("idempotentHint", default.idempotent),
        given.get("openWorldHint", default.open_world),
    )


def to_spec(
    name: str,
    description: str,
    parameters: Mapping[str, Json],
    hints: Mapping[str, Json] | None,
    *,
    trusted: bool = False,
) -> ToolSpec:
    """A tool of an MCP server. Low risk, which policy may confirm, is only a write that destroys
    nothing and stays on this machine; a read needs no confirmation anyway."""
    found = read(hints) if trusted else Annotations()
    if found.read_only:
        return ToolSpec(name, description, parameters, "read", "low", idempotent=True, open_world=found.open_world)
    harmless = not found.destructive and not found.open_world
    return ToolSpec(
        name,
        description,
        parameters,
        "write",
        "low" if harmless else "high",
        idempotent=found.idempotent,
        reversible=not found.destructive,
        confirm="policy" if harmless else "user",
        open_world=found.open_world,
    )


def from_spec(spec: ToolSpec) -> dict[str, Json]:
    """The hints of one of our tools, all four spelt out."""
    read_only = spec.effect == "read"
    return {
        "readOnlyHint": read_only,
        "destructiveHint": not read_only and not spec.reversible,
        "idempotentHint": read_only or spec.idempotent,
        "openWorldHint": spec.open_world,
    }
