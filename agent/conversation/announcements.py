"""What waits to be said unasked: a timer that rings, a correction, how an action ended."""

from __future__ import annotations

from collections import deque
from typing import Literal

from agent.conversation.playback import Said

SayAgain = Literal["never", "unheard", "unfinished"]
MAX_ANNOUNCEMENTS = 16
"""That wait; beyond it the oldest is dropped."""

Announcement = tuple[str, tuple[str, ...]]
"""The text, and the event ids that it rests on."""


class Announcements:
    """True while one waits."""

    def __init__(self) -> None:
        self._waiting: deque[Announcement] = deque(maxlen=MAX_ANNOUNCEMENTS)

    def __bool__(self) -> bool:
        return bool(self._waiting)

    def add(self, text: str, cause_id: str) -> None:
        self._waiting.append((text, (cause_id,)))

    def cut(self, said: Said, say_again: SayAgain, *, heard: str) -> None:
        """It was interrupted: if `say_again` is true of it, it is the next one to be said. `heard`: of its whole reply,
        which may have gone on behind it."""
        if {"unheard": not heard, "unfinished": not heard.startswith(said.text.strip())}.get(say_again):
            self._waiting.appendleft((said.text, said.rests_on))

    def take(self) -> Announcement:
        """The one that has waited longest. Raises `IndexError` when none does."""
        return self._waiting.popleft()
