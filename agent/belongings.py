"""What is an owner's own, in whichever of their conversations: memory, timers, address book, outbox and calendar.

Each owner has files of their own, so that nothing of one can be asked for, or rings, with another.
"""

from __future__ import annotations

from datetime import datetime

from agent.owners import own_file
from agent.settings import Settings
from agent.thinking.memory import Memory
from agent.thinking.timers import Timers
from agent.thinking.tools.office import Office
from agent.thinking.tools.preferences import SPEED


class Belongings:
    """Of one owner. Nothing is opened before `memory.start`."""

    def __init__(self, owner: str, settings: Settings) -> None:
        self.owner = owner
        self.memory = Memory(own_file(settings.brain.memory, owner))
        self.timers = Timers(self.memory)
        self.office = Office.of(settings.mail, settings.calendar, settings.brain.memory, owner)

    def speed(self, default: float) -> float:
        """Of speech, as they like it; 1.0 is the voice's own."""
        return float(self.memory.preference(SPEED, default))

    def speed_asked(self) -> datetime | None:
        """When they asked for that, if they ever did."""
        return self.memory.asked(SPEED)
