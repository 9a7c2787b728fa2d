"""The piper process: `python -m agent.speaking.piper_worker VOICE SPEAKER THREADS NOISE NOISE_W`.

Phonemization holds the interpreter's lock and a sentence takes the processor for long, so neither shares a
process with the media clock. Jobs take turns by sentence. It ends when its standard input does.
"""

from __future__ import annotations

import os
import queue
import re
import sys
import threading
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import BinaryIO

from agent.conversation.events import Json
from agent.errors import TtsError
from agent.speaking import piper_protocol as protocol
from agent.speaking.piper_voice import PiperVoice, Scales, StoppedError
from agent.speaking.port import Speech
from agent.speaking.text_segments import plain, segments
from agent.speaking.token_alignment import token_starts
from agent.speaking.word_times import WordStart, WordTimer
from agent.worker import begin

SEGMENT_CHARS = 160
"""A sentence is cut where it is longer: what is said in one go is first heard when it is whole."""


def spoken(voice: PiperVoice, text: str, scales: Scales) -> Iterator[list[Speech]]:
    """What each sentence gives. Raises `StoppedError`, `TtsError`."""
    timer, offset, estimated = WordTimer(text, voice.sample_rate), 0, False
    for at, segment in segments(plain(text), SEGMENT_CHARS):
        sentences = voice.sentences(segment)
        words = _places(voice, segment, at, [phoneme for sentence in sentences for phoneme in sentence])
        first = 0
        for sentence in sentences:
            said, last = voice.say(sentence, scales), first + len(sentence)
            estimated = said.estimated
            here = [(place, char) for place, char in words if first <= place < last]
            pieces = timer.push(
                said.pcm, [WordStart(char, offset + said.starts[place - first]) for place, char in here]
            )
            behind = next((char for place, char in words if place >= last), at + len(segment))
            pieces += timer.pause(behind)
            yield [replace(piece, estimated=estimated) for piece in pieces]
            first, offset = last, offset + len(said.pcm)
    yield [replace(piece, estimated=estimated) for piece in timer.finish()]


def _places(voice: PiperVoice, segment: str, at: int, phonemes: list[str]) -> list[tuple[int, int]]:
    """For each token of a segment that is heard: its first phoneme, and its character in the text."""
    tokens = list(re.finditer(r"\S+", segment))
    starts = token_starts(phonemes, [voice.token(match.group()) for match in tokens])
    return [(start, match.start() + at) for start, match in zip(starts, tokens, strict=True) if start is not None]


class Worker:
    """Answers messages in order; those that stop something are seen at once."""

    def __init__(self, voice: PiperVoice, noise: float, noise_w: float, outward: BinaryIO) -> None:
        self._voice = voice
        self._noise, self._noise_w = noise, noise_w
        self._outward = outward
        self._jobs: dict[int, Iterator[list[Speech]]] = {}
        self._messages: queue.SimpleQueue[tuple[bytes, dict[str, Json]] | None] = queue.SimpleQueue()
        self._current = 0
        self._stopped: set[int] = set()
        self._lock = threading.Lock()

    def listen(self, inward: BinaryIO) -> None:
        """In a thread of its own, until the other side is gone."""
        while (message := protocol.read(inward)) is not None:
            if message[0] == protocol.STOP:
                with self._lock:
                    job = _number(message[1])
                    self._stopped.add(job)
                    if job == self._current:
                        self._voice.stop()
            self._messages.put(message)
        self._voice.stop()
        self._messages.put(None)

    def serve(self) -> None:
        """Work until the other side is gone."""
        while (message := self._messages.get()) is not None:
            kind, body = message
            job = _number(body)
            if kind == protocol.SAY:
                length = 1.0 / float(str(body["speed"]))
                self._jobs[job] = spoken(self._voice, str(body["text"]), Scales(length, self._noise, self._noise_w))
            elif kind == protocol.NEXT:
                self._next(job)
            elif kind == protocol.STOP:
                self._jobs.pop(job, None)
                self._stopped.discard(job)
                self._write(protocol.packed(protocol.STOPPED, {"job": job}))
            else:
                raise protocol.ProtocolError(f"a message of unknown kind {kind!r}")

    def _next(self, job: int) -> None:
        with self._lock:
            if job in self._stopped or job not in self._jobs:
                return
            self._voice.ready()
            self._current = job
        try:
            pieces = next(self._jobs[job], None)
        except StoppedError:
            return
        except TtsError as error:
            self._write(protocol.packed(protocol.FAILED, {"job": job, "message": str(error)}))
            return
        finally:
            with self._lock:
                self._current = 0
        if pieces is None:
            del self._jobs[job]
        for piece in pieces or []:
            words: list[Json] = [[word.start_sample, word.end_sample, word.text_end] for word in piece.words]
            head: dict[str, Json] = {"job": job, "words": words, "estimated": piece.estimated}
            self._write(protocol.packed(protocol.AUDIO, head, piece.pcm))
        self._write(protocol.packed(protocol.DONE, {"job": job, "more": pieces is not None}))

    def _write(self, message: bytes) -> None:
        self._outward.write(message)
        self._outward.flush()


def _number(body: dict[str, Json]) -> int:
    return int(str(body["job"]))


def main() -> None:
    inward, outward = begin()
    path, speaker, threads, noise, noise_w = sys.argv[1:]
    with suppress(BrokenPipeError):  # the owner is gone, perhaps while the voice was being loaded
        try:
            voice = PiperVoice(Path(path), speaker, int(threads))
            for _ in spoken(voice, "Ready, steady.", Scales()):
                pass
        except TtsError as error:
            outward.write(protocol.packed(protocol.FAILED, {"job": 0, "message": str(error)}))
            outward.flush()
            return
        hello: dict[str, Json] = {"version": protocol.VERSION, "pid": os.getpid(), "sample_rate": voice.sample_rate}
        outward.write(protocol.packed(protocol.HELLO, hello))
        outward.flush()
        worker = Worker(voice, float(noise), float(noise_w), outward)
        threading.Thread(target=worker.listen, args=(inward,), daemon=True).start()
        worker.serve()
    with suppress(BrokenPipeError):
        outward.close()


if __name__ == "__main__":
    main()
