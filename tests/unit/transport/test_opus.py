"""Opus by ctypes: round trip, concealment, recovery from the following packet."""

import numpy as np
import pytest

from agent.errors import EngineError, WireError
from agent.transport import opus


def test_decodes_at_16_khz(signals):
    decoder = opus.Decoder()
    out = [decoder.decode(packet) for packet in signals.packets(signals.voice(1.0))]
    assert all(len(part) == 320 and part.dtype == np.int16 for part in out)
    assert np.abs(np.concatenate(out)[3_200:]).max() > 3_000


def test_silence_stays_silent(signals):
    decoder = opus.Decoder()
    out = [decoder.decode(packet) for packet in signals.packets(np.zeros(9_600, np.int16))]
    assert np.abs(np.concatenate(out)).max() < 5


def test_recovery_beats_concealment_beats_silence(signals):
    sent = signals.packets(signals.voice(2.0))
    whole = opus.Decoder()
    reference = [whole.decode(packet) for packet in sent]
    lost = range(10, len(sent) - 1, 5)
    scores = {}
    for way in ("recover", "conceal"):
        decoder, got = opus.Decoder(), []
        for n, packet in enumerate(sent):
            if n not in lost:
                got.append(decoder.decode(packet))
            elif way == "recover":
                got.append(decoder.recover(sent[n + 1], 320))
            else:
                got.append(decoder.conceal(320))
        scores[way] = signals.snr_db(
            np.concatenate([reference[n] for n in lost]), np.concatenate([got[n] for n in lost])
        )
    print(f"SNR in lost frames: {scores}")
    assert scores["recover"] > scores["conceal"] + 3
    assert scores["conceal"] > 0


def test_damaged_packets_are_wire_errors(signals):
    decoder = opus.Decoder()
    for payload in (b"", b"\xff\xff\xff"):
        with pytest.raises(WireError):
            decoder.decode(payload)
    with pytest.raises(WireError):
        decoder.recover(b"", 320)
    assert len(decoder.decode(signals.packets(signals.voice(0.02))[0])) == 320


def test_a_frame_has_one_shape():
    with pytest.raises(EngineError, match="960"):
        opus.Encoder().encode(np.zeros(480, np.int16))
    with pytest.raises(EngineError, match="float64"):
        opus.Encoder().encode(np.zeros(960))


def test_strided_frames_are_encoded_as_they_read(signals):
    pcm = signals.voice(0.04)
    wide = np.zeros((960, 2), np.int16)
    wide[:, 0] = pcm[:960]
    assert opus.Encoder().encode(wide[:, 0]) == opus.Encoder().encode(pcm[:960])


def test_missing_library_says_what_to_do(monkeypatch):
    monkeypatch.setattr(opus, "_bundled", lambda: None)
    monkeypatch.setattr(opus.ctypes.util, "find_library", lambda name: None)
    opus._library.cache_clear()
    try:
        with pytest.raises(EngineError, match="install"):
            opus.Encoder()
    finally:
        opus._library.cache_clear()
