"""A conversation with the embedded brain without a core around it."""

from __future__ import annotations

from datetime import datetime
from zoneinfo import ZoneInfo

from agent.errors import ToolError
from agent.thinking.brain_skills import SkillsBrain
from agent.thinking.libraries import Libraries
from agent.thinking.memory import Memory
from agent.thinking.port import Call, Delta, Message, Prompt, Tool, ToolContext, UserContext
from agent.thinking.timers import Timers
from agent.thinking.tools.catalogue import builtin_tools

NOW = datetime(2026, 3, 4, 15, 20, tzinfo=ZoneInfo("Europe/Berlin"))  # a Wednesday


class Talk:
    """The brain's calls are run at once."""

    def __init__(self, brain: SkillsBrain, libraries: Libraries) -> None:
        self.memory = Memory(":memory:")
        self.timers = Timers(self.memory)
        self.brain = brain
        self.tools: dict[str, Tool] = {
            tool.spec.name: tool for tool in builtin_tools(self.memory, self.timers, libraries)
        }
        self.messages: list[Message] = []
        self.calls: list[Call] = []
        self.now = NOW
        self.speed: float | None = None
        """At which the agent speaks, where something else than a preference says so."""
        self._keys = 0

    async def __aenter__(self) -> Talk:
        await self.memory.start()
        await self.brain.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.memory.close()

    def _user(self) -> UserContext:
        return UserContext(self.now, "Europe/Berlin", speed=self.speed)

    async def _step(self) -> tuple[str, list[Call]]:
        user = self._user()
        prompt = Prompt(self.messages, [tool.spec for tool in self.tools.values()], user)
        parts = [part async for part in self.brain.respond(prompt)]
        text = "".join(part.text for part in parts if isinstance(part, Delta))
        return text, [part for part in parts if isinstance(part, Call)]

    async def _run(self, call: Call) -> Message:
        tool = self.tools[call.name]
        self._keys += 1
        key = f"k{self._keys}" if tool.spec.effect == "write" else ""
        try:
            content = await tool.run(call.arguments, ToolContext(self._user(), key))
        except ToolError as error:
            return Message("result", str(error), call_id=call.call_id, name=call.name, error_class=error.error_class)
        return Message("result", call_id=call.call_id, name=call.name, content=content)

    async def say(self, text: str, *, understood: bool = True, heard_chars: int | None = None) -> str:
        """The agent's whole answer. `heard_chars`: the user heard only so much of it."""
        self.messages.append(Message("user", text, understood=understood))
        answer, self.calls = await self._step()
        if self.calls:
            for call in self.calls:
                self.messages.append(Message("call", call_id=call.call_id, name=call.name, arguments=call.arguments))
            for call in self.calls:
                self.messages.append(await self._run(call))
            told, more = await self._step()
            assert not more
            answer += told
        cut = len(answer) if heard_chars is None else heard_chars
        self.messages.append(Message("agent", answer[:cut], cut=answer[cut:]))
        return answer
