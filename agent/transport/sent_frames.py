"""Which reply sample every frame that was sent began with, so that a device can say where it is.

A device knows the RTP timestamp of the audio that it plays (RFC 3550; in browsers the
synchronization source's `rtpTimestamp`; over a WebSocket the number of samples before it). This maps it to the
one coordinate that the conversation counts in.
"""

from __future__ import annotations

from collections import OrderedDict

from agent.conversation.events import Played
from agent.transport.port import Call

KEPT_FRAMES = 1_000
"""Twenty seconds: a device that plays what was sent longer ago is not listening to this call."""
FRAME_SAMPLES = 960


class SentFrames:
    """The last frames that held speech, by their pts (in samples, a multiple of 960)."""

    def __init__(self) -> None:
        self._begun: OrderedDict[int, tuple[str, int]] = OrderedDict()

    def sent(self, pts: int, reply_id: str, sample: int) -> None:
        """The frame of this pts holds the reply's audio from `sample` on."""
        self._begun[pts] = (reply_id, sample)
        if len(self._begun) > KEPT_FRAMES:
            self._begun.popitem(last=False)

    def at(self, pts: int) -> tuple[str, int] | None:
        """The reply and the sample that is audible at `pts`; between replies or in a pause, the last before it.

        None before any speech, and for what is longer ago than is kept.
        """
        frame = pts - pts % FRAME_SAMPLES
        if frame in self._begun:
            reply_id, sample = self._begun[frame]
            return reply_id, sample + pts % FRAME_SAMPLES
        last = max((known for known in self._begun if known < frame), default=None)
        if last is None:
            return None
        reply_id, sample = self._begun[last]
        return reply_id, sample + FRAME_SAMPLES


def samples_between(rtp_timestamp: int, later: int) -> int:
    """From one RTP timestamp to another; they have 32 bits and wrap around."""
    return (later - rtp_timestamp + (1 << 31)) % (1 << 32) - (1 << 31)


def lost_at(call: Call, sent: tuple[str, int] | None) -> Played | None:
    """How far the reply under way can have been audible at a device that was lost when the last it had got was `sent`:
    a reply and a sample, None for nothing. None while no reply is under way there."""
    position = call.position()
    if position is None:
        return None
    reply_id, sample = sent or ("", 0)
    return Played(reply_id, sample) if reply_id == position[0] else Played(position[0], 0)
