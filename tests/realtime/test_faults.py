"""What goes wrong around a running agent, with a real server, real calls and real audio."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time
from asyncio.subprocess import PIPE
from collections.abc import Iterator
from pathlib import Path

import httpx
import numpy as np
import pytest

from tests.fixtures.calls import TestCall, calling, offer
from tests.fixtures.server import ROOT, Server, environment, payloads, run_command, start_server, stop_server, wait_idle

pytestmark = pytest.mark.live

QUESTION = "what time is it in tokyo right now"
FAST = "tts.speed=3"
BROKEN = "brain.engine=tests.fixtures.broken_engines:BrokenBrain"


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    server = start_server(tmp_path_factory.mktemp("faults"), "limits.sessions=4", "limits.silent_peer_s=2")
    yield server
    stop_server(server)


@pytest.fixture
def server(shared: Server) -> Iterator[Server]:
    """One server for all, with nobody connected before and after."""
    yield shared
    assert wait_idle(shared), "a session stayed open"


# ── peers that misbehave ─────────────────────────────────────────────────────────────────


def test_a_client_that_vanishes_in_mid_answer_is_released(server: Server) -> None:
    program = subprocess.Popen(
        [sys.executable, "-m", "tests.fixtures.calls", "stay", server.url],
        cwd=ROOT, env=environment(), stdout=PIPE, text=True,
    )  # fmt: skip
    assert program.stdout is not None
    session_id = program.stdout.readline().strip()
    program.kill()
    program.wait()
    assert session_id
    program.stdout.close()
    assert wait_idle(server, 2 + 4)
    entries = server.entries(session_id)
    (left,) = payloads(entries, "device.left")
    assert "vanished" in left.reason
    assert not payloads(entries, "session.closed"), "it may come back"


def complaints(call: TestCall) -> int:
    """How often it was told that something is wrong."""
    return len(call.refusals) + call.types().count("error")


GARBAGE: tuple[str | bytes, ...] = (
    "", "{", "null", "[]", "42", '"text.input"', b"\x00\xff" * 100, "\ud7ff" * 10, "[" * 5_000,
    '{"event_id":"aaaaaaaa","type":"text.input"}',
    '{"event_id":"aaaaaaab","type":"text.input","payload":{"text":7}}',
    '{"event_id":"aaaaaaac","type":"text.input","payload":{"text":"hello","more":1}}',
    '{"event_id":"aaaaaaad","type":"session.closed","payload":{}}',
    '{"event_id":"aaaaaaae","type":"action.committed","payload":{"action_id":"x"}}',
    '{"event_id":"../../etc","type":"control.done","payload":{}}',
    '{"event_id":"aaaaaaaf","type":"settings.changed","payload":{"changes":{"brain.engine":"os:system"}}}',
    '{"event_id":"aaaaaaag","type":"settings.changed","payload":{"changes":{"vad.onset_ms":-5}}}',
    '{"event_id":"aaaaaaah","type":"settings.changed","payload":{"changes":{"endpointing.floor_ms":"x"}}}',
)  # fmt: skip


def test_garbage_on_the_data_channel_is_refused_and_the_session_goes_on(server: Server) -> None:
    async def main() -> None:
        async with calling(server.url) as hostile, calling(server.url) as other:
            for index, message in enumerate(GARBAGE):
                seen = complaints(hostile)
                hostile.send_raw(message)
                await hostile.waited(lambda seen=seen: complaints(hostile) > seen)
                if index == len(GARBAGE) // 2:
                    assert "4" in await hostile.answer("two plus two")
            assert all(refusal["payload"]["message"] for refusal in hostile.refusals)
            assert "4" in await hostile.answer("two plus two")
            assert "6" in await other.answer("three plus three")
            assert "error" not in other.types()

    asyncio.run(main())


def test_fifty_offers_at_once(server: Server) -> None:
    async def main() -> None:
        sdp = await offer()
        async with httpx.AsyncClient(timeout=60, limits=httpx.Limits(max_connections=60)) as http:
            posts = [http.post(server.url + "offer", json={"sdp": sdp, "type": "offer"}) for _ in range(50)]
            answers = await asyncio.gather(*posts)
            taken = [answer for answer in answers if answer.status_code == 200]
            refused = [answer for answer in answers if answer.status_code == 503]
            assert 1 <= len(taken) <= 4
            assert len(taken) + len(refused) == 50
            assert all("limits.sessions" in answer.json()["error"]["message"] for answer in refused)
            for answer in taken:
                gone = await http.delete(server.url.rstrip("/") + answer.json()["call"])
                assert gone.status_code == 204
        async with calling(server.url) as call:
            assert "4" in await call.answer("two plus two")

    asyncio.run(main())


# ── HTTP ─────────────────────────────────────────────────────────────────────────────────


HOSTILE_OFFERS = (
    "", "v=0", "not sdp at all", "v=0\r\n" * 200, "v=0\r\nm=audio 9 UDP/TLS/RTP/SAVPF 96\r\n",
    "v=0\r\nm=audio x y z\r\na=rtpmap:96\r\n", "v=0\r\na=group:BUNDLE\r\nm=\r\n", "v=0\r\n\x00\x01\x02",
    "v=0\r\nm=video 9 UDP/TLS/RTP/SAVPF 96\r\na=mid:0\r\n", "v=0\r\na=ice-lite\r\na=fingerprint:\r\n",
)  # fmt: skip


@pytest.mark.parametrize("sdp", HOSTILE_OFFERS)
def test_a_hostile_offer_gets_a_clear_refusal(server: Server, sdp: str) -> None:
    for answer in (
        httpx.post(server.url + "calls", content=sdp.encode(), headers={"Content-Type": "application/sdp"}),
        httpx.post(server.url + "offer", json={"sdp": sdp, "type": "offer"}),
    ):
        assert answer.status_code == 400
        assert answer.json()["error"]["code"] == "wire"
        assert answer.json()["error"]["message"]


def mangled(lines: list[str]) -> Iterator[str]:
    """The offer with single lines left out or scrambled."""
    dice = np.random.default_rng(5)
    for index, line in enumerate(lines):
        name, _, value = line.partition(":")
        scrambled = bytes(dice.permutation(list(value.encode())).astype(np.uint8)).decode()
        for instead in ([], [f"{name}:{scrambled}"]):
            yield "\r\n".join([*lines[:index], *instead, *lines[index + 1 :]]) + "\r\n"


def test_mangled_offers_are_answered_or_refused_and_never_break_the_server(server: Server) -> None:
    with httpx.Client(timeout=20) as http:
        for sdp in mangled(asyncio.run(offer()).splitlines()):
            answer = http.post(server.url + "offer", json={"sdp": sdp, "type": "offer"})
            assert answer.status_code in (200, 400), f"{answer.status_code} {answer.text} for:\n{sdp}"
            if answer.status_code == 200:
                http.delete(server.url.rstrip("/") + answer.json()["call"])
    assert "Traceback" not in server.log()


def test_strangers_are_turned_away_and_the_token_is_in_no_log(tmp_path: Path) -> None:
    secret = "correct-horse-battery"  # noqa: S105 - not one of ours
    server = start_server(tmp_path, f"server.token={secret}")
    try:
        right = {"Authorization": f"Bearer {secret}"}
        sdp = {"Content-Type": "application/sdp"}
        for headers, status, code in (
            ({**right, **sdp, "Origin": "https://evil.example"}, 403, "origin"),
            ({**right, **sdp, "Host": "evil.example"}, 421, "host"),
            (sdp, 401, "token"),
            ({**sdp, "Authorization": "Bearer wrong"}, 401, "token"),
            ({**right, **sdp}, 400, "wire"),
        ):
            answer = httpx.post(server.url + "calls", content=b"v=0", headers=headers)
            assert (answer.status_code, answer.json()["error"]["code"]) == (status, code)
            assert answer.json()["error"]["message"]
        assert httpx.get(server.url + "config.json", params={"token": secret}).status_code == 200
        assert httpx.get(server.url + "config.json", params={"token": "wrong"}).status_code == 401
        assert secret not in httpx.get(server.url + "config.json", headers=right).text
        begun = httpx.post(server.url + "sessions", headers=right).json()
        for path in ("sessions", begun["events"][1:], begun["commands"][1:]):
            secrets = {"token": secret, "session_token": begun["token"]}
            assert httpx.post(server.url + path, params=secrets).status_code in (201, 400, 405)
    finally:
        stop_server(server)
    assert secret not in server.log()
    assert begun["token"].rpartition(".")[2] not in server.log()


# ── the end of the process ───────────────────────────────────────────────────────────────


def test_a_stopped_server_says_goodbye_and_its_timeline_is_whole(tmp_path: Path) -> None:
    server = start_server(tmp_path)

    async def main() -> list[str]:
        async with calling(server.url) as one, calling(server.url) as two:
            for call in (one, two):
                await call.begin_long_answer()
            server.process.terminate()
            async with asyncio.timeout(10):
                await one.goodbye.wait()
                await two.goodbye.wait()
            return [one.session_id, two.session_id]

    try:
        begun = time.monotonic()
        session_ids = asyncio.run(main())
        server.process.wait(10)
        assert time.monotonic() - begun < 30
    finally:
        stop_server(server)
    assert server.process.returncode is not None
    for session_id in session_ids:
        entries = server.entries(session_id)
        assert [entry.seq for entry in entries] == list(range(1, len(entries) + 1))
        assert payloads(entries, "device.left")
        assert not payloads(entries, "session.closed"), "the conversation rests, it is not over"
        assert payloads(entries, "interruption.recorded"), "of the answer what was heard is known"
        done = run_command(tmp_path, "replay", session_id)
        assert done.returncode == 0, done.stdout
        assert "identical" in done.stdout
    assert "Traceback" not in server.log()


def test_after_a_crash_timeline_and_memory_are_whole(tmp_path: Path) -> None:
    server = start_server(tmp_path)

    async def before() -> str:
        async with calling(server.url) as call:
            await call.answer("take a note buy oat milk")
            await call.begin_long_answer()
            await asyncio.sleep(0.5)
            server.process.kill()
            server.process.wait()
            return call.session_id

    session_id = asyncio.run(before())
    again = start_server(tmp_path, FAST)
    try:
        entries = again.entries(session_id)
        assert [entry.seq for entry in entries] == list(range(1, len(entries) + 1))
        assert "playback.start" in [entry.event.type for entry in entries]
        done = run_command(tmp_path, "replay", session_id)
        assert "identical" in done.stdout, done.stdout

        async def after() -> str:
            async with calling(again.url) as call:
                return await call.answer("read my notes")

        assert "oat milk" in asyncio.run(after())
    finally:
        stop_server(again)


def test_a_timer_rings_in_a_later_session(server: Server) -> None:
    async def main() -> None:
        async with calling(server.url) as call:
            call.send("text.input", text="set a timer for two seconds")
            await call.event("action.committed")
        await asyncio.sleep(2.5)
        async with calling(server.url) as call:
            await call.event("reminder.due")
            assert "timer" in await call.answered(0)

    asyncio.run(main())


# ── engines ──────────────────────────────────────────────────────────────────────────────


def test_a_brain_that_breaks_or_hangs_is_owned_up_to(tmp_path: Path) -> None:
    overrides = (FAST, BROKEN, "replies.model_timeout_ms=1500", "replies.tool_timeout_ms=1500")
    server = start_server(tmp_path, *overrides)

    async def main() -> None:
        async with calling(server.url) as call:
            for trouble in ("explode", "hang", "half", "nonsense", "mute"):
                since = call.position
                call.send("text.input", text=trouble)
                await call.event("reply.done", since)
                said = call.said(since)
                assert trouble in ("nonsense", "mute") or "orry" in said, f"{trouble}: {said!r}"
                assert said, trouble
                assert "All is well" in await call.answer("how are you")

    try:
        asyncio.run(main())
    finally:
        stop_server(server)


def test_a_tool_whose_memory_is_held_by_another_program_fails_aloud(server: Server) -> None:
    import sqlite3

    async def main() -> None:
        async with calling(server.url) as call:
            held = sqlite3.connect(server.folder / "memory.sqlite3", isolation_level=None)
            try:
                held.execute("BEGIN EXCLUSIVE")
                assert "orry" in await call.answer("take a note call the bank")
            finally:
                held.close()
            assert "4" in await call.answer("two plus two")

    asyncio.run(main())


# ── files that cannot be used ────────────────────────────────────────────────────────────


def test_a_port_in_use_names_the_way_out(server: Server, tmp_path: Path) -> None:
    port = server.url.rsplit(":", 1)[1].rstrip("/")
    done = run_command(tmp_path, "serve", "--port", port)
    assert done.returncode == 2
    assert f"port {port}" in done.stdout
    assert "server.port=0" in done.stdout


def test_a_timeline_file_that_is_none_ends_the_start(tmp_path: Path) -> None:
    (tmp_path / "timeline.sqlite3").write_bytes(b"this is no database " * 100)
    done = run_command(tmp_path, "serve", overrides=("server.port=0",))
    assert done.returncode == 5
    assert "timeline.sqlite3" in done.stdout
    assert "Traceback" not in done.stdout


def test_a_damaged_memory_is_said_and_the_rest_works(tmp_path: Path) -> None:
    (tmp_path / "memory.sqlite3").write_bytes(b"this is no database " * 100)
    server = start_server(tmp_path, FAST)

    async def main() -> None:
        async with calling(server.url) as call:
            await call.event("tool.unavailable")
            assert "4" in await call.answer("two plus two")
            assert "memory" in (await call.answer("take a note buy milk")).lower()

    try:
        asyncio.run(main())
    finally:
        stop_server(server)
    assert "memory.sqlite3" in server.log(), "whoever started it is told, too"
