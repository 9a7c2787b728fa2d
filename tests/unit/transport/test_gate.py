"""Who may talk to the server: Host, Origin and token."""

import pytest
from starlette.datastructures import Headers

from agent.settings import Server
from agent.transport.gate import UNKNOWN, is_loopback, judge


def verdict(method="POST", path="/calls", query="", server=None, **headers):
    given = {"host": "localhost:8700"} | {name.replace("_", "-"): value for name, value in headers.items()}
    refusal = judge(method, path, query, Headers(given), server or Server())
    return refusal.code if refusal else None


@pytest.mark.parametrize("host", ["localhost:8700", "127.0.0.1:8700", "[::1]:8700", "LOCALHOST", "127.0.0.1"])
def test_names_of_this_machine(host):
    assert verdict(host=host) is None


@pytest.mark.parametrize("host", ["evil.example", "localhost.evil.example:8700", "", "[", "127.0.0.1.nip.io"])
def test_other_names_are_rebinding(host):
    assert verdict(host=host) == "host"
    assert verdict("GET", "/", host=host) == "host"


def test_names_that_settings_know():
    assert verdict(host="talk.example.org", server=Server(origins=("https://talk.example.org",))) is None
    assert verdict(host="anything", server=Server(host="0.0.0.0")) is None  # noqa: S104


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "WEBSOCKET", "OPTIONS"])
def test_foreign_origins_change_nothing(method):
    assert verdict(method, origin="http://localhost:8700") is None
    assert verdict(method) is None
    for origin in (
        "https://evil.example",
        "null",
        "http://localhost:9999",
        "http://localhost",
        "file://localhost:8700",
    ):
        assert verdict(method, origin=origin) == "origin"
    allowed = Server(origins=("https://talk.example.org/",))
    assert verdict(method, origin="https://talk.example.org", server=allowed) is None


def test_the_token_guards_everything_but_the_page():
    server = Server(token="s3cret")  # noqa: S106
    for path in ("/calls", "/calls/x", "/offer", "/config.json", "/settings", "/ws"):
        assert verdict(path=path, server=server) == "token"
        assert verdict(path=path, server=server, authorization="Bearer wrong") == "token"
        assert verdict(path=path, server=server, authorization="Basic s3cret") == "token"
        assert verdict(path=path, query="token=wrong", server=server) == "token"
        assert verdict(path=path, server=server, authorization="Bearer s3cret") is None
        assert verdict(path=path, query="token=s3cret", server=server) is None
    for path in ("/", "/main.js", "/healthz"):
        assert verdict("GET", path, server=server) is None


def test_a_guest_sees_what_concerns_sessions_and_nothing_else():
    server, asked = Server(token="s3cret"), []  # noqa: S106

    def guest(token):
        asked.append(token)
        return {"minted": None}.get(token, UNKNOWN)

    def judged(path, query="", **headers):
        given = Headers({"host": "localhost"} | {name.replace("_", "-"): value for name, value in headers.items()})
        refusal = judge("POST", path, query, given, server, guest)
        return refusal.code if refusal else None

    for path in ("/calls", "/offer", "/config.json", "/ws", "/sessions", "/sessions/x/events"):
        assert judged(path, session_token="minted") is None  # noqa: S106
        assert judged(path, "session_token=minted") is None
        assert judged(path, "session_token=other") == "token"
        assert judged(path) == "token"
    asked.clear()
    for path in ("/settings", "/openapi.json", "/asyncapi.json"):
        assert judged(path, session_token="minted") == "token"  # noqa: S106
    assert not asked


def test_loopback():
    assert all(map(is_loopback, ("localhost", "127.0.0.1", "127.9.9.9", "::1")))
    assert not any(map(is_loopback, ("0.0.0.0", "192.168.1.2", "example.org", "")))  # noqa: S104
