"""A recogniser's process that misbehaves; the workers here are small scripts."""

from __future__ import annotations

import sys

import pytest

from agent.clock import Clock, run_virtual
from agent.errors import AsrError
from agent.hearing import sphinx_protocol, worker_protocol
from agent.hearing.sphinx_process import SphinxProcess
from agent.hearing.worker_process import WorkerDiedError

HELLO = worker_protocol.packed(worker_protocol.HELLO, {"version": sphinx_protocol.VERSION})


def worker(script: str) -> tuple[str, ...]:
    return (sys.executable, "-c", f"import sys, time\nout = sys.stdout.buffer\n{script}\nout.flush()\nsys.stdin.read()")


@pytest.mark.parametrize(
    "script",
    [
        "sys.exit(3)",
        "out.write(b'Traceback: this is no message at all')",
        f"out.write({worker_protocol.packed(worker_protocol.HELLO, {'version': 99})!r})",
        f"out.write({worker_protocol.packed(sphinx_protocol.HEARD, {})!r})",
        f"out.write({worker_protocol.HEADER.pack(b'H', worker_protocol.MAX_BYTES + 1)!r})",
    ],
    ids=["exits", "babbles", "other-version", "other-kind", "oversized"],
)
def test_a_worker_that_does_not_say_hello_is_an_error_and_is_reaped(script: str) -> None:
    async def main() -> None:
        process = await SphinxProcess.spawn((), Clock(), worker(script))
        with pytest.raises(AsrError):
            await process.ready()
        assert not process.alive

    run_virtual(main())


def test_a_program_that_is_not_there_is_an_error() -> None:
    async def main() -> None:
        with pytest.raises(AsrError, match="could not be started"):
            await SphinxProcess.spawn((), Clock(), ("/nowhere/recogniser",))

    run_virtual(main())


def test_a_worker_that_ends_in_the_middle_is_noticed() -> None:
    async def main() -> None:
        process = await SphinxProcess.spawn((), Clock(), worker(f"out.write({HELLO!r})\nout.flush()\nsys.exit()"))
        await process.ready()
        with pytest.raises(WorkerDiedError):
            await process.hear(1, b"\0\0" * 640)
        await process.kill()
        assert not process.alive

    run_virtual(main())


def test_a_worker_that_answers_nonsense_counts_as_dead() -> None:
    async def main() -> None:
        answer = worker_protocol.HEADER.pack(sphinx_protocol.HEARD, 1) + b"{"
        process = await SphinxProcess.spawn((), Clock(), worker(f"out.write({HELLO + answer!r})"))
        await process.ready()
        with pytest.raises(WorkerDiedError, match="not JSON"):
            await process.hear(1, b"\0\0")
        await process.kill()

    run_virtual(main())


def test_a_real_worker_ends_by_itself_when_its_input_does() -> None:
    async def main() -> None:
        imports = "import sys\nfrom agent.hearing.sphinx_worker import serve\n"
        script = imports + "serve(None, sys.stdin.buffer, sys.stdout.buffer)"
        process = await SphinxProcess.spawn((), Clock(), (sys.executable, "-c", script))
        process._inward.close()
        async with process._clock.external():
            assert await process._process.wait() == 0

    run_virtual(main())
