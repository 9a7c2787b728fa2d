"""What is said when nothing was understood."""

from __future__ import annotations

from collections.abc import Sequence

from agent.conversation.message import Message

NOT_UNDERSTOOD = (
    "Sorry, I didn't understand that. You can ask me what I can do.",
    "I still didn't get that. Try something like: what time is it in Tokyo?",
    "Sorry, that's not something I know. Say help to hear what I can do.",
)
NOT_HEARD = (
    "Sorry, I didn't catch that.",
    "I didn't catch that either. Could you say it in other words?",
    "Sorry, I still don't understand. You can type it, too.",
)
CONFESSIONS = NOT_UNDERSTOOD + NOT_HEARD


def confession(before: Sequence[Message], *, understood: bool) -> str:
    """Different each time in a row. `understood`: the words were clear, what they ask for is not."""
    in_a_row = 0
    for message in reversed(before):
        if message.role == "agent":
            if not (message.text + message.cut).startswith(CONFESSIONS):
                break
            in_a_row += 1
    choices = NOT_UNDERSTOOD if understood else NOT_HEARD
    return choices[in_a_row % len(choices)]
