"""A stored conversation is given to who has its token, with its audio, and to nobody else."""

from __future__ import annotations

import asyncio
import json
import time
import wave
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from agent.recordings import Recordings
from agent.settings import Server, Settings
from agent.timeline.codec import loads, to_json
from agent.timeline.entry import Entry
from agent.timeline.summary import Summary
from agent.transport.archive import Archive
from agent.transport.http import create_app
from agent.transport.session_token import TokenKey

FIXTURES = Path(__file__).parents[2] / "fixtures"
ENTRIES = [loads(line) for line in (FIXTURES / "timeline_answer.jsonl").read_text().splitlines()]
KEY = TokenKey(bytes(32))
FAR_S = 4_000_000_000


def token(session_id: str = "s1", scopes: str = "w") -> dict[str, str]:
    return {"Session-Token": KEY.issue(session_id, 0, FAR_S, scopes)}


@pytest.fixture
def ask(tmp_path: Path, fakes: Any) -> Callable[..., None]:
    recordings = Recordings(tmp_path / "audio")

    async def entries(session_id: str) -> list[Entry]:
        return ENTRIES if session_id == "s1" else []

    async def summaries(owner: str, limit: int) -> list[Summary]:
        found = [Summary(f"{owner}-{number}", "b", "t", "hello", "resting") for number in range(3)]
        return found[:limit]

    def run(body: Callable[[httpx.AsyncClient], Awaitable[None]], settings: Settings | None = None) -> None:
        async def main() -> None:
            app = create_app(
                fakes.Sessions(), settings or Settings(), key=KEY, archive=Archive(entries, recordings, summaries)
            )
            transport = httpx.ASGITransport(app=app)
            async with (
                asyncio.timeout(10),
                app.router.lifespan_context(app),
                httpx.AsyncClient(transport=transport, base_url="http://localhost:8700") as client,
            ):
                await body(client)

        path = recordings.new("s1", 1_500)
        with wave.open(str(path), "wb") as file:
            file.setparams((2, 2, 16_000, 0, "NONE", ""))
            file.writeframes(bytes(4 * 16_000))
        asyncio.run(main())

    return run


def test_its_entries_and_its_audio(ask: Callable[..., None]) -> None:
    async def body(client: httpx.AsyncClient) -> None:
        found = (await client.get("/sessions/s1/recorded", headers=token())).json()
        assert found["session_id"] == "s1"
        assert found["entries"] == json.loads(json.dumps([to_json(entry) for entry in ENTRIES]))
        [part] = found["audio"]
        assert (part["start_ms"], part["duration_ms"]) == (1_500, 1_000)
        audio = await client.get(part["path"], headers=token())
        assert (audio.status_code, audio.headers["content-type"]) == (200, "audio/wav")
        assert len(audio.content) == 44 + 4 * 16_000
        assert audio.headers["cache-control"] == "no-store"

    ask(body)


def test_a_long_one_is_written_out_while_others_go_on(
    ask: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(globals(), "ENTRIES", ENTRIES * 100)

    async def body(client: httpx.AsyncClient) -> None:
        turns = 0

        async def others() -> None:
            nonlocal turns
            while True:
                await asyncio.sleep(0.001)
                turns += 1

        async with asyncio.TaskGroup() as tasks:
            going_on = tasks.create_task(others())
            found = await client.get("/sessions/s1/recorded", headers=token())
            going_on.cancel()
        assert turns >= 10
        assert len(found.json()["entries"]) == len(ENTRIES)

    ask(body)


def test_who_has_no_token_of_it_learns_nothing(ask: Callable[..., None]) -> None:
    async def body(client: httpx.AsyncClient) -> None:
        for path in ("/sessions/s1/recorded", "/sessions/s1/recorded/1500"):
            answers = [await client.get(path), await client.get(path, headers=token("s2"))]
            answers.append(await client.get(path.replace("s1", "nobody"), headers=token("s2")))
            assert {answer.status_code for answer in answers} == {403}
            assert len({answer.text for answer in answers[:2]}) == 1

    ask(body)


def test_what_is_not_there_is_said(ask: Callable[..., None]) -> None:
    async def body(client: httpx.AsyncClient) -> None:
        assert (await client.get("/sessions/s9/recorded", headers=token("s9"))).status_code == 410
        assert (await client.get("/sessions/s1/recorded/7", headers=token())).status_code == 404
        assert (await client.get("/sessions/s1/recorded/..%2Fs2", headers=token())).status_code in (400, 404)

    ask(body)


def test_the_servers_token_and_the_origin_are_needed_as_everywhere(ask: Callable[..., None]) -> None:
    async def body(client: httpx.AsyncClient) -> None:
        assert (await client.get("/sessions/s1/recorded", headers=token())).status_code == 401
        known = token() | {"Authorization": "Bearer secret"}
        assert (await client.get("/sessions/s1/recorded", headers=known)).status_code == 200
        foreign = known | {"Origin": "https://elsewhere.example"}
        assert (await client.get("/sessions/s1/recorded", headers=foreign)).status_code == 403

    ask(body, Settings(server=Server(token="secret")))  # noqa: S106


def test_an_owner_is_shown_their_own_and_can_open_them(ask: Callable[..., None]) -> None:
    tokens = {"local": "the token of local", "anna": "the token of anna"}
    server = Server(token=tokens["local"], owner_tokens=(f"anna = {tokens['anna']}",))

    async def body(client: httpx.AsyncClient) -> None:
        assert (await client.get("/sessions")).status_code == 401
        for name, secret in tokens.items():
            bearer = {"Authorization": f"Bearer {secret}"}
            listed = await client.get("/sessions?limit=2", headers=bearer)
            assert listed.headers["cache-control"] == "no-store"
            told = listed.json()
            assert (told["owner"], [one["session_id"] for one in told["sessions"]]) == (
                name,
                [f"{name}-0", f"{name}-1"],
            )
            grant = KEY.check(told["sessions"][0]["token"], time.time())
            assert (grant.session_id, grant.owner, grant.minted) == (f"{name}-0", name, False)
            for limit in ("0", "101", "x"):
                assert (await client.get(f"/sessions?limit={limit}", headers=bearer)).status_code == 400
            foreign = bearer | {"Origin": "https://elsewhere.example"}
            assert (await client.get("/sessions", headers=foreign)).status_code == 403

    ask(body, Settings(server=server))


def test_who_is_invited_to_one_is_shown_none(ask: Callable[..., None]) -> None:
    own = KEY.check(KEY.issue("s1", 0, FAR_S, owner="anna"), 0)
    guest = {"Session-Token": KEY.mint(own, ["talk"], 0, FAR_S)}

    async def body(client: httpx.AsyncClient) -> None:
        assert (await client.get("/sessions", headers=guest)).status_code == 403
        assert (await client.get("/sessions/s1/recorded", headers=guest)).status_code == 200

    ask(body, Settings(server=Server(token="secret")))  # noqa: S106
