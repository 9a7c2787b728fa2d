"""Real aiortc clients over loopback, in real time, against a recording session."""

import asyncio
import time

import numpy as np
import pytest

from agent.conversation.events import ControlStop, DeviceJoined, DeviceLeft, DeviceLink, Fault, Played, TextInput
from agent.errors import LimitReached
from agent.settings import Limits, Settings
from agent.transport import media_edge, webrtc
from agent.transport.arrival import Wish
from agent.transport.peers import PeerTable
from agent.transport.session_token import Grant
from tests.unit.transport.webrtc_client import DEFAULTS, connected, real_time


def loud(call, level=2_000):
    return next((at for at, pcm in call.heard if np.abs(pcm).max() > level), None)


def test_a_call_end_to_end(fakes):
    async def body(table):
        sessions = fakes.Sessions()
        async with connected(sessions, table) as (client, peer, call):
            await fakes.until(lambda: call.heard and client.levels and client.channel.readyState == "open")
            assert "useinbandfec=1" in peer.answer_sdp
            candidates = [line for line in peer.answer_sdp.splitlines() if line.startswith("a=candidate:")]
            assert candidates
            assert all(" 127.0.0.1 " in line for line in candidates)
            joined = call.posted[0]
            assert isinstance(joined, DeviceJoined)
            assert joined.transport == "webrtc"
            assert joined.microphone

            client.mic.loud = True
            await fakes.until(lambda: loud(call))
            print(f"\nmicrophone frame made → heard by the session: {1_000 * (loud(call) - client.mic.onset):.1f} ms")
            assert {len(pcm) % 320 for _, pcm in call.heard} == {0}

            call.playing, began = True, time.monotonic()
            await fakes.until(lambda: client.levels[-1][1] > 2_000)
            print(f"reply begins → out of the client's own (stock) buffer: {1_000 * (time.monotonic() - began):.1f} ms")

            await call.record(Fault(event_id="e1", source="test", code="x", message="grüße"))
            client.channel.send(fakes.command("text.input", 1, text="hi"))
            client.channel.send(fakes.command("text.input", 1, text="hi"))
            client.channel.send(fakes.command("control.stop", 2))
            await fakes.until(lambda: len(client.messages) > 1 and len(call.posted) >= 3)
            assert client.messages[0]["payload"]["resume"] == "new"
            assert client.messages[1]["payload"]["message"] == "grüße"
            assert client.messages[1]["seq"] == 1
            assert [type(fact) for fact in call.posted[1:]] == [TextInput, ControlStop]

            await asyncio.sleep(0.3)
            assert peer.rtp_timestamp(960) == (peer.rtp_timestamp(0) + 960) % 2**32
            print(f"playout: {peer.playout_jitter()}; received: {peer.receive_counts()}")
        await fakes.until(lambda: not sessions.live)
        assert isinstance(call.posted[-1], DeviceLeft)
        assert len(table) == 0

    real_time(body)


def test_uplink_delay_beside_the_stock_buffer(fakes, monkeypatch):
    """Prints both; what is asserted is only that the stock path was really another one."""

    async def measure(stock):
        async with PeerTable(16) as table:
            sessions = fakes.Sessions()
            with monkeypatch.context() as patch:
                if stock:
                    patch.setattr(media_edge.Microphone, "attach", lambda self, receiver: None)
                async with connected(sessions, table) as (client, peer, call):
                    if stock:
                        track = peer._pc.getReceivers()[0].track

                        async def pull():
                            while True:
                                frame = await track.recv()
                                call.hear(frame.to_ndarray()[0])

                        client.ears.append(asyncio.ensure_future(pull()))
                    await fakes.until(lambda: len(call.heard) > 10)
                    client.mic.loud = True
                    await fakes.until(lambda: loud(call))
                    return 1_000 * (loud(call) - client.mic.onset), peer.receive_counts().received

    stock_ms, stock_count = asyncio.run(measure(stock=True))
    own_ms, own_count = asyncio.run(measure(stock=False))
    print(f"\nuplink, frame made → handed on: stock {stock_ms:.0f} ms, own {own_ms:.0f} ms")
    assert stock_count == 0
    assert own_count > 0


def test_without_microphone_and_without_channel(fakes):
    async def body(table):
        sessions = fakes.Sessions()
        async with connected(sessions, table, microphone=False, label="") as (client, peer, call):
            call.playing = True
            await fakes.until(lambda: client.levels and client.levels[-1][1] > 2_000)
            assert not call.posted[0].microphone
            assert call.heard == []
            await asyncio.sleep(1.5)
            assert peer.session_id in sessions.live

    real_time(body)


def test_garbage_is_answered_and_then_ends_the_call(fakes):
    async def body(table):
        sessions = fakes.Sessions()
        async with connected(sessions, table) as (client, _peer, call):
            await fakes.until(lambda: client.channel.readyState == "open")
            client.channel.send(b"\x00garbage")
            client.channel.send("{")
            await fakes.until(lambda: client.types() == ["hello", "error", "error"])
            client.channel.send(fakes.command("text.input", 1, text="still here"))
            await fakes.until(lambda: len(call.posted) == 2)
            for _ in range(25):
                client.channel.send("noise")
            await fakes.until(lambda: not sessions.live)
            assert "understood" in sessions.left[0][1]

    real_time(body)


def test_ten_megabytes_on_the_channel_end_that_call_only(fakes):
    async def body(table):
        sessions = fakes.Sessions()
        async with connected(sessions, table) as (good, _, call), connected(sessions, table) as (bad, peer, _):
            await fakes.until(lambda: bad.channel.readyState == "open" and good.channel.readyState == "open")
            with pytest.raises(ValueError, match="16384"):
                bad.channel.send("x" * 10_000_000)
            bad.pc.sctp._remote_max_message_size = 0
            bad.channel.send("x" * 10_000_000)
            await fakes.until(lambda: peer.session_id not in sessions.live)
            assert "endless" in sessions.left[0][1]
            good.channel.send(fakes.command("text.input", 1, text="unharmed"))
            await fakes.until(lambda: len(call.posted) == 2)

    real_time(body)


def test_a_vanished_peer_is_released(fakes):
    async def body(table):
        sessions = fakes.Sessions()
        settings = Settings(limits=Limits(silent_peer_s=1.0))
        async with connected(sessions, table, settings) as (client, _, call):
            await fakes.until(lambda: call.heard)
            for connection in media_edge._ice_connections(client.pc):
                for protocol in connection._protocols:
                    protocol.transport.sendto = lambda data, addr: None
            await fakes.until(lambda: not sessions.live)
            assert "vanished" in sessions.left[0][1]
            assert "vanished" in call.posted[-1].reason

    real_time(body)


def test_goodbye_reaches_every_peer(fakes):
    async def body(table):
        sessions = fakes.Sessions()
        async with connected(sessions, table) as (a, *_), connected(sessions, table) as (b, *_):
            await fakes.until(lambda: {a.channel.readyState, b.channel.readyState} == {"open"})
            await table.close("the server is shutting down")
            assert not sessions.live
            await fakes.until(lambda: "connection.closed" in a.types() and "connection.closed" in b.types())
            with pytest.raises(LimitReached):
                table.admit()

    real_time(body)


def test_hanging_up_and_a_session_that_ends_by_itself(fakes):
    async def body(table):
        sessions = fakes.Sessions()
        async with connected(sessions, table) as (_, peer, _call):
            assert await table.hang_up(peer.connection_id, "hung up", for_good=True)
            assert not await table.hang_up(peer.connection_id, "hung up", for_good=True)
            assert sessions.closed == [(peer.session_id, "hung up")]
        async with connected(sessions, table) as (client, peer, _call):
            await fakes.until(lambda: client.channel.readyState == "open")
            await sessions.close(peer.session_id, "over")
            await fakes.until(lambda: len(table) == 0)
            assert "session.closed" in client.types()

    real_time(body)


def test_a_device_comes_back_over_a_new_connection_before_its_old_one_has_gone(fakes):
    async def body(table):
        sessions = fakes.Sessions()
        wish = Wish(device_id="laptop-1")
        async with connected(sessions, table, wish=wish) as (old, first, call):
            await fakes.until(lambda: old.types() == ["hello"])
            for number in range(3):
                await call.record(Fault(event_id=f"f{number}", source="t", code="c", message="m"))
            await fakes.until(lambda: len(old.types()) == 4)
            back = Wish(Grant(first.session_id), 0, 2, "laptop-1")
            async with connected(sessions, table, wish=back) as (new, second, same):
                assert same is call
                await fakes.until(lambda: "connection.closed" in old.types())
                assert old.messages[-1]["payload"]["again"] is False
                await fakes.until(lambda: len(new.types()) == 2)
                assert new.messages[0]["payload"]["resume"] == "resumed"
                assert new.messages[1]["seq"] == 3, "the one that it missed, and nothing twice"
                assert first.device.receive(fakes.command("control.stop")) is None, "nothing is said to it either"
                new.channel.send(fakes.command("control.stop", 2))
                await fakes.until(lambda: any(isinstance(fact, ControlStop) for fact in call.posted))
                await fakes.until(lambda: len(table) == 1)
                assert second.device.device_id == "laptop-1"
                kinds = [type(fact) for fact in call.posted]
                assert kinds == [DeviceJoined, DeviceJoined, ControlStop], "it never left"

    real_time(body)


def test_a_call_that_lost_its_commands_says_so_and_is_ended_if_it_stays_so(fakes):
    async def body(table):
        settings = DEFAULTS.model_copy(update={"limits": Limits(silent_peer_s=2)})
        async with connected(fakes.Sessions(), table, settings) as (client, _, call):
            await fakes.until(lambda: client.channel.readyState == "open")
            client.channel.close()
            await fakes.until(lambda: any(isinstance(fact, DeviceLink) for fact in call.posted))
            assert not next(fact for fact in call.posted if isinstance(fact, DeviceLink)).control
            assert client.pc.connectionState == "connected", "its media go on"
            await fakes.until(lambda: isinstance(call.posted[-1], DeviceLeft))
            assert "commands" in call.posted[-1].reason

    real_time(body)


def test_a_call_that_lost_its_audio_says_so_and_goes_on(fakes, monkeypatch):
    monkeypatch.setattr(webrtc, "CHECK_S", 0.05)
    monkeypatch.setattr(webrtc, "AUDIO_US", 200_000)

    async def body(table):
        async with connected(fakes.Sessions(), table) as (client, _, call):
            await fakes.until(lambda: call.heard)
            assert not any(isinstance(fact, DeviceLink) for fact in call.posted)
            (sender,) = client.pc.getSenders()
            sender.replaceTrack(None)
            await fakes.until(lambda: any(isinstance(fact, DeviceLink) for fact in call.posted))
            link = next(fact for fact in call.posted if isinstance(fact, DeviceLink))
            assert (link.control, link.media) == (True, False)
            client.channel.send(fakes.command("control.stop"))
            await fakes.until(lambda: isinstance(call.posted[-1], ControlStop))

    real_time(body)


def test_a_long_timeline_reaches_a_device_whole_however_much_of_it_waits(fakes, monkeypatch):
    monkeypatch.setattr(webrtc, "MAX_BUFFERED_BYTES", 20_000)

    async def body(table):
        sessions = fakes.Sessions()
        async with connected(sessions, table) as (client, peer, call):
            await fakes.until(lambda: client.channel.readyState == "open")
            for n in range(100):
                await call.record(Fault(event_id=f"e{n}", source="test", code="x", message="y" * 5_000))
            most = 0
            while len(client.messages) < 101:
                most = max(most, peer._channel.bufferedAmount)
                await asyncio.sleep(0)
            assert [message["seq"] for message in client.messages[1:]] == list(range(1, 101))
            assert 20_000 < most < 30_000, "no more waits than one message above the limit"

    real_time(body)


def test_a_reader_who_takes_nothing_loses_its_channel_and_stalls_nobody(fakes, monkeypatch):
    monkeypatch.setattr(webrtc, "MAX_BUFFERED_BYTES", 20_000)
    monkeypatch.setattr(webrtc, "SEND_S", 0.3)

    async def body(table):
        sessions = fakes.Sessions()
        async with connected(sessions, table) as (client, peer, call):
            await fakes.until(lambda: client.messages)
            reads, client.pc.sctp._handle_data = client.pc.sctp._handle_data, nothing
            for n in range(300):
                await call.record(Fault(event_id=f"e{n}", source="test", code="x", message="y" * 5_000))
            others = [entry.seq async for entry in first(300, call.entries())]
            assert others == list(range(1, 301)), "another reader has it all"
            await fakes.until(lambda: peer._channel.readyState != "open")
            assert len(client.messages) < 100
            assert peer._channel.bufferedAmount < 30_000
            assert peer.session_id in sessions.live
            client.pc.sctp._handle_data = reads
            await fakes.until(lambda: client.messages[-1]["payload"].get("code") == "slow_reader", 10)

    real_time(body)


def test_what_was_sent_behind_the_last_sign_of_life_was_not_heard(fakes, monkeypatch):
    monkeypatch.setattr(webrtc, "CHECK_S", 3_600)
    monkeypatch.setattr(webrtc, "LOST_US", 300_000)

    async def body(table):
        async with connected(fakes.Sessions(), table, microphone=False) as (_, peer, call):
            reply = ["r1"]
            call.place = lambda: (reply[0], table.clock.now_us() * 48 // 1_000)
            call.playing, begun = True, call.frames
            await fakes.until(lambda: call.frames > begun + 60)
            peer.device.heard_us = peer._received_us = table.clock.now_us()
            assert peer._last_audible() is None, "it was here just now"
            peer.device.heard_us = peer._received_us = table.clock.now_us() - 500_000
            played = peer._last_audible()
            assert played.reply_id == "r1"
            assert 400 <= table.clock.now_us() / 1_000 - played.sample / 48 <= 700
            reply[0] = "r2"
            assert peer._last_audible() == Played("r2", 0), "it began to be said since"
            peer.give_way()
            await fakes.until(lambda: isinstance(call.posted[-1], DeviceLeft))
            assert call.posted[-1].played == Played("r2", 0)

    real_time(body)


async def nothing(data):
    """What a client does with it that reads no more."""


async def first(count, source):
    async for one in source:
        yield one
        count -= 1
        if not count:
            return
