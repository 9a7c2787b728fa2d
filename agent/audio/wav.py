"""WAV files, written whole or not at all."""

from __future__ import annotations

import os
import wave
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from agent.errors import AudioError

MAX_BYTES = 2**32 - 1_024
"""RIFF counts its bytes in 32 bits."""


def write_wav(path: Path, blocks: Iterable[NDArray[np.int16]], rate: int, channels: int) -> None:
    """Write int16 blocks of shape (samples, channels) at `rate` Hz, one after the other.

    The file appears under its name once it is complete; one that was there is replaced. Raises
    `AudioError` when it cannot be written.
    """
    target = path.resolve()
    if target.exists() and not target.is_file():
        raise AudioError(f"{path} is not a file, so no WAV can be written there; name a file")
    unfinished = target.with_name(f".{target.name}.{os.getpid()}.part")
    try:
        try:
            _write(unfinished, blocks, rate, channels)
            unfinished.replace(target)
        finally:
            unfinished.unlink(missing_ok=True)
    except OSError as error:
        reason = error.strerror or str(error)
        raise AudioError(f"{path} cannot be written ({reason}); choose another folder or make room") from error


def _write(path: Path, blocks: Iterable[NDArray[np.int16]], rate: int, channels: int) -> None:
    written = 0
    with path.open("xb") as file, wave.open(file, "wb") as wav:
        wav.setnchannels(channels)
        wav.setsampwidth(2)
        wav.setframerate(rate)
        for block in blocks:
            if block.ndim != 2 or block.shape[1] != channels:
                raise ValueError(f"a block of shape {block.shape} is not (samples, {channels})")
            written += block.size * 2
            if written > MAX_BYTES:
                raise AudioError(
                    f"{path.name} would be longer than a WAV file can be (4 GiB); give fewer files at once"
                )
            wav.writeframesraw(block.astype("<i2").tobytes())
