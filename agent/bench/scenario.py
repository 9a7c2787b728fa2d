"""One caller's conversation with the agent: requests, barge-ins, noises into a story."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from dataclasses import dataclass, field

from agent.bench.caller import Caller, Message
from agent.bench.machine import stalled_us
from agent.bench.microphone import Pcm
from agent.bench.plan import HESITATION, HESITATION_MS, NOISE_MS, REQUESTS, STOP, STORY, Plan
from agent.bench.voices import Voice, noise_burst, shortened

ANSWER_S = 10.0
REPLY_S = 30.0
QUIET_S = 1.0
INTO_STORY_S = 2.0
AFTER_BURST_S = 3.0
STOP_S = 6.0


@dataclass(frozen=True, slots=True)
class Ask:
    """A request said into silence. Times are the caller's; `stalled` is the share of the wait in
    which something on the machine waited for a core, where that is known. `answered`: the answer was to
    what was asked, not that it was not understood."""

    text: str
    first_us: int
    last_us: int
    until_us: int
    stalled: float | None
    answered: bool = True


@dataclass(frozen=True, slots=True)
class Barge:
    """Words said into a reply. `answer_us`: when the answer to them began, None without one."""

    first_us: int
    last_us: int
    until_us: int
    answer_us: int | None
    stalled: float | None


@dataclass(frozen=True, slots=True)
class Burst:
    """A sound made during a reply, and until when the reply was watched."""

    kind: str
    first_us: int
    last_us: int
    until_us: int


@dataclass(slots=True)
class Talk:
    """What was done."""

    asks: list[Ask] = field(default_factory=list)
    barges: list[Barge] = field(default_factory=list)
    bursts: list[Burst] = field(default_factory=list)
    reference_us: tuple[int, int] = (0, 0)
    """Within this span the story was heard undisturbed from its beginning."""
    span_us: tuple[int, int] = (0, 0)


class Interview:
    """Carries out a plan over one call. `step` is told after each part."""

    def __init__(self, caller: Caller, voice: Voice, plan: Plan, step: Callable[[str], None]) -> None:
        self._caller = caller
        self._voice = voice
        self._plan = plan
        self._step = step
        self._dice = random.Random(100)  # noqa: S311 - the same pauses in every run
        self.talk = Talk()

    async def run(self) -> Talk:
        plan, began_us = self._plan, self._now_us
        requests = [text for text in REQUESTS if text not in self._voice.misheard] or list(REQUESTS)
        await self._ask(requests[0])  # the first one warms everything up and does not count
        for count in range(plan.asks):
            self._step("asking")
            self.talk.asks.append(await self._ask(requests[count % len(requests)]))
        self._step("listening")
        await self._listen()
        for _ in range(plan.barges):
            self._step("barging in")
            await self._barge()
        for _ in range(plan.stories):
            await self._disturb()
        self.talk.span_us = (began_us, self._now_us)
        return self.talk

    @property
    def _now_us(self) -> int:
        return self._caller.clock.now_us()

    async def _ask(self, text: str) -> Ask:
        return await ask(self._caller, self._voice, text, self._dice)

    async def _story(self) -> bool:
        """Have the story told; whether something plays. Asked for in writing, so that it is this story."""
        await asyncio.sleep(QUIET_S)
        since = self._caller.position
        self._caller.send("text.input", text=STORY)
        return await self._caller.until(_playing, ANSWER_S, since) is not None

    async def _listen(self) -> None:
        """Hear the story undisturbed."""
        if await self._story():
            since, began_us = self._caller.position, self._now_us
            if await self._caller.until(_reply_over, self._plan.reference_s, since) is None:
                self.talk.reference_us = (began_us - 1_000_000, self._now_us)
        await self._stop()

    async def _barge(self) -> None:
        if not await self._story():
            return
        await asyncio.sleep(INTO_STORY_S + self._dice.uniform(0.0, 0.5))
        since, before_us = self._caller.position, stalled_us()
        said = await self._caller.say(self._voice.lines[STOP])
        answer = await self._caller.until(_playing, STOP_S, since)
        stalled = _share(before_us, stalled_us(), self._now_us - said.first_us)
        answer_us = None if answer is None else int(answer["now_us"])
        if answer is not None:
            await self._caller.until(_reply_over, REPLY_S, self._caller.messages.index(answer))
        self.talk.barges.append(Barge(said.first_us, said.last_us, self._now_us, answer_us, stalled))
        await self._stop()

    async def _disturb(self) -> None:
        """One story with sounds in it; told anew when a sound ended it."""
        sounds = {
            "noise": noise_burst(NOISE_MS),
            "hesitation": shortened(self._voice.lines[HESITATION], HESITATION_MS),
        }
        telling = False
        for count in range(self._plan.bursts_per_story):
            kind = ("noise", "hesitation")[count % 2]
            self._step("making noises")
            if not telling and not await self._story():
                return
            await asyncio.sleep((0.0 if telling else INTO_STORY_S) + self._dice.uniform(0.0, 0.3))
            telling = await self._burst(kind, sounds[kind])
        await self._stop()

    async def _burst(self, kind: str, pcm: Pcm) -> bool:
        """Make a sound; whether the reply goes on behind it."""
        since = self._caller.position
        said = await self._caller.say(pcm)
        over = await self._caller.until(_reply_over, AFTER_BURST_S, since)
        if over is not None:
            await asyncio.sleep(0.5)
        self.talk.bursts.append(Burst(kind, said.first_us, said.last_us, self._now_us))
        return over is None

    async def _stop(self) -> None:
        """Silence whatever plays, by the stop button."""
        since = self._caller.position
        self._caller.send("control.stop")
        await self._caller.until(_reply_over, 1.0, since)


async def ask(caller: Caller, voice: Voice, text: str, dice: random.Random) -> Ask:
    """After a pause, off any rhythm that the server may have, say it and hear the answer out."""
    await asyncio.sleep(QUIET_S + dice.uniform(0.0, 0.6))
    since, before_us = caller.position, stalled_us()
    said = await caller.say(voice.lines[text])
    played = await caller.until(_playing, ANSWER_S, since) is not None
    stalled = _share(before_us, stalled_us(), caller.clock.now_us() - said.first_us)
    if played:
        await caller.until(_reply_over, REPLY_S, since)
    answered = played and not any(map(_apologised_for, caller.messages[since:]))
    await asyncio.sleep(0.3)
    return Ask(text, said.first_us, said.last_us, caller.clock.now_us(), stalled, answered)


def _apologised_for(message: Message) -> bool:
    return bool(message["type"] == "turn.end" and not message["payload"]["understood"])


def _playing(message: Message) -> bool:
    return bool(message["type"] == "playback.start")


def _reply_over(message: Message) -> bool:
    return bool(message["type"] == "reply.done" and message["payload"]["outcome"] != "discarded")


def _share(before_us: int | None, after_us: int | None, wait_us: int) -> float | None:
    if before_us is None or after_us is None:
        return None
    return (after_us - before_us) / max(wait_us, 50_000)
