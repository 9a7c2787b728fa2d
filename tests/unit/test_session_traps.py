"""What goes wrong in other voice agents, through the real driver and loops; see also conversation/test_traps.py."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest

from agent.clock import Clock, run_virtual
from agent.conversation import decisions as d
from agent.conversation import events as e
from agent.conversation.events import Json
from agent.session import Engines, Session
from agent.settings import Settings
from agent.speaking.port import Speech
from agent.thinking.port import Call, Delta, Prompt, ToolContext, ToolSpec
from agent.timeline.memory import MemoryStore
from agent.timeline.projections.transcript import transcript
from tests.unit.test_session import Beeper, Deaf, Ledger, NeverSpeech, Script, play, running, types


@dataclass
class SlowTool:
    """Takes `seconds`; `at_work` is called when it begins, `at_end` however it ends."""

    name: str = "look"
    effect: e.Effect = "read"
    seconds: float = 2.0
    at_work: Callable[[], None] = lambda: None
    at_end: Callable[[], None] = lambda: None
    runs: int = 0

    @property
    def spec(self) -> ToolSpec:
        return ToolSpec(self.name, "", {}, self.effect)

    async def preflight(self) -> str:
        return ""

    async def run(self, arguments: Mapping[str, Json], context: ToolContext) -> Json:
        self.runs += 1
        self.at_work()
        try:
            await asyncio.sleep(self.seconds)
        finally:
            self.at_end()
        return "done"


@dataclass
class Waiter:
    """A brain that orders what it is asked for, unless its prompt says that it has."""

    name: str = "waiter"
    prompts: list[Prompt] = field(default_factory=list)

    async def start(self) -> None: ...

    async def close(self) -> None: ...

    async def respond(self, prompt: Prompt) -> AsyncIterator[Delta | Call]:
        self.prompts.append(prompt)
        calls = {m.call_id for m in prompt.messages if m.role == "call"}
        assert calls == {m.call_id for m in prompt.messages if m.role == "result"}, "a call without its result"
        if any("order" in m.text + m.name for m in prompt.messages if m.role in ("call", "note")):
            yield Delta("It is ordered.")
        else:
            yield Call("c1", "order", {})


class Tones(Beeper):
    """A tone as loud as the text is long."""

    async def synthesize(self, text: str, speed: float = 1.0) -> AsyncIterator[Speech]:
        async for piece in super().synthesize(text, speed):
            yield Speech(np.full_like(piece.pcm, loudness(text)), piece.words)


def loudness(text: str) -> int:
    return 500 * len(text)


def last(session: Session, type_: type[Any]) -> Any:
    return [entry.event for entry in session.timeline.window() if isinstance(entry.event, type_)][-1]


async def frames(session: Session, ms: int) -> list[int]:
    """The loudness of each audible frame of this time."""
    heard = []
    for _ in range(ms // 20):
        await asyncio.sleep(0.02)
        if (frame := session.next_frame()) is not None:
            heard.append(int(np.abs(frame.astype(np.int32)).max()))
    return heard


# ── tools ────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("asked_again_after_ms", [200, 3_000])
def test_an_order_whose_reply_was_interrupted_is_placed_once(asked_again_after_ms: int) -> None:
    """The interrupted tool's result is lost, or still to come, and the model orders again."""

    async def main() -> None:
        tool, brain = SlowTool("order", "write"), Waiter()
        async with running(brain, tool) as session:
            session.post(e.TextInput(text="order a pizza"))
            await play(session, 200)
            session.post(e.ControlStop())
            await play(session, asked_again_after_ms)
            session.post(e.TextInput(text="and?"))
            await play(session, 4_000)
            assert tool.runs == 1
            assert last(session, d.ActionCommitted).late
            assert last(session, d.PlaybackStop).heard_text == "It is ordered."

    run_virtual(main())


def test_saying_something_inside_an_interrupted_tool_does_not_deadlock() -> None:
    """A tool that speaks waits for the voice, the interruption waits for the tool, and all is silent for ever.

    What a tool wants said is a fact like any other: it waits for its turn, and nobody waits for it.
    """

    async def main() -> None:
        tool = SlowTool(seconds=60)
        async with running(Script([Call("c1", "look", {})], [Delta("Yes.")]), tool) as session:

            def say(text: str) -> Callable[[], None]:
                return lambda: session.post(e.ReminderDue(reminder_id="m", text=text))

            tool.at_work, tool.at_end = say("I am looking."), say("I was stopped.")
            session.post(e.TextInput(text="look"))
            await play(session, 300)
            session.post(e.ControlStop())
            await play(session, 2_000)
            session.post(e.TextInput(text="still there?"))
            await play(session, 2_000)
            stops = [x.event for x in session.timeline.window() if isinstance(x.event, d.PlaybackStop)]
            assert [stop.heard_text for stop in stops] == ["", "I am looking.", "I was stopped.", "Yes."]

    run_virtual(main())


def test_a_tool_that_hangs_keeps_neither_the_conversation_nor_the_session() -> None:
    """A tool in progress for ever: no answer, no next answer, and the session cannot even be closed."""

    async def main() -> float:
        read, write = SlowTool("look", seconds=10**6), SlowTool("act", "write", seconds=10**6)
        brain = Script([Call("c1", "look", {})], [Call("c2", "act", {})], [Delta("Yes.")])
        async with running(brain, read, write) as session:
            for text in ("look", "act", "still there?"):
                session.post(e.TextInput(text=text))
                await play(session, 25_000)
            assert last(session, d.PlaybackStop).heard_text == "Yes."
            codes = [x.event.code for x in session.timeline.window() if isinstance(x.event, d.Complaint)]
            assert codes == ["tool.timeout", "tool.timeout"]
            closing = asyncio.get_running_loop().time()
        return asyncio.get_running_loop().time() - closing

    assert run_virtual(main()) < 10


def test_preemption_during_a_tool_gives_one_answer() -> None:
    """Both the old turn, once its tool has answered, and the new one are spoken."""

    async def main() -> None:
        tool = SlowTool(seconds=1)
        brain = Script([Call("c1", "look", {})], [Delta("The second answer.")], [Delta("The first answer.")])
        async with running(brain, tool) as session:
            session.post(e.TextInput(text="one"))
            await play(session, 200)
            session.post(e.TextInput(text="two"))
            await play(session, 5_000)
            assert len(brain.prompts) == 2
            assert [turn["agent"][0]["heard"] for turn in transcript(session.timeline.window())] == [  # type: ignore[index,call-overload]
                "",
                "The second answer.",
            ]

    run_virtual(main())


def test_the_side_effect_of_a_discarded_generation_does_not_run() -> None:
    """The speculative answer acts although the user had not finished; the driver must hold it, not the brain."""

    async def main() -> None:
        tool = Ledger()
        brain = Script([Call("c1", "act", {})], [Delta("Not that then.")])
        async with running(brain, tool) as session:
            session.post(e.SpeechStarted(utterance=1, onset_us=0))
            session.post(e.SpeechStopped(utterance=1, end_us=0, voiced_ms=900))
            session.post(e.AsrFinal(utterance=1, text="send it and"))
            await asyncio.sleep(0.1)
            assert "tool.call" in types(session)
            session.post(e.SpeechStarted(utterance=2, onset_us=0))
            session.post(e.SpeechStopped(utterance=2, end_us=0, voiced_ms=900))
            session.post(e.AsrFinal(utterance=2, text="send it and no leave it"))
            await play(session, 5_000)
            assert tool.keys == []
            assert last(session, d.PlaybackStop).heard_text == "Not that then."

    run_virtual(main())


# ── speech ───────────────────────────────────────────────────────────────────────────────


def test_a_stale_reply_is_not_audible_behind_its_interruption() -> None:
    """The brain does not notice its cancellation and streams on; so does the voice, over the user."""

    class Stubborn(Script):
        async def respond(self, prompt: Prompt) -> AsyncIterator[Delta | Call]:
            for _ in range(50):
                with contextlib.suppress(asyncio.CancelledError):
                    await asyncio.sleep(0.05)
                yield Delta("And one more thing. ")

    async def main() -> None:
        async with running(Stubborn()) as session:
            session.post(e.TextInput(text="talk"))
            assert await play(session, 600) > 10
            session.post(e.ControlStop())
            session.next_frame()  # fades out
            assert await play(session, 5_000) == 0

    run_virtual(main())


def test_pausing_before_the_first_frame_does_not_lose_the_reply() -> None:
    """Paused before it began, the reply is dropped by the playout, or its start is never told."""

    async def main() -> None:
        async with running(Script([Delta("One two three.")])) as session:
            session.post(e.TextInput(text="count"))
            session.post(e.DeviceCut(source="device:d"))
            assert await play(session, 200) == 0
            session.post(e.DeviceCut(source="device:d", undo=True))
            assert await play(session, 1_000) >= 15
            stop = last(session, d.PlaybackStop)
            assert (stop.heard_text, stop.method) == ("One two three.", "complete")

    run_virtual(main())


@pytest.mark.parametrize("how", ["hangs", "fails"])
def test_the_agent_is_not_speaking_and_silent(how: str) -> None:
    """The voice hangs in mid-reply; the state stays "speaking" and nobody hears anything any more."""

    class Faint(Beeper):
        async def synthesize(self, text: str, speed: float = 1.0) -> AsyncIterator[Speech]:
            if text == "Two.":
                if how == "fails":
                    raise RuntimeError("no voice")
                await asyncio.sleep(10**6)
            async for piece in super().synthesize(text, speed):
                yield piece

    async def main() -> None:
        brain = Script([Delta("One. "), Delta("Two. "), Delta("Three.")], [Delta("Yes.")])
        engines = Engines(NeverSpeech, Deaf(), brain, [], Faint(), lambda: 1.0, {})
        session = Session("s", engines, MemoryStore(), Clock(), Settings())
        life = asyncio.create_task(session.run())
        await session.ready.wait()
        session.post(e.DeviceJoined(device_id="d", transport="test"))
        session.post(e.TextInput(text="count"))
        await play(session, 12_000)
        stop = last(session, d.PlaybackStop)
        assert (stop.heard_text, stop.unheard_text) == ("One. Three.", "Two.")
        assert last(session, d.AgentStatus).status == "listening"
        session.post(e.TextInput(text="still there?"))
        await play(session, 2_000)
        assert last(session, d.PlaybackStop).heard_text == "Yes."
        session.close("over")
        await life

    run_virtual(main())


@pytest.mark.parametrize("ms", range(40, 640, 60))
def test_the_transcript_is_not_ahead_of_the_audio(ms: int) -> None:
    """Wherever it is cut, only words that had left whole are heard, in the event, the transcript and the prompt."""

    async def main() -> None:
        text = "One two three four five six."
        brain = Script([Delta(text)], [Delta("Yes.")])
        async with running(brain) as session:
            session.post(e.TextInput(text="count"))
            audible_ms = 20 * await play(session, ms)
            session.post(e.ControlStop())
            stop = last(session, d.PlaybackStop)
            assert len(stop.heard_text.split()) == audible_ms // 100
            assert f"{stop.heard_text} {stop.unheard_text}".strip() == text
            (turn,) = transcript(session.timeline.window())
            shown: Any = turn["agent"]
            assert (shown[0]["heard"], shown[0]["unheard"]) == (stop.heard_text, stop.unheard_text)
            session.post(e.TextInput(text="go on"))
            await play(session, 500)
            told = [(m.role, m.text, m.cut) for m in brain.prompts[1].messages]
            assert told[1] == ("agent", stop.heard_text, stop.unheard_text)

    run_virtual(main())


def test_audio_is_not_one_turn_behind() -> None:
    """What is heard in a turn is the answer to the one before: a buffer that nobody emptied."""

    async def main() -> None:
        answers = ["One two three four five six seven eight.", "Nine ten.", "Eleven."]
        session = Session(
            "s",
            Engines(NeverSpeech, Deaf(), Script(*[[Delta(text)] for text in answers]), [], Tones(), lambda: 1.0, {}),
            MemoryStore(),
            Clock(),
            Settings.model_validate({"playout": {"volume": 0.5}}),
        )
        life = asyncio.create_task(session.run())
        await session.ready.wait()
        session.post(e.DeviceJoined(device_id="d", transport="test"))
        for text in answers:
            session.post(e.TextInput(text="next"))  # the one before is cut off
            heard = await frames(session, 160)
            assert heard
            assert max(heard[1:]) <= 0.5 * loudness(text) + 1, "of the one before there is the fade at most"
        session.close("over")
        await life

    run_virtual(main())


# ── devices ──────────────────────────────────────────────────────────────────────────────


def test_one_device_that_leaves_does_not_end_the_session() -> None:
    """The second tab is closed, and with it the first one's call."""

    async def main() -> None:
        async with running(Script([Delta("One two three four.")], [Delta("Yes.")])) as session:
            session.post(e.DeviceJoined(device_id="d2", transport="test"))
            session.post(e.TextInput(text="count"))
            await play(session, 100)
            session.post(e.DeviceLeft(device_id="d2", reason="closed"))
            await play(session, 1_000)
            assert last(session, d.PlaybackStop).method == "complete"
            session.post(e.DeviceLeft(device_id="d", reason="closed"))
            await play(session, 1_000)
            session.post(e.DeviceJoined(device_id="d", transport="test"))
            session.post(e.TextInput(text="still there?"))
            await play(session, 1_000)
            assert last(session, d.PlaybackStop).heard_text == "Yes."

    run_virtual(main())


def test_no_old_audio_is_played_after_a_reconnect() -> None:
    """The device comes back, or the process does, and the reply of minutes ago plays on."""

    async def main() -> None:
        store, clock = MemoryStore(), Clock()
        async with running(Script([Delta("One two three four five six.")]), store=store) as session:
            session.post(e.TextInput(text="count"))
            assert await play(session, 200) > 2
            session.post(e.DeviceLeft(device_id="d", reason="network"))
            session.next_frame()  # fades out
            session.post(e.DeviceJoined(device_id="d", transport="test"))
            assert await play(session, 2_000) == 0

        crashed = Session("t", engines_of(Script([Delta("One two three four five six.")])), store, clock, Settings())
        life = asyncio.create_task(crashed.run())
        await crashed.ready.wait()
        crashed.post(e.DeviceJoined(device_id="d", transport="test"))
        crashed.post(e.TextInput(text="count"))
        words = 20 * await play(crashed, 200) // 100
        await crashed.timeline.durable(crashed.timeline.last_seq)
        life.cancel()
        await asyncio.wait([life])
        again = Session("t", engines_of(Script()), store, clock, Settings())
        await again.restore(await store.read("t"))
        life = asyncio.create_task(again.run())
        await again.ready.wait()
        again.post(e.DeviceJoined(device_id="d", transport="test"))
        assert await play(again, 2_000) == 0
        assert len(last(again, d.PlaybackStop).heard_text.split()) == words > 0
        again.close("over")
        await life

    run_virtual(main())


def engines_of(brain: Script) -> Engines:
    return Engines(NeverSpeech, Deaf(), brain, [], Beeper(), lambda: 1.0, {})
