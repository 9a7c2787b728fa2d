"""What a recogniser process and its owner say to each other over a pipe.

A message is a kind (one byte), a length (four bytes, big endian) and that many bytes: for
`AUDIO` the turn's number (four bytes) and 16 kHz mono little-endian int16 samples, for all
others JSON. The worker says `HELLO` with its version first; every `AUDIO` is answered by one
`HEARD`, every `SETTLE` by one `SETTLED`, in order. A broken message ends the connection.
"""

from __future__ import annotations

import json
import struct
from typing import Any, BinaryIO

VERSION = 1
MAX_BYTES = 4_000_000
"""A longer message is a broken one. A whole kept turn (20 s) has 640,000 bytes."""
HELLO, AUDIO, SETTLE, RESET, HEARD, SETTLED = b"H", b"A", b"S", b"R", b"K", b"F"
HEADER = struct.Struct("!cI")
TURN = struct.Struct("!I")


class ProtocolError(Exception):
    """The other side broke the protocol."""


def packed(kind: bytes, body: dict[str, Any]) -> bytes:
    """A JSON message, ready to be written."""
    data = json.dumps(body).encode()
    return HEADER.pack(kind, len(data)) + data


def packed_audio(turn: int, samples: bytes) -> bytes:
    """An `AUDIO` message."""
    return HEADER.pack(AUDIO, TURN.size + len(samples)) + TURN.pack(turn) + samples


def header(data: bytes) -> tuple[bytes, int]:
    """Kind and length. Raises `ProtocolError` when the length is over the bound."""
    kind, length = HEADER.unpack(data)
    if length > MAX_BYTES:
        raise ProtocolError(f"a message of {length} bytes is over the bound of {MAX_BYTES}")
    return kind, length


def body(data: bytes) -> dict[str, Any]:
    """The JSON of a message. Raises `ProtocolError`."""
    try:
        found = json.loads(data)
    except ValueError as error:
        raise ProtocolError(f"a message is not JSON: {error}") from error
    if not isinstance(found, dict):
        raise ProtocolError("a message is not a JSON object")
    return found


def read(stream: BinaryIO) -> tuple[bytes, bytes] | None:
    """One message from a blocking stream, None at its end. Raises `ProtocolError`."""
    start = stream.read(HEADER.size)
    if len(start) < HEADER.size:
        return None
    kind, length = header(start)
    data = stream.read(length)
    return (kind, data) if len(data) == length else None
