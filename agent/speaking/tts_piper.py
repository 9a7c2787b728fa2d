"""piper as a synthesiser: neural voices, in a process of their own.

Phonemization holds the interpreter's lock and a sentence keeps a core busy, so the process serves all sessions,
at low priority, a sentence of each in turn. A published voice gives a sentence whole, never a part of it: what is
first heard waits for the first sentence, or the first clause of a long one. Words are placed by the lengths of the
phonemes that the voice predicts for itself; where a voice does not give them, by the usual lengths, and
`Speech.estimated` says so.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

from agent.clock import Clock
from agent.errors import ModelError, TtsError
from agent.models.folder import ModelsFolder
from agent.settings import TtsSettings
from agent.speaking.piper_process import PiperProcess
from agent.speaking.port import MAX_TEXT_CHARS, Speech

SPEEDS = (0.25, 4.0)
ENDING = ".onnx"


class PiperTts:
    """The `Tts` port on a piper voice. `models` is the models folder.

    Text is spoken as it stands. The process is started anew if it ended. Published voices draw
    random numbers: the same text does not give the same samples twice.
    """

    name = "piper"
    sample_rate = 22_050

    def __init__(self, settings: TtsSettings, models: Path, clock: Clock) -> None:
        self._settings = settings
        self._models = models
        self._clock = clock
        self._process: PiperProcess | None = None
        self._starting = asyncio.Lock()
        self._closed = True

    @property
    def pid(self) -> int | None:
        """The process id, for tests and `doctor`; None while there is none."""
        return self._process.pid if self._process is not None and self._process.alive else None

    async def start(self) -> None:
        """Load the voice and have it say something to nobody. Raises `TtsError` saying what to do."""
        self._closed = False
        try:
            await self._running()
        except TtsError:
            self._closed = True
            raise

    async def close(self) -> None:
        """End the process. Running iterators end with `TtsError`."""
        self._closed = True
        process, self._process = self._process, None
        if process is not None:
            await process.kill()

    async def synthesize(self, text: str, speed: float = 1.0) -> AsyncIterator[Speech]:
        """Stream `text` as speech, a sentence at a time, in pieces that end with a word.

        Closing the iterator returns once the process has stopped. Raises `TtsError` for a text of
        more than `MAX_TEXT_CHARS` characters, and when the process fails or is not started.
        """
        if len(text) > MAX_TEXT_CHARS:
            raise TtsError(f"a text of {len(text)} characters is too long to be said at once; send it in parts")
        process = await self._running()
        low, high = SPEEDS
        job = process.open(text, min(max(speed, low), high))
        try:
            while (pieces := await process.next(job)) is not None:
                for speech in pieces:
                    yield speech
        finally:
            await process.stop(job)

    async def _running(self) -> PiperProcess:
        async with self._starting:
            if self._closed:
                raise TtsError("piper is not running; call start() first")
            if self._process is None or not self._process.alive:
                if self._process is not None:
                    await self._process.kill()
                self._process = await self._spawn()
                self.sample_rate = self._process.sample_rate
            return self._process

    async def _spawn(self) -> PiperProcess:
        settings = self._settings
        path = self._voice()
        arguments = (str(path), settings.speaker, str(settings.threads), str(settings.noise), str(settings.noise_w))
        try:
            return await PiperProcess.spawn(arguments, self._clock)
        except TtsError as error:
            mend = "" if "tts.speaker" in str(error) else f"; {self._mend()}"
            raise TtsError(f"{error}{mend}") from error

    def _voice(self) -> Path:
        """The voice's file. Raises `TtsError` naming the command that gets it."""
        model = self._settings.model
        if model.endswith(ENDING):
            if not Path(model).is_file():
                raise TtsError(
                    f"tts.model is {model!r}, which is not there; it must be a voice's file or a model's name"
                )
            return Path(model)
        try:
            return ModelsFolder(self._models).located(model) / f"{model.removeprefix('piper-')}{ENDING}"
        except ModelError as error:
            raise TtsError(str(error)) from error

    def _mend(self) -> str:
        model = self._settings.model
        if model.endswith(ENDING):
            return "have tts.model name another voice"
        return f"run `voice-agent models verify {model}`, and `remove` and `pull` it if it is altered"
