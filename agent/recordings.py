"""The audio of stored sessions, beside their timelines.

    TIMELINE-audio/SESSION/START.wav     stereo, 16 bit, 16 kHz: the user left, the agent right

START is the session time of the file's first sample, in milliseconds. A session that was taken up again has
one file for each time that it went on.
"""

from __future__ import annotations

import re
import shutil
import wave
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from agent.errors import StoreError

RATE = 16_000
CHANNELS = 2
_SAMPLE_BYTES = 2 * CHANNELS
_SESSION = re.compile(r"[A-Za-z0-9_-]{1,64}")
_NAME = re.compile(r"\d{1,15}\.wav")


@dataclass(frozen=True, slots=True)
class Part:
    """One file of a session. `start_ms` is session time."""

    path: Path
    start_ms: int
    duration_ms: int


class Recordings:
    """The folder of all recordings; it need not exist."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @classmethod
    def beside(cls, timeline: Path) -> Recordings:
        return cls(timeline.with_name(f"{timeline.name}-audio"))

    def parts(self, session_id: str) -> list[Part]:
        """The files of a session that can be read, in order."""
        found = []
        for path in self._files(session_id):
            try:
                with wave.open(str(path)) as file:
                    frames = file.getnframes() * 1_000 // file.getframerate()
            except (OSError, EOFError, wave.Error):
                continue
            found.append(Part(path, int(path.stem), frames))
        return sorted(found, key=lambda part: part.start_ms)

    def seconds(self, session_id: str) -> float:
        return sum(part.duration_ms for part in self.parts(session_id)) / 1_000

    def new(self, session_id: str, start_ms: int) -> Path:
        """Where a recording that begins at `start_ms` goes. Raises `StoreError`."""
        folder = self._of(session_id)
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise StoreError(f"{folder} cannot be made: {error.strerror}; sessions.record needs it") from error
        return folder / f"{start_ms}.wav"

    def delete(self, session_id: str) -> bool:
        """Erase the audio of a session; whether there was any. Raises `StoreError`."""
        folder = self._of(session_id)
        if not folder.is_dir():
            return False
        try:
            shutil.rmtree(folder)
        except OSError as error:
            raise StoreError(f"{folder} cannot be deleted: {error.strerror}") from error
        return True

    def check(self, stored: Iterable[str]) -> list[str]:
        """What is wrong: audio without its session, files that cannot be read."""
        if not self.folder.is_dir():
            return []
        known, found = set(stored), []
        for folder in sorted(self.folder.iterdir()):
            if folder.name not in known:
                found.append(f"{folder} is the audio of a session that is not stored: delete it")
                continue
            whole = {part.path for part in self.parts(folder.name)}
            found += [f"{path} cannot be read as audio" for path in self._files(folder.name) if path not in whole]
        return found

    def _of(self, session_id: str) -> Path:
        if not _SESSION.fullmatch(session_id):
            raise StoreError(f"{session_id!r:.80} is no session id")
        return self.folder / session_id

    def _files(self, session_id: str) -> list[Path]:
        folder = self._of(session_id)
        return [path for path in folder.iterdir() if _NAME.fullmatch(path.name)] if folder.is_dir() else []
