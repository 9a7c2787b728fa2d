"""The far end of the fake transport: counts the samples that it is handed when there is nothing to be heard."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from agent.conversation.decisions import PlaybackPause, PlaybackRelease, PlaybackResume, PlaybackStop, ReplyDone
from agent.conversation.events import REPLY_RATE
from agent.session import Session

FADE_SAMPLES = REPLY_RATE * 5 // 1_000
"""In the first frame behind a cut: it keeps the cut from clicking, and is no speech."""


class Ear:
    """Listens to one session, as one process runs it."""

    def __init__(self, session: Session) -> None:
        self.heard_samples = 0
        self.ghost_samples = 0
        self._session = session
        self._seen = 0
        self._live = ""
        self._paused = False
        self._faded = True

    def listen(self) -> None:
        """Take the next frame: by the timeline so far it may be one of the reply that plays, or must be silent."""
        self._read()
        frame = self._session.next_frame()
        if self._live and not self._paused:
            self.heard_samples += _sounding(frame)
            self._faded = False
        else:
            self.ghost_samples += _sounding(frame, 0 if self._faded else FADE_SAMPLES)
            self._faded = True

    def _read(self) -> None:
        for entry in self._session.timeline.window()[self._seen - self._session.timeline.last_seq or None :]:
            if entry.seq <= self._seen:
                continue
            self._seen = entry.seq
            match entry.event:
                case PlaybackRelease():
                    self._live, self._paused = entry.event.reply_id, False
                case PlaybackPause():
                    self._paused = True
                case PlaybackResume():
                    self._paused = False
                case PlaybackStop() | ReplyDone() if entry.event.reply_id == self._live:
                    self._live = ""


def _sounding(frame: NDArray[np.int16] | None, since: int = 0) -> int:
    return 0 if frame is None else int(np.count_nonzero(frame[since:]))
