"""A real-time voice agent. `from agent import Agent, tool` makes one of your own.

Importing this alone loads nothing: each name is loaded when it is asked for.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from agent.errors import ToolError
    from agent.program import Agent
    from agent.thinking.port import ToolContext
    from agent.thinking.tools.function_tool import tool

__all__ = ["Agent", "ToolContext", "ToolError", "tool"]

_HOME = {
    "Agent": "agent.program",
    "ToolContext": "agent.thinking.port",
    "ToolError": "agent.errors",
    "tool": "agent.thinking.tools.function_tool",
}


def __getattr__(name: str) -> object:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOME[name]), name)
