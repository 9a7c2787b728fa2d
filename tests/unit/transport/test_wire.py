"""Commands up: what is taken, what is refused and with which words."""

import contextlib
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.conversation import events
from agent.errors import WireError
from agent.settings import Limits
from agent.transport import wire

LIMITS = Limits()
ID = "0123456789-abc"


def parse(type_, payload, **envelope):
    text = json.dumps({"event_id": ID, "type": type_, "payload": payload, **envelope})
    return wire.to_event(wire.parse_command(text, LIMITS), "d1", "webrtc", LIMITS)


def test_every_command():
    common = {"event_id": ID, "source": "device:d1"}
    assert parse("text.input", {"text": " hello "}) == events.TextInput(**common, text="hello")
    assert parse("control.talk", {"on": True}) == events.ControlTalk(**common, on=True)
    assert parse("control.done", {}) == events.ControlDone(**common)
    assert parse("session.forget", {}) == events.SessionForget(**common)
    assert parse("control.stop", {}) == events.ControlStop(**common)
    assert parse("control.stop", {"reply_id": "r1"}) == events.ControlStop(**common, reply_id="r1")
    card = events.ControlConfirm(**common, action_id="r1:c1", accept=False)
    assert parse("control.confirm", {"action_id": "r1:c1", "accept": False}) == card
    assert parse("text.input", {"text": "shorter", "when": "after"}).when == "after"
    assert parse("device.cut", {"undo": True}) == events.DeviceCut(**common, undo=True)
    assert parse("settings.changed", {"changes": {"vad.onset_ms": 80, "tts.speed": 1.2}}) == events.SettingsChanged(
        **common, changes={"vad.onset_ms": 80, "tts.speed": 1.2}
    )
    assert parse("heartbeat", {}) is None
    joined = parse("device.joined", {"device_id": "liar", "time_zone": "Europe/Paris", "locale": "fr-FR"})
    assert joined == events.DeviceJoined(
        **common, device_id="d1", transport="webrtc", time_zone="Europe/Paris", locale="fr-FR"
    )


COMMANDS = {
    "text.input": {"text": "hello"}, "control.talk": {"on": True}, "control.done": {}, "control.stop": {},
    "session.forget": {},
    "control.confirm": {"action_id": "r1:c1", "accept": True}, "device.cut": {},
    "settings.changed": {"changes": {"vad.onset_ms": 80}}, "device.joined": {},
}  # fmt: skip


@pytest.mark.parametrize("type_", COMMANDS)
def test_every_command_says_how_much_of_the_timeline_was_seen(type_):
    assert parse(type_, COMMANDS[type_]).seen_seq == 0
    assert parse(type_, {**COMMANDS[type_], "seen_seq": 41}).seen_seq == 41
    assert parse("heartbeat", {"seen_seq": 41}) is None
    for bad in (-1, 1.5, True, "7", 1 << 60, None):
        with pytest.raises(WireError, match="seen_seq"):
            parse(type_, {**COMMANDS[type_], "seen_seq": bad})


@pytest.mark.parametrize(
    ("message", "words"),
    [
        ("garbage", "JSON"),
        ("[1]", "object"),
        ("{}", "event_id"),
        (json.dumps({"event_id": "short", "type": "heartbeat"}), "event_id"),
        (json.dumps({"event_id": ID + "\n", "type": "heartbeat"}), "event_id"),
        (json.dumps({"event_id": "e1000000", "type": "heartbeat"}), "own events"),
        (json.dumps({"event_id": ID, "type": "heartbeat", "extra": 1}), "extra"),
        (json.dumps({"event_id": ID, "type": "drop.tables"}), "unknown type"),
        (json.dumps({"event_id": ID, "type": "turn.end", "payload": {}}), "unknown type"),
        (json.dumps({"event_id": ID, "type": "text.input", "payload": {"text": 7}}), "text"),
        (json.dumps({"event_id": ID, "type": "text.input", "payload": {"text": "  "}}), "empty"),
        (json.dumps({"event_id": ID, "type": "text.input", "payload": {"text": "x" * 2001}}), "2000"),
        (json.dumps({"event_id": ID, "type": "text.input", "payload": {"text": "x", "more": 1}}), "more"),
        (json.dumps({"event_id": ID, "type": "control.talk", "payload": {"on": 1}}), "on"),
        (json.dumps({"event_id": ID, "type": "settings.changed", "payload": {"changes": {"server.port": 1}}}), "vad"),
        (
            json.dumps({"event_id": ID, "type": "settings.changed", "payload": {"changes": {"vad.engine": "x:Y"}}}),
            "vad",
        ),
        (json.dumps({"event_id": ID, "type": "settings.changed", "payload": {"changes": {}}}), "changes"),
        (
            json.dumps(
                {"event_id": ID, "type": "settings.changed", "payload": {"changes": {"tts.speed": float("nan")}}}
            ),
            "tts",
        ),
        (json.dumps({"event_id": ID, "type": "text.input", "payload": {"text": "\ud800"}}), "JSON"),
        ("[" * 16_000, "JSON"),
        ("x" * 20_000, "16384"),
        (b"\x00\x01", "binary"),
        ("\ud800", "Unicode"),
        (json.dumps({"event_id": ID, "type": "device.joined", "payload": {"locale": "<script>"}}), "locale"),
    ],
)
def test_everything_else_is_refused_in_words(message, words):
    with pytest.raises(WireError, match=words) as caught:
        wire.to_event(wire.parse_command(message, LIMITS), "d1", "webrtc", LIMITS)
    assert len(str(caught.value)) < 400


@settings(deadline=None)
@given(st.text() | st.binary())
def test_nothing_but_wire_errors(message):
    with contextlib.suppress(WireError):
        wire.to_event(wire.parse_command(message, LIMITS), "d1", "webrtc", LIMITS)


def test_what_a_terminal_would_obey_is_no_text():
    typed = {"event_id": ID, "type": "text.input", "payload": {"text": "\x1b]0;title\x07one\ttwo\nthree\x9b1m ü 👩‍💻"}}
    event = wire.to_event(wire.parse_command(json.dumps(typed), LIMITS), "d1", "webrtc", LIMITS)
    assert event.text == "]0;title one\ttwo\nthree 1m ü 👩‍💻"


def test_a_page_cannot_name_an_engine():
    assert "vad.engine" not in wire.CHANGEABLE
    assert {"vad.onset_ms", "endpointing.floor_ms", "interruption.mode", "browser.vad", "tts.speed"} <= wire.CHANGEABLE
    with pytest.raises(WireError, match=r"server\.host"):
        wire.check_changes({"server.host": "::1"})
