"""What one end of a call heard, rebuilt afterwards from the RTP packets that reached it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from agent.errors import WireError
from agent.transport.opus import Decoder

Pcm = NDArray[np.int16]

RATE = 16_000
FRAME_SAMPLES = RATE // 50
TICKS_PER_FRAME = 960
"""RTP ticks of 20 ms (RFC 7587)."""
FRAME_US = 20_000
AUDIBLE_RMS = 100.0
"""A frame at this level or above, of 32768, is audible: 50 dB below full scale."""


class Decoding(Protocol):
    """What is needed of `agent.transport.opus.Decoder`."""

    def decode(self, payload: bytes) -> Pcm: ...


@dataclass(frozen=True, slots=True)
class Packet:
    """One RTP packet of 20 ms of Opus. `arrived_us` is on the receiver's clock."""

    timestamp: int
    arrived_us: int
    payload: bytes


@dataclass(frozen=True, slots=True)
class Heard:
    """The received frames in the order in which they were sent, 20 ms each.

    frames      index of each on the sender's clock, from 0; what never arrived leaves a gap
    arrived_us  when its packet arrived: what a receiver without any buffer hears
    handed_us   when aiortc handed it over, behind its own jitter buffer; -1 where it did not
    rms         its level
    pcm         its samples, shape (frames, 320), 16 kHz int16
    """

    frames: NDArray[np.int64]
    arrived_us: NDArray[np.int64]
    handed_us: NDArray[np.int64]
    rms: NDArray[np.float64]
    pcm: Pcm

    def between(self, from_us: int, to_us: int) -> NDArray[np.int64]:
        """Indices of the frames that arrived in this span, both ends included."""
        return np.flatnonzero((self.arrived_us >= from_us) & (self.arrived_us <= to_us))

    def audible_between(self, from_us: int, to_us: int) -> NDArray[np.int64]:
        """Indices of the audible ones among them."""
        inside = self.between(from_us, to_us)
        return inside[self.rms[inside] >= AUDIBLE_RMS]

    def pcm_between(self, from_us: int, to_us: int) -> Pcm:
        """Their samples in one piece, shape (samples,)."""
        return self.pcm[self.between(from_us, to_us)].reshape(-1)

    def lateness_ms(self, from_us: int, to_us: int) -> NDArray[np.float64]:
        """How much later than the most punctual frame of the span each one arrived.

        The sender's clock has one frame due every 20 ms for ever, so a late frame moves no other.
        """
        inside = self.between(from_us, to_us)
        if not inside.size:
            return np.zeros(0)
        transit = self.arrived_us[inside] - self.frames[inside] * FRAME_US
        return np.asarray((transit - transit.min()) / 1_000)


def rebuild(packets: Sequence[Packet], handed: dict[int, int], decoder: Decoding | None = None) -> Heard:
    """Decode what arrived. `handed` maps RTP timestamps to the times of handing over."""
    decoder = decoder or Decoder()
    ticks = _unwrapped([packet.timestamp for packet in packets])
    order = sorted({tick: index for index, tick in reversed(list(enumerate(ticks)))}.items())
    pcm = np.zeros((len(order), FRAME_SAMPLES), np.int16)
    for row, (_, index) in enumerate(order):
        try:
            samples = decoder.decode(packets[index].payload)[:FRAME_SAMPLES]
        except WireError:
            continue  # a damaged packet is silence; the measurement goes on
        pcm[row, : samples.size] = samples
    first = order[0][0] if order else 0
    kept = [packets[index] for _, index in order]
    return Heard(
        frames=np.array([(tick - first) // TICKS_PER_FRAME for tick, _ in order], np.int64),
        arrived_us=np.array([packet.arrived_us for packet in kept], np.int64),
        handed_us=np.array([handed.get(packet.timestamp, -1) for packet in kept], np.int64),
        rms=np.sqrt(np.mean(pcm.astype(np.float64) ** 2, axis=1)) if order else np.zeros(0),
        pcm=pcm,
    )


def _unwrapped(timestamps: Sequence[int]) -> list[int]:
    """32-bit RTP timestamps as numbers that do not wrap around."""
    found: list[int] = []
    for timestamp in timestamps:
        near = found[-1] if found else timestamp
        found.append(near + ((timestamp - near + (1 << 31)) & 0xFFFFFFFF) - (1 << 31))
    return found
