"""What the tools for letters and appointments share: address book, outbox, calendar."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from agent.owners import LOCAL, own_file
from agent.settings import CalendarSettings, MailSettings
from agent.thinking.tools.calendar_file import CalendarFile
from agent.thinking.tools.contacts import Contacts
from agent.thinking.tools.outbox import Outbox
from agent.thinking.tools.smtp import Smtp


@dataclass(frozen=True, slots=True)
class Office:
    contacts: Contacts
    outbox: Outbox
    calendar: CalendarFile
    duration_min: int = 60
    """How long an appointment lasts."""

    @classmethod
    def of(cls, mail: MailSettings, calendar: CalendarSettings, memory: Path, owner: str = LOCAL) -> Office:
        """As set; what has no place of its own lies beside the `memory` file. Raises `SettingsError`.

        Addresses, contacts and the places that are set are those of `local`: nobody else writes in that name.
        """
        if owner != LOCAL:
            mail, calendar = MailSettings(), CalendarSettings(duration_min=calendar.duration_min)
        beside = memory.parent if str(memory) != ":memory:" else None
        smtp = Smtp(
            mail.smtp_host,
            mail.smtp_port,
            mail.smtp_security,
            mail.smtp_user,
            mail.smtp_password_env,
            mail.smtp_timeout_s,
        )
        return cls(
            Contacts(mail.contacts, mail.own),
            Outbox(_place(mail.outbox, beside, "voice-agent-outbox", owner), smtp if mail.smtp_host else None),
            CalendarFile(_place(calendar.path, beside, "voice-agent-calendar.ics", owner)),
            calendar.duration_min,
        )

    async def close(self) -> None:
        await self.outbox.close()


def _place(given: str, beside: Path | None, name: str, owner: str) -> Path | None:
    if given:
        return Path(given)
    return own_file(beside / name, owner) if beside is not None else None
