import io

import pytest

from agent.hearing import sphinx_protocol
from agent.hearing import worker_protocol as protocol


def test_messages_survive_the_pipe() -> None:
    pipe = io.BytesIO(protocol.packed(protocol.HELLO, {"version": 1}) + sphinx_protocol.packed_audio(7, b"\x01\x02"))
    kind, data = protocol.read(pipe) or (b"", b"")
    assert (kind, protocol.body(data)) == (protocol.HELLO, {"version": 1})
    kind, data = protocol.read(pipe) or (b"", b"")
    assert (kind, data) == (sphinx_protocol.AUDIO, b"\x00\x00\x00\x07\x01\x02")
    assert protocol.read(pipe) is None


def test_a_message_that_is_cut_off_is_the_end() -> None:
    whole = protocol.packed(sphinx_protocol.SETTLE, {"a": 1})
    assert protocol.read(io.BytesIO(whole[:-1])) is None
    assert protocol.read(io.BytesIO(whole[:3])) is None


def test_an_oversized_message_is_refused_before_it_is_read() -> None:
    with pytest.raises(protocol.ProtocolError, match="over the bound"):
        protocol.read(io.BytesIO(protocol.HEADER.pack(b"A", protocol.MAX_BYTES + 1)))


@pytest.mark.parametrize("data", [b"{", b"\xff\xfe", b"[1]"])
def test_what_is_no_json_object_is_refused(data: bytes) -> None:
    with pytest.raises(protocol.ProtocolError):
        protocol.body(data)
