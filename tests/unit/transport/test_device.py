"""A device: its commands reach the session once, its noise does not."""

import json

from agent.clock import Clock, run_virtual
from agent.conversation.events import DeviceJoined, DeviceLeft, TextInput
from agent.errors import LimitReached
from agent.settings import Limits
from agent.transport.device import MAX_BAD_IN_A_ROW, Device


class Inbox:
    session_id = "s1"

    def __init__(self):
        self.posted = []

    def post(self, fact):
        self.posted.append(fact)


def command(event_id, text="hello"):
    return json.dumps({"event_id": event_id, "type": "text.input", "payload": {"text": text}})


def in_virtual_time(body):
    async def main():
        inbox = Inbox()
        await body(Device(inbox, "webrtc", Limits(), Clock()), inbox)

    run_virtual(main())


def test_joins_and_leaves_once():
    async def body(device, inbox):
        device.leave("before joining")
        device.join(60, microphone=False)
        device.leave("gone")
        device.leave("again")
        joined, left = inbox.posted
        assert isinstance(joined, DeviceJoined)
        assert (joined.device_id, joined.output_latency_ms, joined.microphone) == (device.device_id, 60, False)
        assert isinstance(left, DeviceLeft)
        assert left.reason == "gone"

    in_virtual_time(body)


def test_which_half_of_its_link_is_dead_is_said_once_each():
    async def body(device, inbox):
        device.link(control=False)
        assert inbox.posted == [], "it is not here yet"
        device.join(60)
        for control, media in ((True, True), (True, False), (True, False), (False, False), (True, True), (True, True)):
            device.link(control=control, media=media)
        links = [(fact.control, fact.media) for fact in inbox.posted[1:]]
        assert links == [(True, False), (False, False), (True, True)]

    in_virtual_time(body)


def test_whether_it_has_a_microphone_is_what_it_said_last():
    async def body(device, inbox):
        device.join(60, microphone=False)
        assert not device.microphone
        joined = {"event_id": "00000001", "type": "device.joined", "payload": {"microphone": True, "speaker": True}}
        assert device.receive(json.dumps(joined)) is None
        assert device.microphone

    in_virtual_time(body)


def test_a_repeated_command_counts_once():
    async def body(device, inbox):
        assert [device.receive(command("00000001")) for _ in range(3)] == [None] * 3
        assert device.receive(command("00000002")) is None
        assert [type(fact) for fact in inbox.posted] == [TextInput, TextInput]

    in_virtual_time(body)


def test_refusals_name_code_message_and_command():
    async def body(device, inbox):
        answer = json.loads(device.receive(command("00000001", " ")))
        assert answer["type"] == "error"
        assert answer["payload"]["code"] == "wire"
        assert answer["payload"]["event_id"] == "00000001"
        assert "empty" in answer["payload"]["message"]
        assert inbox.posted == []

    in_virtual_time(body)


def test_a_command_that_the_session_refuses_may_be_sent_again():
    async def body(device, inbox):
        accept, inbox.post = inbox.post, None

        def full(fact):
            raise LimitReached("the inbox is full")

        inbox.post = full
        assert json.loads(device.receive(command("00000001")))["payload"]["code"] == "limit"
        inbox.post = accept
        assert device.receive(command("00000001")) is None
        assert len(inbox.posted) == 1

    in_virtual_time(body)


def test_noise_is_given_up_only_when_nothing_else_comes():
    async def body(device, inbox):
        for _ in range(MAX_BAD_IN_A_ROW - 1):
            device.receive("noise")
        assert device.receive(command("00000001")) is None
        assert not device.given_up
        for _ in range(MAX_BAD_IN_A_ROW):
            device.receive("noise")
        assert device.given_up

    in_virtual_time(body)
