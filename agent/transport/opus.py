"""Opus through ctypes: the libopus that PyAV carries, without FFmpeg around it.

FFmpeg's decoder cannot conceal a lost packet (an empty packet ends its stream) and always
decodes at 48 kHz. libopus itself conceals, reads the in-band redundancy of the next packet
(RFC 6716, section 2.1.7) and decodes straight to 16 kHz, so that nothing has to be resampled.
"""

from __future__ import annotations

import ctypes
import ctypes.util
from functools import cache
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray

from agent.errors import EngineError, WireError

Pcm = NDArray[np.int16]

ENCODER_RATE = 48_000
DECODER_RATE = 16_000
FRAME_SAMPLES = 960
"""Samples of an encoded frame: 20 ms at `ENCODER_RATE`."""

_MAX_PACKET_BYTES = 1_275
_MAX_PACKET_SAMPLES = DECODER_RATE * 120 // 1_000
"""A packet holds at most 120 ms (RFC 6716, section 3)."""

_APPLICATION_VOIP = 2048
_SET_BITRATE = 4002
_SET_COMPLEXITY = 4010
_SET_INBAND_FEC = 4012
_SET_PACKET_LOSS_PERC = 4014
_RESET_STATE = 4028


def _bundled() -> Path | None:
    package = Path(av.__file__).parent
    for folder in (package.parent / "av.libs", package / ".dylibs", package):
        for path in sorted(folder.glob("*opus*")):
            if path.name.startswith(("libopus", "opus")) and ".py" not in path.name:
                return path
    return None


@cache
def _library() -> ctypes.PyDLL:
    """libopus. Raises `EngineError` when there is none.

    `PyDLL` keeps the GIL: a call takes 0.1 to 0.5 ms, and waiting to get the GIL back from
    another thread would take up to 5 ms.
    """
    name = _bundled() or ctypes.util.find_library("opus")
    if name is None:
        raise EngineError(
            "libopus was not found, neither inside the installed 'av' package nor on this system; "
            "install the av wheel (pip install --force-reinstall av) or the libopus package"
        )
    try:
        library = ctypes.PyDLL(str(name))
        library.opus_encoder_create.restype = ctypes.c_void_p
        library.opus_decoder_create.restype = ctypes.c_void_p
        library.opus_strerror.restype = ctypes.c_char_p
        library.opus_encoder_destroy.restype = None
        library.opus_decoder_destroy.restype = None
    except (OSError, AttributeError) as error:
        raise EngineError(f"libopus at {name} cannot be used: {error}") from error
    return library


def _reason(code: int) -> str:
    text = _library().opus_strerror(code)
    return text.decode() if isinstance(text, bytes) else str(code)


def packet_samples(payload: bytes, rate: int = ENCODER_RATE) -> int:
    """Samples per channel in a packet at `rate`. Raises `WireError` when it is not Opus."""
    count = int(_library().opus_packet_get_nb_samples(payload, len(payload), rate)) if payload else -4
    if count <= 0:
        raise WireError(f"not an Opus packet: {_reason(count)}")
    return count


class Encoder:
    """48 kHz mono int16 to Opus packets of 20 ms, made for speech over lossy networks.

    At 32 kbit/s libopus adds redundancy only from about 10 % expected loss on (measured: recovered
    frames have 15 dB against 7 dB at 5 %), and the size of a packet stays the same.

    Raises `EngineError` when libopus is missing or refuses.
    """

    def __init__(self, bitrate: int = 32_000, complexity: int = 5, expected_loss_percent: int = 10) -> None:
        self._handle = None
        self._opus = _library()
        error = ctypes.c_int()
        handle = self._opus.opus_encoder_create(ENCODER_RATE, 1, _APPLICATION_VOIP, ctypes.byref(error))
        if not handle:
            raise EngineError(f"the Opus encoder could not start: {_reason(error.value)}")
        self._handle = ctypes.c_void_p(handle)
        self._buffer = ctypes.create_string_buffer(_MAX_PACKET_BYTES)
        for request, value in (
            (_SET_BITRATE, bitrate),
            (_SET_COMPLEXITY, complexity),
            (_SET_INBAND_FEC, 1),
            (_SET_PACKET_LOSS_PERC, expected_loss_percent),
        ):
            code = self._opus.opus_encoder_ctl(self._handle, request, ctypes.c_int(value))
            if code < 0:
                raise EngineError(f"the Opus encoder refused setting {request} = {value}: {_reason(code)}")

    def encode(self, pcm: Pcm) -> bytes:
        """One frame, int16 of shape (960,). Raises `EngineError` for any other shape."""
        if pcm.shape != (FRAME_SAMPLES,) or pcm.dtype != np.int16:
            raise EngineError(f"an Opus frame has {FRAME_SAMPLES} int16 samples, not {pcm.dtype} {pcm.shape}")
        pcm = np.ascontiguousarray(pcm)
        size = self._opus.opus_encode(
            self._handle, ctypes.c_void_p(pcm.ctypes.data), FRAME_SAMPLES, self._buffer, _MAX_PACKET_BYTES
        )
        if size < 0:
            raise EngineError(f"Opus could not encode a frame: {_reason(size)}")
        return self._buffer.raw[:size]

    def __del__(self) -> None:
        if self._handle is not None:
            self._opus.opus_encoder_destroy(self._handle)


class Decoder:
    """Opus packets (any duration, mono or stereo) to 16 kHz mono int16.

    Raises `EngineError` when libopus is missing.
    """

    def __init__(self) -> None:
        self._handle = None
        self._opus = _library()
        error = ctypes.c_int()
        handle = self._opus.opus_decoder_create(DECODER_RATE, 1, ctypes.byref(error))
        if not handle:
            raise EngineError(f"the Opus decoder could not start: {_reason(error.value)}")
        self._handle = ctypes.c_void_p(handle)
        self._pcm = np.zeros(_MAX_PACKET_SAMPLES, np.int16)

    def decode(self, payload: bytes) -> Pcm:
        """The samples of a packet. Raises `WireError` when it is damaged."""
        packet_samples(payload, DECODER_RATE)
        return self._decode(payload, _MAX_PACKET_SAMPLES, fec=False)

    def conceal(self, samples: int) -> Pcm:
        """`samples` (a multiple of 40, at most 1920) in place of a lost packet, from what came before."""
        return self._decode(None, samples, fec=False)

    def recover(self, following: bytes, samples: int) -> Pcm:
        """A lost packet's last `samples` from the redundancy in the packet behind it.

        Falls back to concealment by itself where that packet carries none. `following` has still
        to be decoded afterwards. Raises `WireError` when it is damaged.
        """
        packet_samples(following, DECODER_RATE)
        return self._decode(following, samples, fec=True)

    def reset(self) -> None:
        """Forget the past: the next packet belongs to another stream."""
        self._opus.opus_decoder_ctl(self._handle, _RESET_STATE)

    def _decode(self, payload: bytes | None, samples: int, *, fec: bool) -> Pcm:
        count = self._opus.opus_decode(
            self._handle,
            payload,
            len(payload) if payload else 0,
            ctypes.c_void_p(self._pcm.ctypes.data),
            min(samples, _MAX_PACKET_SAMPLES),
            int(fec),
        )
        if count < 0:
            raise WireError(f"an Opus packet could not be decoded: {_reason(count)}")
        return self._pcm[:count].copy()

    def __del__(self) -> None:
        if self._handle is not None:
            self._opus.opus_decoder_destroy(self._handle)
