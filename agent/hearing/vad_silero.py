"""Silero VAD: a small recurrent network, better than webrtcvad in noise, on onnxruntime alone."""

from __future__ import annotations

from functools import cache
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from agent.errors import EngineError
from agent.hearing.port import Pcm
from agent.settings import VadSettings

FRAME_SAMPLES = 512
"""32 ms, which the network was trained with."""
CONTEXT_SAMPLES = 64
"""The end of the frame before, which it hears again."""
STATE_SHAPE = (1, 1, 128)
MEND = "reinstall the package faster-whisper, or set vad.engine to webrtcvad"


def model_path() -> Path:
    """The network's file, inside the package faster-whisper, which need not be imported for it.

    Raises `EngineError` when it is not there.
    """
    package = find_spec("faster_whisper")
    folders = package.submodule_search_locations if package else None
    for folder in folders or ():
        path = Path(folder) / "assets" / "silero_vad_v6.onnx"
        if path.is_file():
            return path
    raise EngineError(f"Silero VAD's file silero_vad_v6.onnx is missing; {MEND}")


@cache
def load(path: Path) -> onnxruntime.InferenceSession:
    """The network, loaded once for all sessions. Raises `EngineError` for a broken file."""
    options = onnxruntime.SessionOptions()
    # A frame is a quarter of a millisecond of work: threads of its own would cost more than they give.
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 4
    try:
        return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime's errors have no base class of their own
        raise EngineError(f"Silero VAD's file {path} cannot be read ({error}); {MEND}") from error


class SileroVad:
    """Takes frames of 32 ms whatever `vad.frame_ms` says; says a probability.

    Sessions share the network and have each their own state. They are not batched: the rows of
    one call to this network are frames of one microphone, one behind the other.
    """

    name = "silero"
    frame_samples = FRAME_SAMPLES

    def __init__(self, settings: VadSettings, path: Path | None = None) -> None:
        """`settings`: the gate's, none of them the network's. Raises `EngineError`."""
        self._network = load(path or model_path())
        self._h: NDArray[np.float32]
        self._c: NDArray[np.float32]
        self.reset()

    def probability(self, frame: Pcm) -> float:
        """0…1. `frame`: `frame_samples` int16 samples; raises `ValueError` otherwise."""
        if frame.shape != (FRAME_SAMPLES,):
            raise ValueError(f"a frame has {FRAME_SAMPLES} samples, not {frame.shape}")
        self._input[0, :CONTEXT_SAMPLES] = self._input[0, FRAME_SAMPLES:]
        self._input[0, CONTEXT_SAMPLES:] = frame
        self._input[0, CONTEXT_SAMPLES:] /= 32_768
        said, self._h, self._c = self._network.run(None, {"input": self._input, "h": self._h, "c": self._c})
        return float(said[0])

    def reset(self) -> None:
        """Forget what the microphone sounded like."""
        self._input = np.zeros((1, CONTEXT_SAMPLES + FRAME_SAMPLES), np.float32)
        self._h, self._c = np.zeros(STATE_SHAPE, np.float32), np.zeros(STATE_SHAPE, np.float32)
