"""The recogniser's process: `python -m agent.hearing.sphinx_worker MODEL WORDS REJECTION`.

pocketsphinx holds the interpreter's lock while it decodes, so it must not share a process
with the media clock. The process ends when its standard input does: nobody has to kill it.
"""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

from agent.hearing import sphinx_protocol as protocol
from agent.hearing.sphinx_decoder import TurnDecoder
from agent.hearing.worker_protocol import HELLO, ProtocolError, packed, read
from agent.worker import begin

SLICE_BYTES = 16_000
"""Half a second: a long piece is decoded in slices, so that memory stays flat."""


def serve(decoder: TurnDecoder, inward: BinaryIO, outward: BinaryIO) -> None:
    """Answer messages until the other side is gone."""
    turn = 0
    while (message := read(inward)) is not None:
        kind, data = message
        if kind == protocol.AUDIO:
            (number,) = protocol.TURN.unpack(data[: protocol.TURN.size])
            if number != turn:
                decoder.reset()
                turn = number
            samples = data[protocol.TURN.size :]
            text = ""
            for start in range(0, len(samples), SLICE_BYTES):
                text = decoder.push(samples[start : start + SLICE_BYTES])
            answer = packed(protocol.HEARD, {"turn": turn, "samples": len(samples) // 2, "text": text})
        elif kind == protocol.SETTLE:
            heard = decoder.settle()
            answer = packed(
                protocol.SETTLED,
                {"turn": turn, "text": heard.text, "understood": heard.understood, "confidence": heard.confidence},
            )
        elif kind == protocol.RESET:
            decoder.reset()
            continue
        else:
            raise ProtocolError(f"a message of unknown kind {kind!r}")
        outward.write(answer)
        outward.flush()


def main() -> None:
    inward, outward = begin()
    decoder = TurnDecoder(Path(sys.argv[1]), Path(sys.argv[2]), float(sys.argv[3]))
    with suppress(BrokenPipeError):  # the owner is gone, perhaps while the models were being loaded
        outward.write(packed(HELLO, {"version": protocol.VERSION, "pid": os.getpid()}))
        outward.flush()
        serve(decoder, inward, outward)
    with suppress(BrokenPipeError):
        outward.close()


if __name__ == "__main__":
    main()
