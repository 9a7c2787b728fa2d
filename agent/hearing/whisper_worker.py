"""The recogniser's process: `python -m agent.hearing.whisper_worker`, its options as JSON in the argument.

All sessions share it: a model is large, and a second decode beside the first would only slow it.
The process ends when its standard input does: nobody has to kill it.
"""

from __future__ import annotations

import json
import os
import sys
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

from agent.errors import AsrError
from agent.hearing import whisper_protocol as protocol
from agent.hearing.whisper_decoder import WhisperDecoder
from agent.hearing.worker_protocol import HELLO, ProtocolError, packed, read
from agent.worker import begin


def serve(decoder: WhisperDecoder, inward: BinaryIO, outward: BinaryIO) -> None:
    """Answer messages until the other side is gone."""
    while (message := read(inward)) is not None:
        kind, data = message
        if kind != protocol.TRANSCRIBE:
            raise ProtocolError(f"a message of unknown kind {kind!r}")
        transcript = decoder.transcribe(protocol.request_in(data))
        outward.write(packed(protocol.TRANSCRIPT, protocol.transcript_body(transcript)))
        outward.flush()


def hello() -> tuple[dict[str, object], WhisperDecoder | None]:
    """Load the model, and decode a second of nothing: the first decode is slow."""
    options = json.loads(sys.argv[1])
    try:
        decoder = WhisperDecoder(Path(options.pop("folder")), **options)
    except AsrError as error:
        return {"error": str(error)}, None
    decoder.transcribe(protocol.Request(bytes(32_000)))
    return {"version": protocol.VERSION, "pid": os.getpid()}, decoder


def main() -> None:
    inward, outward = begin()
    said, decoder = hello()
    with suppress(BrokenPipeError):  # the owner is gone, perhaps while the model was being loaded
        outward.write(packed(HELLO, said))
        outward.flush()
        if decoder is not None:
            serve(decoder, inward, outward)
    with suppress(BrokenPipeError):
        outward.close()


if __name__ == "__main__":
    main()
