"""How a device comes into a session."""

import asyncio
from contextlib import suppress

import pytest

from agent.clock import run_virtual
from agent.conversation.events import Fault, SessionResumeFailed
from agent.errors import SessionHeld, TokenRefused, TooFast, WireError
from agent.settings import Limits, Settings
from agent.transport.arrival import Traits, Wish, arrive, wish_of
from agent.transport.device import Device
from agent.transport.peers import PeerTable
from agent.transport.reception import Reception
from agent.transport.session_token import Grant, TokenKey

KEY = TokenKey(bytes(32))


def test_headers_and_query_say_the_same():
    token = KEY.issue("s1", 0, 60)
    wish = Wish(KEY.check(token, 1), 2, 17, "laptop-0001", Traits("Firefox on Android", microphone=False))
    headers = {"Session-Token": token, "Session-Seen": "2:17", "Device-Id": "laptop-0001", "Device-Sound": "speaker"}
    headers["User-Agent"] = "Mozilla/5.0 (Android 16; Mobile; rv:140.0) Gecko/140.0 Firefox/140.0"
    assert wish_of(headers, KEY, 1) == wish
    assert wish_of({name.lower().replace("-", "_"): value for name, value in headers.items()}, KEY, 1) == wish
    assert wish_of({}, KEY, 1) == Wish()
    assert wish_of({"Session-Seen": "2:17"}, KEY, 1) == Wish(), "seen of nothing"


@pytest.mark.parametrize(
    ("given", "error"),
    [
        ({"Session-Token": "v1.s1"}, TokenRefused),
        ({"Session-Seen": "17"}, WireError),
        ({"Session-Seen": "-1:2"}, WireError),
        ({"Session-Seen": "1:" + "9" * 40}, WireError),
        ({"Device-Id": "short"}, WireError),
        ({"Device-Id": "x" * 65}, WireError),
        ({"Device-Id": "né en Corse"}, WireError),
        ({"Device-Sound": "loud"}, WireError),
    ],
)
def test_what_cannot_be_is_refused(given, error):
    with pytest.raises(error):
        wish_of(given, KEY, 1)


def test_what_a_device_gets(fakes):
    async def main():
        sessions = fakes.Sessions()
        traits = Traits("Firefox on Linux", microphone=False)
        first = await arrive(sessions, Wish(traits=traits))
        assert (first.resume, first.after, first.traits) == ("new", 0, traits)
        await first.call.record(Fault(event_id="f", source="t", code="c", message="m"))
        session_id = first.call.session_id
        again = await arrive(sessions, Wish(Grant(session_id), 0, 1))
        assert (again.resume, again.after, again.call) == ("resumed", 1, first.call)
        ahead = await arrive(sessions, Wish(Grant(session_id), 0, 2))
        assert (ahead.resume, ahead.after, ahead.call) == ("snapshot", 0, first.call)
        assert ahead.reason
        await sessions.close(session_id, "over")
        gone = await arrive(sessions, Wish(Grant(session_id), 0, 1))
        assert (gone.resume, gone.after) == ("failed", 0)
        assert "not stored" in gone.reason
        assert gone.call.session_id != session_id

    asyncio.run(main())


def test_why_it_could_not_go_on_stands_on_the_timeline_that_it_reads(fakes):
    async def main():
        sessions = fakes.Sessions()
        async with PeerTable(16) as peers:
            reception = Reception(sessions, Settings(), peers, KEY)
            first = await reception.arrive(Wish())
            session_id = first.call.session_id
            await reception.arrive(Wish(Grant(session_id), 0, 0))
            assert first.call.posted == []
            ahead = await reception.arrive(Wish(Grant(session_id), 0, 1, "laptop-0001"))
            [failed] = first.call.posted
            assert failed == SessionResumeFailed(source="transport", device_id="laptop-0001", reason=ahead.reason)
            await sessions.close(session_id, "over")
            gone = await reception.arrive(Wish(Grant(session_id), 0, 1, "laptop-0001"))
            assert [fact.reason for fact in gone.call.posted] == [gone.reason]

    asyncio.run(main())


def test_what_another_process_holds_is_no_new_conversation(fakes):
    class Elsewhere(fakes.Sessions):
        async def join(self, session_id, owner, *, wakes):
            raise SessionHeld("another process has it")

    async def main():
        sessions = Elsewhere()
        with pytest.raises(SessionHeld):
            await arrive(sessions, Wish(Grant("s1"), 1, 17))
        assert sessions.opened == 0

    asyncio.run(main())


def test_one_link_brings_only_so_many_arrivals_a_minute(fakes):
    settings = Settings(limits=Limits(arrivals_per_min=6))

    async def main():
        async with PeerTable(16) as peers:
            reception = Reception(fakes.Sessions(), settings, peers, KEY)
            own = (await reception.arrive(Wish())).grant
            link, other, passed_on = (Grant(own.session_id, name=name) for name in ("0a-1", "0a-2", "0a-1-7"))

            async def taken(grant, times):
                came = 0
                for _ in range(times):
                    with suppress(TooFast):
                        await reception.arrive(Wish(grant))
                        came += 1
                return came

            assert await taken(link, 4) == 4
            assert await taken(passed_on, 4) == 2, "whoever it was passed on to"
            assert [await taken(grant, 8) for grant in (own, other)] == [6, 6]
            await asyncio.sleep(20)
            assert [await taken(grant, 8) for grant in (link, passed_on)] == [2, 0]

    run_virtual(main())


def test_what_a_device_says_anew_of_itself_counts_as_an_arrival(fakes):
    settings = Settings(limits=Limits(arrivals_per_min=6))

    async def main():
        async with PeerTable(16) as peers:
            reception = Reception(fakes.Sessions(), settings, peers, KEY)
            own = (await reception.arrive(Wish())).grant
            arrival = await reception.arrive(Wish(own))
            device = Device.of(arrival, "test", settings.limits, peers.clock)
            answers = [device.receive(fakes.command("device.joined", number)) for number in (1, 1, 2, 3, 4, 5, 6, 7)]
            assert answers[:6] == [None] * 6, "one that is sent again is none"
            assert all("wire.too_fast" in answer for answer in answers[6:])
            assert len(arrival.call.posted) == 5
            assert device.receive(fakes.command("text.input", 8, text="hello")) is None, "all else goes on"
            with pytest.raises(TooFast, match=r"limits\.arrivals_per_min"):
                await reception.arrive(Wish(own))

    run_virtual(main())
