"""Crowds over a made-up server and made-up callers, in virtual time."""

import asyncio
import math
from contextlib import asynccontextmanager

import numpy as np
import pytest

from agent.bench import crowd as module
from agent.bench.crowd import crowds
from agent.bench.floor import Floor
from agent.bench.heard import rebuild
from agent.bench.microphone import Utterance
from agent.bench.plan import REQUESTS, Stage
from agent.bench.scenario import ask
from agent.bench.voices import Voice
from agent.clock import Clock, run_virtual
from agent.errors import EngineError, WireError

VOICE = Voice("nobody", {text: np.zeros(48_000, np.int16) for text in REQUESTS}, {})


class FakeServer:
    pid, url = -1, "http://nowhere/"

    def __init__(self):
        self.windows = []

    async def health(self, playout_s):
        self.windows.append(playout_s)
        return {"playout": [{"max_ms": 40.0 / len(self.windows), "p99_ms": 1.0}]}


class FakeCaller:
    """Speaks for a second and is answered 0.5 s later, until `broken` sessions talk."""

    talking = 0
    broken = 99
    understood = True

    def __init__(self, clock):
        self.clock, self.messages = clock, []
        FakeCaller.talking += 1

    @property
    def position(self):
        return len(self.messages)

    async def say(self, pcm):
        if FakeCaller.talking >= self.broken:
            raise WireError("a call broke off")
        first_us = self.clock.now_us()
        await asyncio.sleep(1.0)
        self.messages += [
            {"type": "turn.end", "payload": {"understood": self.understood}},
            {"type": "playback.start", "payload": {}},
            {"type": "reply.done", "payload": {"outcome": "completed"}},
        ]
        return Utterance(pcm, first_us=first_us, last_us=self.clock.now_us())

    async def until(self, wanted, timeout_s, since):
        await asyncio.sleep(0.5)
        return next(filter(wanted, self.messages[since:]), None)

    def heard(self):
        return rebuild([], {})


@pytest.fixture
def fakes(monkeypatch):
    @asynccontextmanager
    async def called(url, clock, **_):
        yield FakeCaller(clock)

    @asynccontextmanager
    async def watched():
        yield Floor([1.0], 0.25)

    monkeypatch.setattr(FakeCaller, "talking", 0)
    monkeypatch.setattr(module, "called", called)
    monkeypatch.setattr(module, "watched", watched)
    return monkeypatch


def run(server, *stages):
    async def main():
        return await crowds(server, VOICE, Clock(), stages, lambda what: None)

    return run_virtual(main())


def test_the_window_holds_no_setting_up_and_calls_stay_up(fakes):
    server = FakeServer()
    one, three = run(server, Stage(1, 20.0), Stage(3, 10.0))
    assert [one.sessions, three.sessions, FakeCaller.talking] == [1, 3, 3]
    assert [one.window_s, three.window_s] == [20, 10]
    # Alternately: all of the setting up, and the window alone.
    assert server.windows[1::2] == [20, 10]
    assert one.setup_worst_ms == 40.0
    assert three.floor.stolen == 0.25
    assert len(one.waits_ms) >= 5
    assert all(math.isinf(wait) for wait in one.waits_ms), "nothing was audible"


def test_a_call_that_breaks_off_fails_its_stage_and_ends_the_rest(fakes):
    fakes.setattr(FakeCaller, "broken", 3)
    found = run(FakeServer(), Stage(1, 5.0), Stage(3, 5.0), Stage(4, 5.0))
    assert [(crowd.sessions, crowd.failure) for crowd in found] == [(1, ""), (3, "a call broke off")]


def test_a_server_that_says_nothing_fails_its_stage(fakes):
    class Mute(FakeServer):
        async def health(self, playout_s):
            raise EngineError("the server did not say how it is")

    assert [crowd.failure for crowd in run(Mute(), Stage(1, 5.0))] == ["the server did not say how it is"]


def test_an_apology_is_no_answer(fakes):
    async def main():
        return (await ask(FakeCaller(Clock()), VOICE, REQUESTS[0], module.random.Random(1))).answered

    assert run_virtual(main())
    fakes.setattr(FakeCaller, "understood", False)
    assert not run_virtual(main())
