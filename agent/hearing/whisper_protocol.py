"""What a Whisper process and its owner say to each other, framed as in `worker_protocol`.

A `TRANSCRIBE` message is the length of its JSON (four bytes), that JSON and 16 kHz mono
little-endian int16 samples; it is answered by one `TRANSCRIPT` in JSON. The process keeps nothing
between two messages, so that any of them may be the first one of a process that took over.
"""

from __future__ import annotations

import json
import struct
from dataclasses import asdict, dataclass
from typing import Any

from agent.hearing.port import HeardWord
from agent.hearing.worker_protocol import ProtocolError, framed

VERSION = 1
TRANSCRIBE, TRANSCRIPT = b"T", b"X"
LENGTH = struct.Struct("!I")


@dataclass(frozen=True, slots=True)
class Request:
    """Transcribe `samples`. `context`: what was said before them. `prefix`: what their text begins with."""

    samples: bytes
    context: str = ""
    prefix: str = ""


@dataclass(frozen=True, slots=True)
class Transcript:
    """The words of the samples, the prefix's too, and when each was said. `no_speech` is a probability,
    `log_probability` the mean over the tokens behind the prefix."""

    words: tuple[HeardWord, ...] = ()
    no_speech: float = 0.0
    log_probability: float = 0.0


def packed_request(request: Request) -> bytes:
    """A `TRANSCRIBE` message."""
    head = json.dumps({"context": request.context, "prefix": request.prefix}).encode()
    return framed(TRANSCRIBE, LENGTH.pack(len(head)) + head + request.samples)


def request_in(data: bytes) -> Request:
    """The inverse of `packed_request`, without the frame. Raises `ProtocolError`."""
    try:
        (length,) = LENGTH.unpack_from(data)
        head = json.loads(data[LENGTH.size : LENGTH.size + length])
        return Request(data[LENGTH.size + length :], str(head["context"]), str(head["prefix"]))
    except (struct.error, ValueError, KeyError, TypeError) as error:
        raise ProtocolError(f"a request cannot be read: {error}") from error


def transcript_body(transcript: Transcript) -> dict[str, Any]:
    """The JSON of a `TRANSCRIPT`."""
    return asdict(transcript)


def transcript_in(body: dict[str, Any]) -> Transcript:
    """The inverse of `transcript_body`. Raises `ProtocolError`."""
    try:
        words = tuple(HeardWord(**word) for word in body["words"])
        return Transcript(words, float(body["no_speech"]), float(body["log_probability"]))
    except (ValueError, KeyError, TypeError) as error:
        raise ProtocolError(f"a transcript cannot be read: {error}") from error
