"""One entry of a prompt: the conversation in the words a brain is told it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from agent.conversation.events import Json


@dataclass(frozen=True, slots=True)
class Message:
    """Made from the timeline event `event_id`.

    role    text
    user    what the user said or typed (`understood` false: words that no skill knows)
    agent   what the user *heard* of a reply; `cut` is what they did not hear
    call    the brain asked for tool `name` with `arguments` (`call_id`)
    result  what that tool answered: `content`, or `error_class` and `text` when it failed
    note    something the brain should know ("the timer was set although you were interrupted")
    """

    role: Literal["user", "agent", "call", "result", "note"]
    text: str = ""
    event_id: str = ""
    understood: bool = True
    cut: str = ""
    call_id: str = ""
    name: str = ""
    arguments: Mapping[str, Json] = field(default_factory=dict)
    content: Json = None
    error_class: str = ""
