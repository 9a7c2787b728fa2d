"""The queue in front of a recogniser's process, with processes that are told what to do."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import numpy as np
import pytest

from agent.clock import run_virtual
from agent.errors import AsrError
from agent.hearing.sphinx_stream import BATCH_SAMPLES, SphinxStream
from agent.hearing.worker_process import WorkerDiedError

PIECE = np.zeros(640, dtype=np.int16)


class ToldProcess:
    """Takes `takes_s` for each piece; dies at the exchanges in `dies_at`."""

    pid = 1

    def __init__(self, takes_s: float = 0.0, dies_at: tuple[int, ...] = ()) -> None:
        self.takes_s = takes_s
        self.dies_at = dies_at
        self.exchanges = 0
        self.turn = 0
        self.samples = 0
        self.batches: list[int] = []
        self.killed = False

    async def _exchange(self) -> None:
        self.exchanges += 1
        await asyncio.sleep(self.takes_s)
        if self.exchanges in self.dies_at:
            raise WorkerDiedError("it ended")

    async def hear(self, turn: int, samples: bytes) -> str:
        await self._exchange()
        self.samples = (self.samples if turn == self.turn else 0) + len(samples) // 2
        self.turn = turn
        self.batches.append(len(samples) // 2)
        return f"{self.samples}"

    async def settle(self) -> dict[str, Any]:
        await self._exchange()
        return {"text": f"{self.samples}", "understood": True, "confidence": 0.9}

    async def reset(self) -> None:
        self.samples = 0

    async def kill(self) -> None:
        self.killed = True


class ToldPool:
    def __init__(self, *processes: ToldProcess) -> None:
        self.processes = list(processes)

    async def take(self) -> ToldProcess:
        if not self.processes:
            raise AsrError("no process starts")
        return self.processes.pop(0)

    async def give_up(self, process: ToldProcess) -> None:
        await process.kill()


class Bench:
    def __init__(self, process: ToldProcess, *further: ToldProcess, max_behind_ms: int = 5_000) -> None:
        self.partials: list[str] = []
        self.errors: list[str] = []
        self.closed = 0
        pool: Any = ToldPool(*further)
        first: Any = process
        self.stream = SphinxStream(
            pool, first, max_behind_ms, self.partials.append, self.errors.append, self._note_closed
        )

    async def _note_closed(self, stream: SphinxStream) -> None:
        self.closed += 1


def on_bench(make: Callable[[], Bench], scene: Callable[[Bench], Awaitable[None]]) -> Bench:
    async def main() -> Bench:
        bench = make()
        await scene(bench)
        await bench.stream.close()
        return bench

    return run_virtual(main())


def test_the_text_covers_everything_pushed_before_it_was_asked_for() -> None:
    async def scene(bench: Bench) -> None:
        for _ in range(5):
            bench.stream.push(PIECE)
        assert (await bench.stream.settle()).text == "3200"
        bench.stream.push(PIECE)
        assert (await bench.stream.settle()).text == "3840"

    on_bench(lambda: Bench(ToldProcess()), scene)


def test_a_stream_that_lags_sends_bigger_pieces_but_bounded_ones() -> None:
    process = ToldProcess(takes_s=0.2)

    async def scene(bench: Bench) -> None:
        for _ in range(100):
            bench.stream.push(PIECE)
            await asyncio.sleep(0.04)
        await bench.stream.settle()

    on_bench(lambda: Bench(process), scene)
    assert sum(process.batches) == 64_000
    assert process.batches[0] == 640
    assert 640 < max(process.batches) <= BATCH_SAMPLES


def test_a_reset_forgets_the_audio_and_refuses_the_question() -> None:
    async def scene(bench: Bench) -> None:
        bench.stream.push(PIECE)
        asked = asyncio.ensure_future(bench.stream.settle())
        await asyncio.sleep(0)
        bench.stream.reset()
        with pytest.raises(AsrError, match="reset"):
            await asked
        assert (await bench.stream.settle()).text == ""
        bench.stream.push(PIECE)
        assert (await bench.stream.settle()).text == "640"

    on_bench(lambda: Bench(ToldProcess(takes_s=0.05)), scene)


def test_the_text_of_an_earlier_turn_is_not_told() -> None:
    async def scene(bench: Bench) -> None:
        bench.stream.push(PIECE)
        await asyncio.sleep(0.01)
        bench.stream.reset()
        await asyncio.sleep(1.0)

    assert on_bench(lambda: Bench(ToldProcess(takes_s=0.1)), scene).partials == []


def test_a_new_process_is_told_the_turn_and_the_session_hears_of_it() -> None:
    async def scene(bench: Bench) -> None:
        for _ in range(5):
            bench.stream.push(PIECE)
            await asyncio.sleep(0.01)
        assert (await bench.stream.settle()).text == "3200"

    dying = ToldProcess(dies_at=(4,))
    bench = on_bench(lambda: Bench(dying, ToldProcess()), scene)
    assert dying.killed
    assert [error.partition(":")[0] for error in bench.errors] == ["asr.worker_died"]


def test_audio_that_kills_every_process_is_given_up() -> None:
    async def scene(bench: Bench) -> None:
        bench.stream.push(PIECE)
        with pytest.raises(AsrError, match="twice"):
            await bench.stream.settle()
        bench.stream.reset()
        bench.stream.push(PIECE)
        assert (await bench.stream.settle()).text == "640"

    on_bench(lambda: Bench(ToldProcess(dies_at=(1,)), ToldProcess(dies_at=(1,)), ToldProcess()), scene)


def test_when_no_process_starts_the_question_fails() -> None:
    async def scene(bench: Bench) -> None:
        bench.stream.push(PIECE)
        with pytest.raises(AsrError, match="no process starts"):
            await bench.stream.settle()

    bench = on_bench(lambda: Bench(ToldProcess(dies_at=(1,))), scene)
    assert bench.errors[-1] == "asr: no process starts"


def test_far_behind_the_oldest_audio_is_left_out_and_told_once() -> None:
    process = ToldProcess(takes_s=100.0)

    async def scene(bench: Bench) -> None:
        for _ in range(60):
            bench.stream.push(PIECE)
            await asyncio.sleep(0.04)

    bench = on_bench(lambda: Bench(process, max_behind_ms=1_000), scene)
    assert [error.partition(":")[0] for error in bench.errors] == ["asr.behind"]


def test_closing_kills_the_process_and_frees_the_place_once() -> None:
    process = ToldProcess()

    async def scene(bench: Bench) -> None:
        bench.stream.push(PIECE)
        await bench.stream.close()
        bench.stream.push(PIECE)
        with pytest.raises(AsrError):
            await bench.stream.settle()

    bench = on_bench(lambda: Bench(process), scene)
    assert process.killed
    assert bench.closed == 1
