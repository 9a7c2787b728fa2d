"""What a pocketsphinx process and its owner say to each other, framed as in `worker_protocol`.

An `AUDIO` message is the turn's number (four bytes) and 16 kHz mono little-endian int16 samples; all
others are JSON. Every `AUDIO` is answered by one `HEARD`, every `SETTLE` by one `SETTLED`, in order.
"""

from __future__ import annotations

import struct

from agent.hearing.worker_protocol import framed

VERSION = 1
AUDIO, SETTLE, RESET, HEARD, SETTLED = b"A", b"S", b"R", b"K", b"F"
TURN = struct.Struct("!I")


def packed_audio(turn: int, samples: bytes) -> bytes:
    """An `AUDIO` message."""
    return framed(AUDIO, TURN.pack(turn) + samples)
