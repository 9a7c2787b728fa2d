"""A Whisper process that dies, hangs or babbles; the workers here are small scripts."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from agent.clock import Clock, run_virtual
from agent.errors import AsrError
from agent.hearing.port import HeardWord
from agent.hearing.whisper_process import WhisperProcess
from agent.hearing.whisper_protocol import TRANSCRIPT, VERSION, Request, Transcript, transcript_body
from agent.hearing.worker_protocol import HELLO, packed

GREETING = packed(HELLO, {"version": VERSION})
TRANSCRIBED = Transcript((HeardWord("yes", 0, 300),), 0.0, -0.1)
ANSWER = packed(TRANSCRIPT, transcript_body(TRANSCRIBED))


def worker(script: str) -> tuple[str, ...]:
    return (
        sys.executable,
        "-c",
        f"import os, pathlib, sys\nout = sys.stdout.buffer\n{script}\nout.flush()\nsys.stdin.read()",
    )


def process(script: str, deaths: list[str]) -> WhisperProcess:
    return WhisperProcess({}, Clock(), deaths.append, worker(script))


def test_a_process_that_died_is_replaced_and_asked_again(tmp_path: Path) -> None:
    """The first one ends as soon as it has said hello; the second one answers."""
    mark = tmp_path / "was here"
    script = f"""
out.write({GREETING!r}); out.flush()
mark = pathlib.Path({str(mark)!r})
if not mark.exists():
    mark.touch(); sys.exit(1)
out.write({ANSWER!r})
"""

    async def main() -> None:
        deaths: list[str] = []
        whisper = process(script, deaths)
        await whisper.start()
        assert await whisper.transcribe(Request(b"\0\0")) == TRANSCRIBED
        assert deaths == ["it ended"]
        await whisper.kill()
        assert whisper.pid is None

    run_virtual(main())


def test_audio_that_kills_every_process_is_given_up() -> None:
    async def main() -> None:
        deaths: list[str] = []
        whisper = process(f"out.write({GREETING!r}); out.flush(); sys.exit(1)", deaths)
        with pytest.raises(AsrError, match="ended twice"):
            await whisper.transcribe(Request(b"\0\0"))
        assert len(deaths) == 2

    run_virtual(main())


@pytest.mark.parametrize(
    "answer",
    [packed(b"?", {}), packed(TRANSCRIPT, {}), b"Traceback (most recent call last)"],
    ids=["kind", "empty", "babble"],
)
def test_an_answer_that_is_none_counts_as_a_death(answer: bytes) -> None:
    async def main() -> None:
        deaths: list[str] = []
        whisper = process(f"out.write({GREETING + answer!r})", deaths)
        with pytest.raises(AsrError):
            await whisper.transcribe(Request(b"\0\0"))
        assert len(deaths) == 2

    run_virtual(main())


def test_what_keeps_a_worker_from_working_is_told_as_it_says() -> None:
    async def main() -> None:
        whisper = process(f"out.write({packed(HELLO, {'error': 'the model is broken'})!r})", [])
        with pytest.raises(AsrError, match=r"^the model is broken$"):
            await whisper.start()

    run_virtual(main())
