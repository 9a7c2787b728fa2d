"""Packets as the network delivers them in, audio in order out, with as little delay as possible.

The listener is a recogniser, not a loudspeaker: it needs order and completeness, not an even
pace. So a packet that continues the stream is decoded the moment it arrives, however much the
network jitters, and only a gap makes anything wait. How long a gap may wait adapts: a missing packet
is given up once it is later than the latest recent packets were (0 on a quiet network, at most
`MAX_WAIT_US`), and then replaced, its last part from the redundancy in the packet behind it, the
rest by concealment.

When nothing arrives at all, silence is handed on after `SILENCE_AFTER_US` (plus the usual
lateness), one frame every 20 ms for at most `MAX_SILENCE_US`: a listener that waits for the
end of a sentence must hear it end. Packets that come after such silence are still handed on,
because late words are better than none: the stream is in order and whole, but not a clock.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from agent.errors import WireError

Pcm = NDArray[np.int16]

RTP_RATE = 48_000
"""The RTP clock of Opus, whatever rate is coded (RFC 7587)."""
OUTPUT_RATE = 16_000

MAX_WAIT_US = 120_000
MAX_HELD = 16
"""Packets kept behind a gap; one more ends the wait."""
MAX_CONCEALED = 5
"""Frames made up in a row; a longer gap is shortened."""
SILENCE_AFTER_US = 70_000
"""Silence stands in for missing packets once the first of them is this late: three in a row can still be concealed."""
MAX_SILENCE_US = 2_000_000

_FRAME_US = 20_000
_FRAME = RTP_RATE // 50
_RATIO = RTP_RATE // OUTPUT_RATE
_WINDOW = 100
"""Sequence numbers further away than this belong to another stream, or to nobody."""


class Decoder(Protocol):
    """What the buffer needs of `agent.transport.opus.Decoder`."""

    def decode(self, payload: bytes) -> Pcm: ...
    def conceal(self, samples: int) -> Pcm: ...
    def recover(self, following: bytes, samples: int) -> Pcm: ...
    def reset(self) -> None: ...


@dataclass(slots=True)
class ReceiveCounts:
    """What happened to packets and frames since the start."""

    received: int = 0
    recovered: int = 0
    concealed: int = 0
    silent: int = 0
    late: int = 0
    duplicate: int = 0
    damaged: int = 0
    restarts: int = 0


@dataclass(frozen=True, slots=True)
class _Packet:
    timestamp: int
    payload: bytes
    arrived_us: int


def _unwrap(value: int, near: int, bits: int) -> int:
    """The number nearest to `near` whose low bits are `value`."""
    half = 1 << (bits - 1)
    return near + ((value - near + half) & ((1 << bits) - 1)) - half


class Lateness:
    """How much later than the fastest packets the latest recent ones arrive, in microseconds.

    The fastest transit is a minimum over the last 5 to 10 s, so that drifting clocks are followed;
    the peak halves every 2 s.
    """

    _BUCKET_US = 5_000_000
    _HALF_LIFE_US = 2_000_000
    _ABSURD_US = 2_000_000

    def __init__(self) -> None:
        self.peak_us = 0.0
        self._fastest: deque[int] = deque(maxlen=2)
        self._bucket_began_us = 0
        self._seen_us = 0

    def observe(self, media_us: int, now_us: int) -> None:
        """A packet of media time `media_us` arrived."""
        transit = now_us - media_us
        if not self._fastest or abs(transit - min(self._fastest)) > self._ABSURD_US:
            self._fastest.clear()
            self._fastest.append(transit)
            self._bucket_began_us, self._seen_us, self.peak_us = now_us, now_us, 0.0
            return
        if now_us - self._bucket_began_us > self._BUCKET_US:
            self._fastest.append(transit)
            self._bucket_began_us = now_us
        self._fastest[-1] = min(self._fastest[-1], transit)
        self.peak_us *= 0.5 ** ((now_us - self._seen_us) / self._HALF_LIFE_US)
        self.peak_us = max(self.peak_us, float(transit - min(self._fastest)))
        self._seen_us = now_us

    def due_us(self, media_us: int) -> int:
        """When a packet of this media time arrives if it is as fast as the fastest."""
        return media_us + (min(self._fastest) if self._fastest else 0)


class ReceiveBuffer:
    """One RTP stream of Opus. Time comes in as `now_us` (any origin, never backwards).

    Call `push` for every packet and `poll` at `deadline_us()`; both give the frames to hand on
    now: int16 mono at 16 kHz, usually of 20 ms.
    """

    def __init__(self, decoder: Decoder) -> None:
        self.counts = ReceiveCounts()
        self._decoder = decoder
        self._lateness = Lateness()
        self._held: dict[int, _Packet] = {}
        self._given_up: deque[int] = deque(maxlen=2 * _WINDOW)
        self._started = False
        self._next = 0
        self._next_timestamp = 0
        self._duration = _FRAME
        self._filled_us = 0
        self._silence_due_us = 0
        self._stray: int | None = None

    @property
    def wait_us(self) -> int:
        """How late a missing packet may be at present before it is given up."""
        return min(round(self._lateness.peak_us * 1.25), MAX_WAIT_US)

    def restart(self) -> None:
        """Forget the stream: what comes next is another one."""
        self._decoder.reset()
        self._lateness = Lateness()
        self._held.clear()
        self._given_up.clear()
        self._started = False
        self._stray = None
        self.counts.restarts += 1

    def push(self, sequence: int, timestamp: int, payload: bytes, now_us: int) -> list[Pcm]:
        """A packet arrived: its 16-bit sequence number, 32-bit RTP timestamp and Opus payload."""
        if not payload:
            return []
        self.counts.received += 1
        if self._started and not self._belongs(sequence):
            return []
        if not self._started:
            self._started, self._next, self._next_timestamp = True, sequence, timestamp
        sequence = _unwrap(sequence, self._next, 16)
        timestamp = _unwrap(timestamp, self._next_timestamp, 32)
        if sequence in self._held or (sequence < self._next and sequence not in self._given_up):
            self.counts.duplicate += 1
            return []
        self._lateness.observe(timestamp * 1_000_000 // RTP_RATE, now_us)
        if sequence < self._next:
            self._given_up.remove(sequence)
            self.counts.late += 1
            return []
        self._held[sequence] = _Packet(timestamp, payload, now_us)
        frames = self._release(now_us)
        self._silence_due_us = now_us + _FRAME_US + SILENCE_AFTER_US + min(self.wait_us, SILENCE_AFTER_US)
        return frames

    def poll(self, now_us: int) -> list[Pcm]:
        """Time passed: give up what is overdue, or hand on silence when nothing arrives."""
        deadline_us = self.deadline_us()
        if deadline_us is None or now_us < deadline_us:
            return []
        if self._held:
            return self._release(now_us)
        self._filled_us += _FRAME_US
        self._silence_due_us = max(self._silence_due_us + _FRAME_US, now_us)
        self.counts.silent += 1
        return [np.zeros(OUTPUT_RATE // 50, np.int16)]

    def deadline_us(self) -> int | None:
        """When `poll` has something to do, or None as long as no packet comes."""
        if not self._started:
            return None
        if self._held:
            return self._give_up_us()
        return self._silence_due_us if self._filled_us < MAX_SILENCE_US else None

    def _belongs(self, sequence: int) -> bool:
        """Whether the packet is of this stream. Two in a row elsewhere begin a new one (RFC 3550,
        appendix A.1); a single one is dropped."""
        if abs(_unwrap(sequence, self._next, 16) - self._next) <= _WINDOW:
            self._stray = None
            return True
        if self._stray is not None and sequence == (self._stray + 1) & 0xFFFF:
            self.restart()
            return True
        self._stray = sequence
        return False

    def _give_up_us(self) -> int:
        """When the packet that is missing before the held ones is given up."""
        media_us = self._next_timestamp * 1_000_000 // RTP_RATE
        held_since_us = min(packet.arrived_us for packet in self._held.values())
        return min(self._lateness.due_us(media_us), held_since_us) + self.wait_us

    def _release(self, now_us: int) -> list[Pcm]:
        frames: list[Pcm] = []
        while self._held:
            packet = self._held.pop(self._next, None)
            if packet is not None:
                frames.append(self._decode(packet))
            elif len(self._held) > MAX_HELD or now_us >= self._give_up_us():
                frames += self._bridge()
            else:
                break
        return frames

    def _decode(self, packet: _Packet) -> Pcm:
        try:
            pcm = self._decoder.decode(packet.payload)
        except WireError:
            self.counts.damaged += 1
            pcm = self._decoder.conceal(self._duration // _RATIO)
        self._next += 1
        self._duration = len(pcm) * _RATIO
        self._next_timestamp = packet.timestamp + self._duration
        self._filled_us = 0
        return pcm

    def _bridge(self) -> list[Pcm]:
        """Audio in place of all packets missing before the first held one."""
        first = min(self._held)
        following = self._held[first]
        lost = first - self._next
        gap = following.timestamp - self._next_timestamp
        if not 0 < gap <= lost * 6 * _FRAME:
            gap = lost * self._duration
        owed = gap - self._filled_us * RTP_RATE // 1_000_000
        samples = self._duration // _RATIO
        made_up = min(owed // self._duration - 1, lost - 1, MAX_CONCEALED)
        frames = [self._decoder.conceal(samples) for _ in range(made_up)]
        try:
            frames.append(self._decoder.recover(following.payload, samples))
            self.counts.recovered += 1
        except WireError:
            frames.append(self._decoder.conceal(samples))
            self.counts.concealed += 1
        self.counts.concealed += max(made_up, 0)
        self._given_up.extend(range(max(self._next, first - _WINDOW), first))
        self._next, self._next_timestamp, self._filled_us = first, following.timestamp, 0
        return frames
