"""One pocketsphinx process, seen from its owner."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any, Self

from agent.clock import Clock
from agent.hearing import sphinx_protocol as protocol
from agent.hearing.worker_process import WorkerProcess
from agent.hearing.worker_protocol import packed

COMMAND = (sys.executable, "-m", "agent.hearing.sphinx_worker")


class SphinxProcess(WorkerProcess):
    """Hears one turn at a time."""

    version = protocol.VERSION

    @classmethod
    async def spawn(cls, arguments: Sequence[str], clock: Clock, command: Sequence[str] = COMMAND) -> Self:
        """Starts the process and does not wait for its models. Raises `AsrError`.

        `arguments` are those of `agent.hearing.sphinx_worker`.
        """
        return await cls.start((*command, *arguments), clock)

    async def hear(self, turn: int, samples: bytes) -> str:
        """Decode a piece of a turn; the text so far. Raises `WorkerDiedError`."""
        answer = await self.ask(protocol.packed_audio(turn, samples), protocol.HEARD)
        return str(answer.get("text", ""))

    async def settle(self) -> dict[str, Any]:
        """`text`, `understood`, `confidence` of the turn. Raises `WorkerDiedError`."""
        return await self.ask(packed(protocol.SETTLE, {}), protocol.SETTLED)

    async def reset(self) -> None:
        """Forget the turn. Raises `WorkerDiedError`."""
        await self.tell(packed(protocol.RESET, {}))
