"""Audio files of any format that FFmpeg reads, decoded whole for hearing and for recording."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import av
import av.container
import numpy as np
from av.error import FFmpegError
from numpy.typing import NDArray

from agent.errors import AudioError

Pcm = NDArray[np.int16]

HEARING_RATE = 16_000
RECORDING_RATE = 48_000
MAX_FILE_S = 3_600
"""Longer files are refused: they are decoded whole."""
_SILENT_DB = 40.0
"""This far below the peak counts as silence at a file's end."""


@dataclass(frozen=True, slots=True)
class Audio:
    """One signal at two rates, mono int16: three samples at 48 kHz for each at 16 kHz."""

    pcm_16k: Pcm
    pcm_48k: Pcm

    @property
    def duration_ms(self) -> int:
        """Rounded up to a whole millisecond."""
        return -(-len(self.pcm_16k) * 1_000 // HEARING_RATE)

    @property
    def sound_end_ms(self) -> int:
        """Where the silence begins with which the file ends; its duration when it ends with sound."""
        level = np.abs(self.pcm_16k.astype(np.int32))
        loud = np.flatnonzero(level > level.max(initial=0) * 10 ** (-_SILENT_DB / 20))
        return -(-(int(loud[-1]) + 1) * 1_000 // HEARING_RATE) if loud.size else self.duration_ms


def read_audio(path: Path) -> Audio:
    """Decode the first audio stream of a file, mixed down to mono.

    Raises `AudioError` that says what to do for a path that is not there or not readable, a file
    that is empty, damaged, too long, or holds no audio.
    """
    _check_file(path)
    try:
        # A file object, not a name: FFmpeg would take some names for addresses, and playlists
        # could make it open others.
        with path.open("rb") as file, av.open(file, mode="r", options={"protocol_whitelist": "pipe"}) as container:
            return _decode(path, container)
    except (FFmpegError, ValueError) as error:
        # ValueError: a sample format or a channel layout that changes half-way.
        raise AudioError(
            f"{path} is not audio, or is damaged ({_reason(error)}); give a sound file such as WAV, FLAC, Ogg or MP3"
        ) from error
    except OSError as error:
        raise AudioError(f"{path} cannot be read ({error.strerror or error}); check its permissions") from error


def _check_file(path: Path) -> None:
    try:
        if not path.exists():
            raise AudioError(f"{path} is not there; check the name")
        if not path.is_file():
            raise AudioError(f"{path} is not a file; name a sound file")
        if path.stat().st_size == 0:
            raise AudioError(f"{path} is empty; record it again, or give another file")
    except OSError as error:
        raise AudioError(f"{path} cannot be read ({error.strerror or error}); check its permissions") from error


def _decode(path: Path, container: av.container.InputContainer) -> Audio:
    if not container.streams.audio:
        raise AudioError(f"{path} holds no audio stream; give a file with sound")
    if container.duration is not None and container.duration > MAX_FILE_S * av.time_base:
        raise _too_long(path)
    stream = container.streams.audio[0]
    hearing, recording = _Lane(HEARING_RATE), _Lane(RECORDING_RATE)
    for frame in _frames(path, container, stream):
        hearing.push(frame)
        recording.push(frame)
        if hearing.samples > MAX_FILE_S * HEARING_RATE:
            raise _too_long(path)
    pcm_16k, pcm_48k = hearing.finish(), recording.finish()
    if not len(pcm_16k):
        raise AudioError(f"{path} holds no samples; record it again, or give another file")
    return Audio(pcm_16k, _fitted(pcm_48k, len(pcm_16k) * (RECORDING_RATE // HEARING_RATE)))


def _frames(path: Path, container: av.container.InputContainer, stream: av.AudioStream) -> Iterator[av.AudioFrame]:
    """The stream's frames. Raises `AudioError` saying where a file breaks off."""
    seconds = 0.0
    try:
        for frame in container.decode(stream):
            yield frame
            seconds += frame.samples / (frame.sample_rate or HEARING_RATE)
    except FFmpegError as error:
        if not seconds:
            raise
        raise AudioError(
            f"{path} is damaged {seconds:.1f} s from its start ({_reason(error)}); give an undamaged copy"
        ) from error


class _Lane:
    """One rate of the signal, while it is decoded."""

    def __init__(self, rate: int) -> None:
        self._resampler = av.AudioResampler(format="s16", layout="mono", rate=rate)
        self._parts: list[Pcm] = []
        self.samples = 0

    def push(self, frame: av.AudioFrame) -> None:
        # A resampler with nothing to do uses the frame up, so each lane gets its own. It has no time
        # stamp: gaps between those of a file are no silence that anyone recorded.
        own = av.AudioFrame.from_ndarray(frame.to_ndarray(), format=frame.format.name, layout=frame.layout.name)
        own.sample_rate = frame.sample_rate
        self._add(self._resampler.resample(own))

    def finish(self) -> Pcm:
        """The whole signal, shape (samples,)."""
        if self._parts:
            self._add(self._resampler.resample(None))
        return np.concatenate(self._parts) if self._parts else np.zeros(0, dtype=np.int16)

    def _add(self, frames: Iterable[av.AudioFrame]) -> None:
        for frame in frames:
            self._parts.append(frame.to_ndarray().reshape(-1).astype(np.int16))
            self.samples += frame.samples


def _fitted(pcm: Pcm, samples: int) -> Pcm:
    """Cut or padded to `samples`: two resamplers may round differently at a file's end."""
    return np.pad(pcm[:samples], (0, max(0, samples - len(pcm))))


def _reason(error: Exception) -> str:
    return error.strerror or str(error) if isinstance(error, FFmpegError) else str(error)


def _too_long(path: Path) -> AudioError:
    return AudioError(f"{path} is longer than {MAX_FILE_S // 60} minutes; cut it into several files")
