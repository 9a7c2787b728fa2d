"""espeak-ng's C interface (`speak_lib.h`, version 1.52) through ctypes. Blocking, one thread only."""

from __future__ import annotations

import ctypes
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

import espeakng_loader
import numpy as np
from numpy.typing import NDArray

from agent.errors import TtsError
from agent.speaking.word_times import WordStart

_AUDIO_OUTPUT_SYNCHRONOUS = 2
_INITIALIZE_DONT_EXIT = 0x8000
"""Without it the library ends the process when its data is missing."""
_POSITION_CHARACTER = 1
_CHARS_UTF8 = 1
_PARAMETER_RATE = 1
_PARAMETER_PITCH = 3
_EVENT_LIST_TERMINATED = 0
_EVENT_WORD = 1
_RATE_WPM = (80, 450)
"""Words per minute that the library accepts."""


class _Event(ctypes.Structure):
    _fields_ = (
        ("type", ctypes.c_int),
        ("unique_identifier", ctypes.c_uint),
        ("text_position", ctypes.c_int),
        ("length", ctypes.c_int),
        ("audio_position", ctypes.c_int),
        ("sample", ctypes.c_int),
        ("user_data", ctypes.c_void_p),
        ("id", ctypes.c_int64),
    )


_Callback = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_int, ctypes.POINTER(_Event))


Sink = Callable[[NDArray[np.int16], list[WordStart]], bool]
"""Takes audio, int16 mono at the engine's rate, and the words begun; false stops the engine."""


def _private_copy() -> ctypes.CDLL:
    original = Path(espeakng_loader.get_library_path())
    try:
        with tempfile.TemporaryDirectory(prefix="voice-agent-", ignore_cleanup_errors=True) as folder:
            # Once it is loaded its file may go; a killed process leaves none behind.
            return ctypes.CDLL(shutil.copy(original, folder))
    except OSError:
        pass  # a temporary folder that may not hold programs: the original does, less repeatably
    try:
        return ctypes.CDLL(str(original))
    except OSError as error:
        raise TtsError(f"espeak-ng cannot be loaded ({error}); reinstall the package espeakng-loader") from error


class EspeakLibrary:
    """One engine with state of its own.

    The library keeps its state in static variables, some of which survive even its
    re-initialisation (the flutter of the voice, for one, so the same text differs by some samples with
    what was said before). Each instance therefore loads a private copy of the shared object:
    the same calls give the same audio again, and instances do not disturb each other.
    """

    def __init__(self, voice: str, pitch: int) -> None:
        """Raises `TtsError` when the library, its data or the voice is missing."""
        self._library = _private_copy()
        data = str(espeakng_loader.get_data_path())
        self.sample_rate = int(
            self._library.espeak_Initialize(_AUDIO_OUTPUT_SYNCHRONOUS, 0, data.encode(), _INITIALIZE_DONT_EXIT)
        )
        if self.sample_rate <= 0:
            raise TtsError(f"espeak-ng cannot read its data in {data}; reinstall the package espeakng-loader")
        if self._library.espeak_SetVoiceByName(voice.encode("utf-8", "replace")) != 0:
            raise TtsError(f"espeak-ng has no voice {voice!r}; set tts.voice to one such as en-us, en-gb or en-us+f3")
        self._library.espeak_SetParameter(_PARAMETER_PITCH, pitch, 0)
        self._sink: Sink | None = None
        self._failure: BaseException | None = None
        self._callback = _Callback(self._on_audio)  # kept here, or it would be freed under the library
        self._library.espeak_SetSynthCallback(self._callback)

    def speak(self, text: str, words_per_minute: int, sink: Sink) -> None:
        """Say `text`, as plain text without markup, into `sink`. Raises `TtsError`."""
        low, high = _RATE_WPM
        self._library.espeak_SetParameter(_PARAMETER_RATE, min(max(words_per_minute, low), high), 0)
        encoded = text.encode()
        self._sink, self._failure = sink, None
        code = self._library.espeak_Synth(
            encoded, ctypes.c_size_t(len(encoded) + 1), 0, _POSITION_CHARACTER, 0, _CHARS_UTF8, None, None
        )
        self._sink = None
        if self._failure is not None:
            raise TtsError(f"speech could not be taken from espeak-ng: {self._failure!r}") from self._failure
        if code != 0:
            raise TtsError(f"espeak-ng could not say the text (its error code is {code})")

    def _on_audio(self, audio: int | None, samples: int, events: ctypes._Pointer[_Event]) -> int:
        """1 stops the engine, 0 goes on."""
        if self._sink is None:
            return 1
        try:
            pcm = np.frombuffer(ctypes.string_at(audio, 2 * samples) if audio else b"", dtype=np.int16)
            return 0 if self._sink(pcm, _word_starts(events)) else 1
        except Exception as error:
            # Nothing can be raised through C code: it is kept and raised by `speak`.
            self._failure = error
            return 1

    def close(self) -> None:
        """Free what the engine holds; the object is of no use afterwards."""
        self._library.espeak_Terminate()


def _word_starts(events: ctypes._Pointer[_Event]) -> list[WordStart]:
    starts, index = [], 0
    while (event := events[index]).type != _EVENT_LIST_TERMINATED:
        if event.type == _EVENT_WORD:
            starts.append(WordStart(max(event.text_position - 1, 0), event.sample))
        index += 1
    return starts
