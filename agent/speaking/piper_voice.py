"""A piper voice: an ONNX model and the JSON beside it. Blocking; for a process of its own."""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import onnxruntime
from numpy.typing import NDArray
from piper.config import PhonemeType, PiperConfig
from piper.const import BOS, EOS, PAD
from piper.voice import PiperVoice as Phonemizer

from agent.errors import TtsError
from agent.speaking.onnx_outputs import with_durations

RATES_HZ = range(8_000, 48_001)
_INPUTS = {"input", "input_lengths", "scales"}
_QUIET = 1e-8
_GUESSED_HOPS = {" ": 0.5, "ˈ": 0.0, "ˌ": 0.0, "ː": 0.7, ",": 3.0, ".": 4.0, "!": 4.0, "?": 4.0, ":": 3.0, ";": 3.0}
"""How long a phoneme is against others, where the voice does not say it."""

logging.getLogger("piper").setLevel(logging.ERROR)  # it warns of every phoneme that a voice does not know


@dataclass(frozen=True, slots=True)
class Scales:
    """What a voice is told beside the phonemes. Noises are shares of its own, `length` of its own length."""

    length: float = 1.0
    noise: float = 1.0
    noise_w: float = 1.0


@dataclass(frozen=True, slots=True)
class Said:
    """One sentence: int16 mono, and the sample at which each of its phonemes begins. `estimated`: placed by
    their usual length, for the voice does not say."""

    pcm: NDArray[np.int16]
    starts: list[int]
    estimated: bool


class StoppedError(Exception):
    """The sentence was not wanted any more."""


class PiperVoice:
    """Loaded and ready. Everything raises `TtsError` with what is wrong."""

    def __init__(self, path: Path, speaker: str, threads: int) -> None:
        config = _config(path)
        self.sample_rate = config.sample_rate
        self._config = config
        self._speaker = _speaker_id(config, speaker)
        self._phonemizer = Phonemizer(session=_session(path, threads), config=config)
        self._session = self._phonemizer.session
        self._run_options = onnxruntime.RunOptions()
        self.token = lru_cache(4_096)(self._token)

    def sentences(self, text: str) -> list[list[str]]:
        """The phonemes of each sentence. Brackets that would mark phonemes are text."""
        return [found for found in self._phonemizer.phonemize(text.replace("[[", "[ ")) if found]

    def _token(self, token: str) -> tuple[str, ...]:
        return tuple(phoneme for sentence in self.sentences(token) for phoneme in sentence)

    def say(self, phonemes: Sequence[str], scales: Scales) -> Said:
        """Raises `StoppedError` when `stop` was called meanwhile, `TtsError`."""
        ids, places = self._ids(phonemes)
        config = self._config
        inputs = {
            "input": np.array([ids], dtype=np.int64),
            "input_lengths": np.array([len(ids)], dtype=np.int64),
            "scales": np.array(
                [
                    config.noise_scale * scales.noise,
                    config.length_scale * scales.length,
                    config.noise_w_scale * scales.noise_w,
                ],
                dtype=np.float32,
            ),
        }
        if self._speaker is not None:
            inputs["sid"] = np.array([self._speaker], dtype=np.int64)
        options = self._run_options
        try:
            audio, *more = self._session.run(None, inputs, options)
        except Exception as error:
            # The library raises what it likes, and the same for a run that was stopped.
            if options.terminate:
                raise StoppedError from None
            raise TtsError(f"the voice could not say a sentence: {error}") from error
        pcm = _int16(np.asarray(audio).reshape(-1))
        hops = np.asarray(more[0], dtype=np.float64).reshape(-1) if more else np.zeros(0)
        estimated = len(hops) != len(ids)
        if estimated:
            hops = self._guessed(phonemes, places, len(ids))
            hops *= len(pcm) / config.hop_length / max(hops.sum(), 1.0)
        begins = np.concatenate(([0.0], np.cumsum(hops * config.hop_length)))
        return Said(pcm, [min(int(begins[place]), len(pcm)) for place in places], estimated)

    def stop(self) -> None:
        """From another thread: end the sentence that is being said, between two of the model's operations."""
        self._run_options.terminate = True

    def ready(self) -> None:
        """Before a sentence: whatever was stopped before is past."""
        self._run_options = onnxruntime.RunOptions()

    def _ids(self, phonemes: Sequence[str]) -> tuple[list[int], list[int]]:
        """The ids for the model, and for each phoneme the place of its first one, or of what comes behind it."""
        known = self._config.phoneme_id_map
        pad = known.get(PAD, [])
        ids, places = [*known.get(BOS, []), *pad], []
        for phoneme in phonemes:
            places.append(len(ids))
            if phoneme in known:
                ids += [*known[phoneme], *pad]
        return [*ids, *known.get(EOS, [])], places

    @staticmethod
    def _guessed(phonemes: Sequence[str], places: Sequence[int], count: int) -> NDArray[np.float64]:
        hops = np.zeros(count)
        for phoneme, place in zip(phonemes, places, strict=True):
            hops[min(place, count - 1)] += _GUESSED_HOPS.get(phoneme, 1.0)
        return hops


def _int16(audio: NDArray[np.float32]) -> NDArray[np.int16]:
    """At full level, as piper gives it."""
    peak = float(np.max(np.abs(audio), initial=0.0))
    if not peak > _QUIET:
        return np.zeros(len(audio), dtype=np.int16)
    return np.asarray(audio * (32_767.0 / peak), dtype=np.int16)


def _config(path: Path) -> PiperConfig:
    beside = path.with_name(f"{path.name}.json")
    try:
        config = PiperConfig.from_dict(json.loads(beside.read_text(encoding="utf-8")))
    except OSError as error:
        raise TtsError(f"the voice's settings {beside} cannot be read: {error.strerror}") from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise TtsError(f"{beside} is not the settings of a piper voice ({error!r})") from error
    if config.phoneme_type not in (PhonemeType.ESPEAK, PhonemeType.TEXT):
        raise TtsError(f"{path.name} speaks {config.phoneme_type.value} phonemes; espeak and text are supported")
    if config.sample_rate not in RATES_HZ:
        raise TtsError(f"{beside} names a sample rate of {config.sample_rate} Hz")
    return config


def _session(path: Path, threads: int) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    # Threads that wait by spinning would take the processor from the media clock.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.log_severity_level = 3
    try:
        model = with_durations(path.read_bytes())
        session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    except OSError as error:
        raise TtsError(f"the voice {path} cannot be read: {error.strerror}") from error
    except Exception as error:
        # The library has exceptions of its own for what a file can hold, without a common base.
        raise TtsError(f"{path} is not a voice that can be loaded: {str(error)[:200]}") from error
    if missing := _INPUTS - {one.name for one in session.get_inputs()}:
        raise TtsError(f"{path} is no piper voice: it has no input {', '.join(sorted(missing))}")
    return session


def _speaker_id(config: PiperConfig, speaker: str) -> int | None:
    """Raises `TtsError` for one that the voice does not have."""
    if config.num_speakers <= 1:
        if speaker:
            raise TtsError(f"tts.speaker is {speaker!r}, but the voice has only one; leave it empty")
        return None
    if not speaker:
        return config.default_speaker_id
    if speaker in config.speaker_id_map:
        return config.speaker_id_map[speaker]
    if speaker.isdecimal() and int(speaker) < config.num_speakers:
        return int(speaker)
    some = ", ".join(list(config.speaker_id_map)[:5])
    raise TtsError(f"tts.speaker is {speaker!r}; the voice has 0 to {config.num_speakers - 1}, named {some} …")
