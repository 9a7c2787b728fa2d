"""How a worker process and its owner frame what they say to each other over a pipe.

A message is a kind (one byte), a length (four bytes, big endian) and that many bytes. The worker
says `HELLO` first: JSON with the version it speaks, or with the `error` that keeps it from working.
A broken message ends the connection.
"""

from __future__ import annotations

import json
import struct
from typing import Any, BinaryIO

MAX_BYTES = 4_000_000
"""A longer message is a broken one. 30 s of audio have 960,000 bytes."""
HELLO = b"H"
HEADER = struct.Struct("!cI")


class ProtocolError(Exception):
    """The other side broke the protocol."""


def framed(kind: bytes, data: bytes) -> bytes:
    """A message, ready to be written."""
    return HEADER.pack(kind, len(data)) + data


def packed(kind: bytes, body: dict[str, Any]) -> bytes:
    """A JSON message, ready to be written."""
    return framed(kind, json.dumps(body).encode())


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
