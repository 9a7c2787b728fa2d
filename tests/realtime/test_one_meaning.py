"""One script over every transport: the timelines are equal, but for ids and times."""

from __future__ import annotations

import asyncio
import json
import re
from collections import Counter
from collections.abc import Iterator

import pytest

from tests.fixtures.clients import (
    Client,
    Message,
    over_sse,
    over_webrtc,
    over_webrtc_and_websocket,
    over_websocket,
)
from tests.fixtures.server import Server, start_server, stop_server

pytestmark = pytest.mark.live

TIMES = ("ts", "t_ms", "now_us", "rtp_timestamp")
OF_THE_DEVICE = ("device_id", "transport", "name", "output_latency_ms")
CLOCKS = ("deadline.passed", "playback.mark")
"""Facts that say nothing but when: how far the audio was, that a moment came."""
SETTINGS = (
    "tts.engine=tests.fixtures.even_voice:EvenVoice",
    'mail.own=["home = Ada <ada@example.org>"]',
    'mail.contacts=["anna = Anna <anna@example.org>"]',
)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    server = start_server(tmp_path_factory.mktemp("transports"), *SETTINGS)
    yield server
    stop_server(server)


async def script(client: Client) -> None:
    """A question, a setting, an action and its card; nonsense, a repetition, a stop where there is nothing to stop."""
    question = "what is seven times eight"
    await client.send("command-01", "text.input", text=question)
    await replies(client, 1)
    await client.send("command-02", "settings.changed", changes={"endpointing.floor_ms": 200})
    await client.event("settings.changed")
    await client.send("command-03", "text.input", text="send an email to anna saying the meeting moved to friday")
    proposed = await client.event("action.proposed")
    await replies(client, 2)
    await client.send("command-04", "control.confirm", action_id=proposed["payload"]["action_id"], accept=True)
    await client.event("action.committed")
    await replies(client, 3)
    await client.send("command-05", "no.such.thing")
    await client.wait(lambda: len(client.notices) == 2)
    await client.send("command-06", "control.confirm", action_id="none", accept=True)
    await client.event("core.error", code="action.stale")
    await client.send("command-01", "text.input", text=question)
    await client.send("command-07", "control.stop")
    await client.event("control.stop")


async def replies(client: Client, count: int) -> None:
    """Until so many are over, and the agent listens again."""
    await client.wait(lambda: sum(map(listens, client.entries)) == count)


def listens(entry: Message) -> bool:
    return bool(entry["type"] == "agent.status" and entry["payload"]["status"] == "listening")


def plain(entries: list[Message]) -> list[Message]:
    """Without what may differ."""
    session_id = entries[0]["session_id"]
    joined = next(entry for entry in entries if entry["type"] == "device.joined")
    text = json.dumps(entries).replace(session_id, "SESSION").replace(joined["payload"]["device_id"], "DEVICE")
    found: list[Message] = json.loads(re.sub(r"<[0-9a-f]{40}@", "<LETTER@", text))
    for entry in found:
        for name in TIMES:
            entry.pop(name, None)
        if entry["type"] == "owner.changed":
            entry["payload"]["owner"] = "OWNER"
        if entry["type"] == "device.joined":
            for name in OF_THE_DEVICE:
                del entry["payload"][name]
    return found


def lanes(entries: list[Message]) -> tuple[list[Message], list[Message]]:
    """What was synthesised, and everything else, each in its order: whether a chunk is whole before its first frame
    is sent is a matter of time, as are the facts of `CLOCKS`. Ids that count entries count those of one type instead.
    """
    names: dict[str, str] = {}
    counts: Counter[str] = Counter()
    for entry in entries:
        counts[entry["type"]] += entry["type"] not in CLOCKS
        names[entry["event_id"]] = f"{entry['type']} {counts[entry['type']]}"
    text = re.sub(r'"(e\d+)((?:\.\d+)?)"', lambda found: f'"{names[found[1]]}{found[2]}"', json.dumps(entries))
    named: list[Message] = [{**entry, "seq": 0} for entry in json.loads(text) if entry["type"] not in CLOCKS]
    chunks = [entry for entry in named if entry["type"] == "tts.chunk"]
    return chunks, [entry for entry in named if entry["type"] != "tts.chunk"]


def differences(a: list[Message], b: list[Message]) -> list[tuple[Message, Message]]:
    return [pair for pair in zip(a, b, strict=False) if pair[0] != pair[1]]


@pytest.mark.parametrize(
    ("sound", "transports"),
    [
        ("none", (over_sse, over_websocket, over_webrtc, over_webrtc_and_websocket)),
        ("speaker", (over_websocket, over_webrtc, over_webrtc_and_websocket)),
    ],
)
def test_one_script_has_one_meaning(server: Server, sound, transports) -> None:
    async def run() -> dict[str, list[Message]]:
        found = {}
        for over in transports:
            async with over(server.url, device_sound=sound) as client:
                await script(client)
            found[over.__name__] = plain(client.entries)
        return found

    timelines = asyncio.run(run())
    first, *others = timelines
    types = [entry["type"] for entry in timelines[first]]
    assert ("playback.mark" in types) == (sound == "speaker")
    assert types.count("text.input") == 2, "once each"
    for other in others:
        for one, same in zip(lanes(timelines[first]), lanes(timelines[other]), strict=True):
            assert not differences(one, same), (first, other)
            assert len(one) == len(same)
