"""What the piper process and its owner say to each other over a pipe.

A message is a kind (one byte), a length (four bytes, big endian) and that many bytes of JSON; behind the JSON of
`AUDIO` stand its samples, little-endian int16, as many as it says. The worker says `HELLO` first, or `FAILED` and
ends. A job is opened with `SAY`; each `NEXT` is answered by any number of `AUDIO` and one `DONE` or `FAILED`, and
`STOP` by one `STOPPED`, with nothing of that job behind it. A broken message ends the connection.
"""

from __future__ import annotations

import json
import struct
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from agent.conversation.events import Json

VERSION = 1
MAX_BYTES = 64_000_000
"""A longer message is a broken one. A minute at 48 kHz has 5,760,000."""
HELLO, SAY, NEXT, STOP, AUDIO, DONE, STOPPED, FAILED = b"H", b"S", b"N", b"X", b"A", b"D", b"E", b"F"
HEADER = struct.Struct("!cI")
_JSON = struct.Struct("!I")


class ProtocolError(Exception):
    """The other side broke the protocol."""


def packed(kind: bytes, body: dict[str, Json], pcm: NDArray[np.int16] | None = None) -> bytes:
    """A message, ready to be written."""
    text = json.dumps(body).encode()
    samples = b"" if pcm is None else pcm.astype("<i2", copy=False).tobytes()
    return HEADER.pack(kind, _JSON.size + len(text) + len(samples)) + _JSON.pack(len(text)) + text + samples


def header(data: bytes) -> tuple[bytes, int]:
    """Kind and length. Raises `ProtocolError` when the length is over the bound."""
    kind, length = HEADER.unpack(data)
    if length > MAX_BYTES:
        raise ProtocolError(f"a message of {length} bytes is over the bound of {MAX_BYTES}")
    return kind, length


def body(data: bytes) -> tuple[dict[str, Json], NDArray[np.int16]]:
    """The JSON of a message, and the samples behind it. Raises `ProtocolError`."""
    try:
        (size,) = _JSON.unpack_from(data)
        found = json.loads(data[_JSON.size : _JSON.size + size])
        pcm = np.frombuffer(data, dtype="<i2", offset=_JSON.size + size).astype(np.int16, copy=False)
    except (struct.error, ValueError) as error:
        raise ProtocolError(f"a message cannot be read: {error}") from error
    if not isinstance(found, dict):
        raise ProtocolError("a message is not a JSON object")
    return found, pcm


def read(stream: BinaryIO) -> tuple[bytes, dict[str, Json]] | None:
    """One message without samples from a blocking stream, None at its end. Raises `ProtocolError`."""
    start = stream.read(HEADER.size)
    if len(start) < HEADER.size:
        return None
    kind, length = header(start)
    data = stream.read(length)
    return (kind, body(data)[0]) if len(data) == length else None
