"""What was said in a headless conversation, both sides of it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from agent.audio.wav import write_wav
from agent.transport.audio_file import HEARING_RATE, RECORDING_RATE
from agent.transport.file_script import FRAME_MS, Placed
from agent.transport.port import FRAME_SAMPLES

Pcm = NDArray[np.int16]


class Recording:
    """Two lanes of 20 ms frames; the user's is kept as the files it is made of.

    `offset_ms` is the session time of the recording's first sample: a timeline's times less
    `offset_ms` are positions in the recording.
    """

    def __init__(self, placed: list[Placed]) -> None:
        self.placed = placed
        self.agent: list[Pcm | None] = []
        """Frames of shape (960,), 48 kHz; None is silence."""
        self.offset_ms = 0.0
        self.complete = False
        """Whether it came to its end; else the session closed before."""

    @property
    def duration_ms(self) -> int:
        return len(self.agent) * FRAME_MS

    def heard(self, frame: int) -> Pcm:
        """The user's frame for hearing: mono int16 16 kHz, shape (320,)."""
        return self._mixed(frame, HEARING_RATE)

    def blocks(self) -> Iterator[Pcm]:
        """The frames in order, int16 48 kHz, shape (960, 2): the user left, the agent right."""
        for index, agent in enumerate(self.agent):
            block = np.zeros((FRAME_SAMPLES, 2), dtype=np.int16)
            block[:, 0] = self._mixed(index, RECORDING_RATE)
            if agent is not None:
                block[:, 1] = agent
            yield block

    def lanes(self) -> Pcm:
        """All of it, shape (samples, 2)."""
        return np.concatenate([np.zeros((0, 2), dtype=np.int16), *self.blocks()])

    def write_wav(self, path: Path) -> None:
        """Write both lanes as 16-bit stereo at 48 kHz. Raises `AudioError`."""
        write_wav(path, self.blocks(), RECORDING_RATE, channels=2)

    def _mixed(self, frame: int, rate: int) -> Pcm:
        """The sum of the files that sound in this frame."""
        start, samples = frame * FRAME_MS * rate // 1_000, FRAME_MS * rate // 1_000
        total = np.zeros(samples, dtype=np.int32)
        for placed in self.placed:
            pcm = placed.audio.pcm_16k if rate == HEARING_RATE else placed.audio.pcm_48k
            skipped = start - placed.start_ms * rate // 1_000
            part = pcm[max(0, skipped) : max(0, skipped + samples)]
            lead = max(0, -skipped)
            total[lead : lead + len(part)] += part
        return np.clip(total, -32_768, 32_767).astype(np.int16)
