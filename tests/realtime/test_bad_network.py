"""Packets lost, late, out of order or not let through at all between real peers: the conversation goes on."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator

import numpy as np
import pytest
from websockets.asyncio.client import connect

from agent.bench.heard import AUDIBLE_RMS
from tests.fixtures.relay import Relay, RelayedCall, calling_over
from tests.fixtures.server import Server, start_server, stop_server
from tests.fixtures.speech import speak

pytestmark = pytest.mark.realtime

QUESTION = "what time is it in tokyo right now"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    server = start_server(tmp_path_factory.mktemp("network"))
    yield server
    stop_server(server)


def audible_us(call: RelayedCall, since_us: int) -> list[int]:
    """When audible frames arrived."""
    heard = call.heard()
    return [int(at) for at in heard.arrived_us[(heard.rms >= AUDIBLE_RMS) & (heard.arrived_us >= since_us)]]


@pytest.mark.parametrize(("loss", "jitter_ms"), [(0.05, 40.0), (0.2, 40.0)])
def test_a_question_over_a_bad_network_is_understood_and_answered(
    server: Server, loss: float, jitter_ms: float
) -> None:
    async def main() -> None:
        async with calling_over(Relay(loss, jitter_ms), server.url) as call:
            for _ in range(3):
                since, since_us = call.position, call.clock.now_us()
                await call.speak(QUESTION)
                if "Tokyo" in await call.answered(since):
                    break
            assert "Tokyo" in call.said(since)
            assert len(audible_us(call, since_us)) > 50, "an answer of at least a second was heard"
            seqs = [message["seq"] for message in call.messages]
            assert seqs == list(range(seqs[0], seqs[0] + len(seqs))), "the timeline came whole and in order"

    asyncio.run(main())


def test_after_two_seconds_of_nothing_the_answer_goes_on(server: Server) -> None:
    async def main() -> None:
        relay = Relay(0.0, 10.0)
        async with calling_over(relay, server.url) as call:
            since = call.position
            call.send("settings.changed", changes={"tts.speed": 2.0})  # it goes on as well, and is over sooner
            await call.begin_long_answer()
            await asyncio.sleep(1.0)
            relay.dark = True
            await asyncio.sleep(2.0)
            relay.dark = False
            light_us = call.clock.now_us()
            await call.event("reply.done", since, timeout_s=60, outcome="completed")
            back_ms = (audible_us(call, light_us)[0] - light_us) / 1_000
            print(f"audible again {back_ms:.0f} ms behind a blackout of 2 s")
            seqs = [message["seq"] for message in call.messages]
            assert seqs == list(range(seqs[0], seqs[0] + len(seqs))), "the timeline came whole and in order"
            assert "56" in await call.answer("what is seven times eight")

    asyncio.run(main())


def test_where_udp_is_blocked_a_question_over_the_websocket_is_answered_in_sound(server: Server) -> None:
    async def main() -> None:
        pcm = np.concatenate([speak(QUESTION), np.zeros(16_000, np.int16)])
        types: list[str] = []
        said = ""
        loud = 0
        async with connect(server.url.replace("http", "ws") + "ws") as socket:

            async def talk() -> None:
                for start in range(0, pcm.size, 320):
                    await socket.send(pcm[start : start + 320].astype("<i2").tobytes())
                    await asyncio.sleep(0.02)

            async with asyncio.TaskGroup() as tasks, asyncio.timeout(20):
                tasks.create_task(talk())
                async for message in socket:
                    if isinstance(message, bytes):
                        loud += bool(np.abs(np.frombuffer(message, "<i2").astype(int)).max() > 1_000)
                        continue
                    event = json.loads(message)
                    types.append(event["type"])
                    said += event["payload"]["text"] if event["type"] == "tts.chunk" else ""
                    if event["type"] == "reply.done" and event["payload"]["outcome"] == "completed":
                        break
        assert types[0] == "hello"
        assert "Tokyo" in said
        assert loud > 20, "frames of 20 ms with the answer in them"

    asyncio.run(main())
