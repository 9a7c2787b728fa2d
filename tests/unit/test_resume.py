"""What a client gets whose conversation cannot be gone on with as it was, over HTTP from the real agent."""

import asyncio
from datetime import timedelta

from agent.app import MAX_BREAKS
from agent.errors import StoreError
from tests.unit.test_text_session import begun, command, of_type, virtually

__all__ = ["virtually"]


async def ended(app, session_id):
    await app.close(session_id, "hung up")


async def deleted(app, session_id):
    await app.rest(session_id)
    await app.store.delete(session_id)


async def older_than_it_is_kept(app, session_id):
    await app.rest(session_id)
    assert session_id in await app.store.retain(app.clock.wall() + timedelta(hours=1))


async def broken(app, session_id):
    await app.rest(session_id)
    app._broke_off.extend([(session_id, app.clock.now_us())] * MAX_BREAKS)


GONE = ((ended, "was ended"), (deleted, "not stored"), (older_than_it_is_kept, "not stored"), (broken, "broke off"))


def test_a_conversation_that_is_no_more_is_a_new_one_that_says_why(virtually):
    async def body(app, client):
        for becomes, why in GONE:
            hello, own = await begun(client)
            await client.post(hello["commands"], content=command(1, "control.done"), headers=own)
            seen = app.sessions[hello["session_id"]].timeline.last_seq
            await becomes(app, hello["session_id"])
            seen_it = own | {"Session-Seen": f"{hello['epoch']}:{seen}", "Device-Id": "laptop-0001"}
            again = (await client.post("/sessions", headers=seen_it)).json()
            assert again["resume"] == "failed"
            assert why in again["reason"]
            assert again["session_id"] != hello["session_id"]
            [failed] = of_type(app, again, "session.resume_failed")
            assert (failed.device_id, failed.reason) == ("laptop-0001", again["reason"])
            await app.close(again["session_id"], "hung up")
            for method, path in (("GET", hello["events"]), ("POST", hello["commands"])):
                refused = await client.request(method, path, content=command(2, text="hello"), headers=seen_it)
                assert (refused.status_code, refused.json()["error"]["code"]) == (410, "session.gone")
                assert why in refused.json()["error"]["message"]

    virtually(body)


def test_one_that_is_deleted_while_it_is_taken_up_is_no_more(virtually, monkeypatch):
    async def body(app, client):
        for name in ("read", "acquire"):
            hello, own = await begun(client)
            await app.rest(hello["session_id"])
            done = getattr(app.store, name)

            async def too_late(session_id, *about, done=done):
                await app.store.delete(session_id)
                return await done(session_id, *about)

            with monkeypatch.context() as patch:
                patch.setattr(app.store, name, too_late)
                late = await client.post(hello["commands"], content=command(1, text="hello"), headers=own)
            assert (late.status_code, late.json()["error"]["code"]) == (410, "session.gone"), name
            assert "not stored" in late.json()["error"]["message"]

    virtually(body)


def test_what_is_forgotten_while_it_is_read_is_left_out(virtually, monkeypatch):
    async def body(app, client):
        hello, own = await begun(client)
        await client.post(hello["commands"], content=command(1, text="my name is Ada"), headers=own)
        await asyncio.sleep(1)
        read = app.store.read

        async def late(session_id, *about):
            monkeypatch.setattr(app.store, "read", read)
            await client.post(hello["commands"], content=command(2, "session.forget"), headers=own)
            await asyncio.sleep(1)
            return await read(session_id, *about)

        monkeypatch.setattr(app.store, "read", late)
        assert (await app.recorded(hello["session_id"]))[0].event.type == "session.forgotten"

    virtually(body)


def test_a_disk_that_is_full_again_and_again_ends_no_conversation(virtually, monkeypatch):
    async def body(app, client):
        hello, own = await begun(client)

        async def full(entries, lease=None, expected_seq=None):
            raise StoreError("the disk is full")

        for number in range(MAX_BREAKS + 1):
            with monkeypatch.context() as patch:
                patch.setattr(app.store, "append", full)
                lost = await client.post(hello["commands"], content=command(number, text="hello"), headers=own)
                assert lost.status_code == 503
                assert not app.sessions, "it broke off"
            again = (await client.post("/sessions", headers=own)).json()
            assert (again["session_id"], again["resume"]) == (hello["session_id"], "resumed")

    virtually(body)


def test_who_saw_what_was_never_stored_gets_all_that_was_and_is_told_why(virtually):
    async def body(app, client):
        hello, own = await begun(client)
        stored = app.sessions[hello["session_id"]].timeline.last_seq
        await app.rest(hello["session_id"])
        for seen, resume in ((f"1:{stored}", "resumed"), (f"1:{stored + 1}", "snapshot"), ("9:1", "snapshot")):
            again = (await client.post("/sessions", headers=own | {"Session-Seen": seen})).json()
            assert (again["session_id"], again["resume"]) == (hello["session_id"], resume), seen
            assert bool(again["reason"]) == (resume == "snapshot")
        reasons = [failed.reason for failed in of_type(app, hello, "session.resume_failed")]
        assert reasons == [again["reason"]] * 2

    virtually(body)


def test_who_saw_what_was_forgotten_since_goes_on_behind_it(virtually):
    async def body(app, client):
        hello, own = await begun(client)
        await client.post(hello["commands"], content=command(1, text="my name is Ada"), headers=own)
        await asyncio.sleep(1)
        await client.post(hello["commands"], content=command(2, "session.forget"), headers=own)
        await asyncio.sleep(1)
        for _ in range(2):
            again = (await client.post("/sessions", headers=own | {"Session-Seen": f"{hello['epoch']}:3"})).json()
            assert (again["session_id"], again["resume"]) == (hello["session_id"], "resumed")
            call = await app.join(hello["session_id"])
            first = await anext(aiter(call.entries(3)))
            assert first.event.type == "session.forgotten", "what empties the page comes first"
            await app.leave(call, "seen enough", for_good=False)
            await app.rest(hello["session_id"])
            await app.join(hello["session_id"])

    virtually(body)


def test_a_command_from_before_what_was_forgotten_is_known_after_a_restart(virtually, monkeypatch):
    monkeypatch.setattr("agent.timeline.command_ids.LATEST", 2)

    async def body(app, client):
        hello, own = await begun(client)
        asked = [command(number, text="my name is Ada") for number in range(1, 5)]
        for one in asked:
            await client.post(hello["commands"], content=one, headers=own)
        await asyncio.sleep(20)
        await client.post(hello["commands"], content=command(5, "session.forget"), headers=own)
        await asyncio.sleep(1)
        assert (await app.recorded(hello["session_id"]))[0].event.type == "session.forgotten"
        await app.rest(hello["session_id"])
        for one in asked:
            late = await client.post(hello["commands"], content=one, headers=own)
            assert late.status_code == 200
        await asyncio.sleep(1)
        assert not of_type(app, hello, "text.input"), "not said again, and the session goes on"

    virtually(body)


def test_a_token_that_has_expired_is_refused_and_says_so(virtually):
    async def body(app, client):
        hello, own = await begun(client)
        await asyncio.sleep(timedelta(hours=2).total_seconds())
        for method, path in (("POST", "/sessions"), ("GET", hello["events"]), ("POST", hello["commands"])):
            refused = await client.request(method, path, headers=own, content=command(1, text="hello"))
            assert (refused.status_code, refused.json()["error"]["code"]) == (403, "session.token")
            assert "expired" in refused.json()["error"]["message"]
        assert not app.sessions

    virtually(body, sessions={"linger_s": 60, "token_h": 1})
