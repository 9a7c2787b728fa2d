"""The outbox: messages as files, sent at most once each.

    folder/NAME.eml ──▶ folder/sending/NAME.eml ──250──▶ folder/sent/NAME.eml
                                   └──refused──▶ folder/failed/NAME.eml

Which folder a message lies in is its state, a rename is a step, and each step is durable before
the next. Without a server a message stays in `folder`, for whatever mail program takes it from
there. One that a crash left in `sending` may have been sent or not: that is said, and it is
never sent again by itself.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from agent.clock import Clock
from agent.errors import ToolError
from agent.thinking.tools import safe_file
from agent.thinking.tools.smtp import Smtp, Undecided

T = TypeVar("T")

MAX_WAITING = 1_000
"""Files in `folder`; beyond it nothing is added."""
NO_FOLDER = "There is no place for an outbox: set mail.outbox, or keep the memory in a file."
UNDECIDED = "I don't know whether the e-mail was sent: the connection broke. I will not send it again by myself."


@dataclass(frozen=True, slots=True)
class Letter:
    """A whole message (RFC 5322, CRLF) and its envelope. `name` is a file name without suffix."""

    name: str
    sender: str
    recipients: Sequence[str]
    data: bytes


class Outbox:
    """`folder` None: there is none. Files and server are used in a thread of its own."""

    def __init__(self, folder: Path | None, smtp: Smtp | None = None) -> None:
        self.folder = folder
        self.smtp = smtp
        self._executor = ThreadPoolExecutor(max_workers=1, thread_name_prefix="outbox")
        self._checks = ThreadPoolExecutor(max_workers=1, thread_name_prefix="outbox-check")

    async def check(self) -> str:
        """A preflight: why nothing can be sent, or empty."""
        return await _in_thread(self._checks, self._check)

    async def send(self, letter: Letter) -> bool:
        """True when it was sent, false when it waits in the folder. A second time changes nothing.

        Raises `ToolError`; class `unknown` when it may have been sent or not.
        """
        return await _in_thread(self._executor, lambda: self._send(letter))

    async def close(self) -> None:
        """Lets a message that is being sent go out, without waiting for it."""
        for executor in (self._executor, self._checks):
            executor.shutdown(wait=False)

    def _check(self) -> str:
        if self.folder is None:
            return NO_FOLDER
        problem = safe_file.not_writable(self.folder)
        if problem:
            return f"The outbox cannot be used: {problem}. Set mail.outbox to a writable folder."
        return self.smtp.check() if self.smtp else ""

    def _send(self, letter: Letter) -> bool:
        if self.folder is None:
            raise ToolError(NO_FOLDER, "unreachable")
        try:
            return self._step(self.folder, self.folder / f"{letter.name}.eml", letter)
        except OSError as error:
            raise ToolError(f"The outbox cannot be written: {error.strerror or error}.", "permission") from error

    def _step(self, folder: Path, waiting: Path, letter: Letter) -> bool:
        sending, sent = folder / "sending" / waiting.name, folder / "sent" / waiting.name
        if sent.exists():
            return True
        if sending.exists():
            raise ToolError(UNDECIDED, "unknown")
        if not waiting.exists():
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            if sum(1 for entry in os.scandir(folder) if entry.is_file()) >= MAX_WAITING:
                raise ToolError(f"{MAX_WAITING} e-mails wait in the outbox already. Send or delete some.", "input")
            safe_file.replace(waiting, letter.data)
        if self.smtp is None:
            return False
        safe_file.move(waiting, sending)
        try:
            self.smtp.deliver(letter.sender, letter.recipients, letter.data)
        except Undecided as error:
            raise ToolError(UNDECIDED, "unknown") from error
        except ToolError:
            safe_file.move(sending, folder / "failed" / waiting.name)
            raise
        safe_file.move(sending, sent)
        return True


async def _in_thread(executor: ThreadPoolExecutor, work: Callable[[], T]) -> T:
    async with Clock().external():
        return await asyncio.get_running_loop().run_in_executor(executor, work)
