"""An output is added to a model by what is appended to it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnxruntime
import pytest

from agent.speaking.onnx_outputs import with_durations

VOICES = Path(__file__).parents[2] / "fixtures" / "voice"


def outputs(model: bytes) -> list[str]:
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    return [output.name for output in session.get_outputs()]


def test_a_voice_with_one_ceil_says_its_lengths() -> None:
    published = (VOICES / "tones.onnx").read_bytes()
    assert outputs(published) == ["output"]
    patched = with_durations(published)
    assert outputs(patched) == ["output", "/Ceil_output_0"]
    session = onnxruntime.InferenceSession(patched, providers=["CPUExecutionProvider"])
    inputs = {
        "input": np.array([[1, 0, 14, 0, 10, 0, 2]]), "input_lengths": np.array([7]), "sid": np.array([0]),
        "scales": np.array([0.667, 1.0, 0.0], np.float32),
    }  # fmt: skip
    audio, hops = session.run(None, inputs)
    assert hops.shape == (1, 1, 7)
    assert hops.sum() * 256 == audio.size


def test_others_stay_as_they_are() -> None:
    unaligned = (VOICES / "unaligned.onnx").read_bytes()
    assert with_durations(unaligned) == unaligned
    patched = with_durations((VOICES / "tones.onnx").read_bytes())
    assert with_durations(patched) == patched
    assert with_durations(b"") == b""


@pytest.mark.parametrize("broken", [b"\x3a\xff\x7f", b"\xff" * 20, b"\x0f", b"\x80"])
def test_what_is_no_message_is_refused(broken: bytes) -> None:
    with pytest.raises(ValueError, match=r"field|number"):
        with_durations(broken)
