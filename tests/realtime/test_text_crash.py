"""A server that is killed in the middle of a conversation in text: what it acknowledged is there, once."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.fixtures.server import start_server, stop_server

pytestmark = pytest.mark.live


def command(number: int) -> str:
    payload = {"text": f"add item {number} to my shopping list"}
    return json.dumps({"event_id": f"command-{number:04}", "type": "text.input", "payload": payload})


def events(client: httpx.Client, path: str, headers: dict[str, str], until: str) -> list[dict[str, Any]]:
    """What comes down, up to the entry of this id."""
    found: list[dict[str, Any]] = []
    with client.stream("GET", path, headers=headers) as response:
        for line in response.iter_lines():
            if line.startswith("data: "):
                found.append(json.loads(line.removeprefix("data: ")))
                if found[-1].get("event_id") == until:
                    return found
    raise AssertionError(f"{until} did not come; the stream ended with {found[-1:]}")


def test_what_was_acknowledged_and_what_was_revoked_outlive_a_killed_server(tmp_path: Path) -> None:
    server = start_server(tmp_path)
    with httpx.Client(base_url=server.url, timeout=20, trust_env=False) as client:
        hello = client.post("/sessions").json()
        own = {"Session-Token": hello["token"]}
        tokens = f"/sessions/{hello['session_id']}/tokens"
        link, cut = (client.post(tokens, json={}, headers=own).json() for _ in range(2))
        assert client.delete(cut["revoke"], headers=own).status_code == 204
        sent = [client.post(hello["commands"], content=command(number), headers=own) for number in range(10)]
        server.process.kill()
        server.process.wait(10)
    acknowledged = {answer.json()["event_id"]: answer.json()["seq"] for answer in sent}
    assert len(acknowledged) == 10
    stored = {entry.event.event_id: entry.seq for entry in server.entries(hello["session_id"])}
    assert acknowledged.items() <= stored.items()

    server = start_server(tmp_path)
    try:
        with httpx.Client(base_url=server.url, timeout=20, trust_env=False) as client:
            for number in (9, 10):
                answer = client.post(hello["commands"], content=command(number), headers=own).json()
                assert (answer["seq"] == acknowledged["command-0009"]) == (number == 9), "once, for ever"
            last = f"{hello['epoch']}:{acknowledged['command-0009']}"
            watching = {"Session-Token": link["token"], "Last-Event-ID": last}
            first, *missed = events(client, hello["events"], watching, "command-0010")
            assert first["payload"]["resume"] == "resumed"
            assert [entry["seq"] for entry in missed] == list(
                range(acknowledged["command-0009"] + 1, missed[-1]["seq"] + 1)
            ), "what was missed, in order, and nothing else"
            refused = client.get(hello["events"], headers={"Session-Token": cut["token"]})
            assert (refused.status_code, refused.json()["error"]["code"]) == (403, "session.token")
    finally:
        stop_server(server)
