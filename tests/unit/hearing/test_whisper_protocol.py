from __future__ import annotations

import io

import pytest

from agent.hearing.port import HeardWord
from agent.hearing.whisper_protocol import (
    TRANSCRIBE,
    Request,
    Transcript,
    packed_request,
    request_in,
    transcript_body,
    transcript_in,
)
from agent.hearing.worker_protocol import ProtocolError, read


def test_a_request_survives_the_pipe() -> None:
    request = Request(b"\x01\x02\x03\x04", context="what was “said”", prefix="and now")
    kind, data = read(io.BytesIO(packed_request(request))) or (b"", b"")
    assert kind == TRANSCRIBE
    assert request_in(data) == request


def test_a_transcript_survives_as_json() -> None:
    transcript = Transcript((HeardWord("hello", 20, 340),), 0.1, -0.3)
    assert transcript_in(transcript_body(transcript)) == transcript


@pytest.mark.parametrize("data", [b"", b"\0\0\0\x02{}", b"\0\0\0\x02[]", b"\0\0\0\x09{"])
def test_a_request_that_is_none_is_refused(data: bytes) -> None:
    with pytest.raises(ProtocolError):
        request_in(data)


@pytest.mark.parametrize("body", [{}, {"words": [{"text": "a"}], "no_speech": 0, "log_probability": 0}, {"words": 3}])
def test_a_transcript_that_is_none_is_refused(body: dict[str, object]) -> None:
    with pytest.raises(ProtocolError):
        transcript_in(body)
