"""Paced playout: the ledgers of a session's replies, joined to the frames that a transport takes.

The transport is the clock: every 20 ms it takes one frame. At most one reply is live (released);
the audio of further ones, begun speculatively, is kept until they are released or dropped.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np
from numpy.typing import NDArray

from agent.audio.ledger import LEDGER_RATE, Ledger, fade_tail
from agent.conversation.events import Event, PlaybackMark, PlaybackStarted
from agent.settings import PlayoutSettings

FRAME_SAMPLES = LEDGER_RATE * 20 // 1_000
MAX_REPLIES = 3
"""Replies whose audio is kept: the live one and the speculative ones behind it."""


class Playout:
    """Hands out the live reply and posts what left it (`PlaybackStarted`, `PlaybackMark`)."""

    def __init__(self, post: Callable[[Event], None], settings: PlayoutSettings) -> None:
        self._post = post
        self._volume = settings.volume
        self._max_samples = settings.max_reply_s * LEDGER_RATE
        self._ledgers: dict[str, Ledger] = {}
        self._live = ""
        self._growing: frozenset[str] = frozenset()
        self._end_told = False
        self._last = 0

    @property
    def live(self) -> str:
        """The id of the released reply, or empty."""
        return self._live

    def next_frame(self) -> NDArray[np.int16] | None:
        """The next 20 ms: int16 mono 48 kHz, shape (960,), or None for silence.

        Called once per frame by the transport. After the last frame before a pause, cut or gap
        one more comes that fades out within 5 ms; it holds nothing of the reply.
        """
        frame = self._take()
        if frame is None:
            frame = fade_tail(self._last, FRAME_SAMPLES)
            self._last = 0
            return frame
        if self._volume != 1.0:
            frame = np.rint(frame * self._volume).astype(np.int16)
        self._last = int(frame[-1])
        return frame

    def position(self) -> tuple[str, int] | None:
        """The live reply and the sample that is handed out next, None while it has nothing to hand out."""
        ledger = self._ledgers.get(self._live)
        if ledger is None or not ledger.playing or ledger.ended:
            return None
        return self._live, ledger.position

    def _take(self) -> NDArray[np.int16] | None:
        ledger = self._ledgers.get(self._live)
        if ledger is None:
            return None
        reply_id, growing = self._live, self._live in self._growing
        first = ledger.played == 0
        taken = ledger.take(FRAME_SAMPLES, partial=not growing)
        if taken is None:
            if ledger.playing and not ledger.ended:
                ledger.seek(ledger.position)  # starved inside a word: it fades in when audio comes
            return None
        # What is posted may bring a decision about this very reply before `post` returns.
        at_end = ledger.ended and not growing
        if first:
            self._post(PlaybackStarted(reply_id=reply_id))
        if at_end:
            self._tell_end(reply_id, ledger)
        elif taken.word_ends:
            self._post(PlaybackMark(reply_id=reply_id, sample=taken.word_ends[-1]))
        return taken.frame

    def _tell_end(self, reply_id: str, ledger: Ledger) -> None:
        self._end_told = True
        self._post(PlaybackMark(reply_id=reply_id, sample=ledger.position))

    def set_growing(self, reply_ids: Iterable[str]) -> None:
        """Which replies still get more audio. The live one's end is told once it is not among them."""
        self._growing = frozenset(reply_ids)
        ledger = self._ledgers.get(self._live)
        if ledger and ledger.ended and ledger.played and not self._end_told and self._live not in self._growing:
            self._tell_end(self._live, ledger)

    def open(self, reply_id: str) -> str:
        """Keep audio for this reply. Returns the id of the one dropped for it, or empty."""
        if reply_id in self._ledgers:
            return ""
        dropped = ""
        if len(self._ledgers) >= MAX_REPLIES:
            dropped = next(kept for kept in self._ledgers if kept != self._live)
            self.drop(dropped)
        self._ledgers[reply_id] = Ledger(self._max_samples)
        return dropped

    def synthesised(self, reply_id: str) -> int:
        """Samples that the reply has so far."""
        ledger = self._ledgers.get(reply_id)
        return ledger.synthesised if ledger else 0

    def played(self, reply_id: str) -> int:
        """The highest sample of the reply that was ever handed out."""
        ledger = self._ledgers.get(reply_id)
        return ledger.played if ledger else 0

    def truncate(self, reply_id: str, sample: int) -> None:
        """Forget the reply's audio from `sample` on, as far as it was not handed out."""
        if ledger := self._ledgers.get(reply_id):
            ledger.truncate(sample)

    def drained(self, reply_id: str) -> bool:
        """The reply is live and everything it has was handed out: the listener waits for more."""
        ledger = self._ledgers.get(reply_id)
        return ledger is not None and ledger.playing and ledger.ended

    def append(self, reply_id: str, pcm: NDArray[np.int16], word_ends: Iterable[int] = ()) -> None:
        """Add audio, int16 mono 48 kHz, and the reply samples at which words end.

        Audio of a reply that is not kept is ignored. Raises `LimitReached` if it gets too long.
        """
        ledger = self._ledgers.get(reply_id)
        if ledger is None:
            return
        ledger.append(pcm)
        if reply_id == self._live and len(pcm):
            self._end_told = False
        for end in word_ends:
            ledger.mark_word(end)

    def release(self, reply_id: str) -> str:
        """Play this reply; one still live is dropped. Returns as `open` does."""
        if self._live and self._live != reply_id:
            self.drop(self._live)
        dropped = self.open(reply_id)
        self._live = reply_id
        self._end_told = False
        self._ledgers[reply_id].release()
        return dropped

    def pause(self, reply_id: str) -> None:
        """From the next frame on nothing is handed out; the exact position is posted."""
        ledger = self._ledgers.get(reply_id)
        if ledger is not None:
            self._post(PlaybackMark(reply_id=reply_id, sample=ledger.pause()))

    def resume(self, reply_id: str, sample: int) -> None:
        """Play on from `sample`, or from the nearest one that there is."""
        ledger = self._ledgers.get(reply_id)
        if ledger is not None:
            ledger.resume(min(max(sample, 0), ledger.synthesised))
            if reply_id == self._live:
                self._end_told = False
                self.set_growing(self._growing)

    def drop(self, reply_id: str) -> None:
        """Nothing of this reply can be handed out any more."""
        ledger = self._ledgers.pop(reply_id, None)
        if ledger is not None:
            ledger.stop()
        if reply_id == self._live:
            self._live = ""
