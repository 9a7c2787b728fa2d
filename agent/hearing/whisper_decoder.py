"""A Whisper model on CTranslate2, asked for one stretch of audio at a time.

`faster_whisper.WhisperModel.transcribe` pads every stretch to 30 s, which is most of the work for a
short request. CTranslate2's encoder takes any length, so this pads to `min_context_ms` and calls the
parts of faster-whisper by themselves. Its `generate` cannot be cancelled: the length of the text is
bounded by that of the audio.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from ctranslate2 import StorageView
from faster_whisper import WhisperModel
from faster_whisper.tokenizer import Tokenizer
from faster_whisper.transcribe import get_suppressed_tokens

from agent.errors import AsrError
from agent.hearing.port import HEARING_RATE, HeardWord
from agent.hearing.whisper_protocol import Request, Transcript

FRAME_SAMPLES = HEARING_RATE // 100
MAX_FRAMES = 3_000
MAX_CONTEXT_TOKENS = 100
TOKENS_PER_S = 12
"""More than anybody says; what goes beyond is a loop."""
SPARE_TOKENS = 8
FILES = ("model.bin", "config.json", "tokenizer.json")
"""Without the last one faster-whisper would go to the network."""


class WhisperDecoder:
    """`transcribe` for one request after the other; nothing is kept between them."""

    def __init__(
        self, folder: Path, *, compute_type: str, threads: int, beam: int, language: str, min_context_ms: int
    ) -> None:
        """Loads the model. Raises `AsrError` when its files are incomplete, broken, or of another kind."""
        missing = [name for name in FILES if not (folder / name).is_file()]
        if missing:
            raise AsrError(f"the model in {folder} is incomplete: {', '.join(missing)} missing")
        try:
            self._model = WhisperModel(
                str(folder), device="cpu", compute_type=compute_type, cpu_threads=threads, local_files_only=True
            )
            multilingual = self._model.model.is_multilingual
            self._tokenizer = Tokenizer(self._model.hf_tokenizer, multilingual, "transcribe", language)
            self._suppressed = list(get_suppressed_tokens(self._tokenizer, [-1]) or ())
        except Exception as error:  # CTranslate2, tokenizers and faster-whisper raise what they like
            raise AsrError(f"the model in {folder} cannot be loaded: {error}") from error
        self._beam = beam
        self._min_frames = min_context_ms // 10

    def transcribe(self, request: Request) -> Transcript:
        """The text of the request's samples, of which at most 30 s count."""
        features, frames = self._features(request.samples)
        heard = self._model.model.encode(StorageView.from_array(features))
        prompt, prefix = self._prompt(request)
        budget = SPARE_TOKENS + TOKENS_PER_S * frames // 100
        found = self._model.model.generate(
            heard,
            [prompt],
            beam_size=self._beam,
            max_length=min(len(prompt) + budget, self._model.max_length),
            return_scores=True,
            return_no_speech_prob=True,
            suppress_blank=not prefix,
            suppress_tokens=self._suppressed,
        )[0]
        # CTranslate2 gives the prefix back with what it found behind it.
        tokens = [token for token in found.sequences_ids[0] if token < self._tokenizer.eot]
        # The score is the mean over the text's tokens; the token that ends it counts as one more.
        log_probability = found.scores[0] * len(tokens) / (len(tokens) + 1)
        return Transcript(self._words(heard, tokens, frames), found.no_speech_prob, log_probability)

    def _features(self, samples: bytes) -> tuple[np.ndarray[tuple[int, ...], np.dtype[np.float32]], int]:
        """Log-mel features (1, mels, frames), padded as faster-whisper does, and how many frames are audio."""
        pcm = np.frombuffer(samples, "<i2")[-MAX_FRAMES * FRAME_SAMPLES :].astype(np.float32) / 32_768
        pcm = np.pad(pcm, (0, max(4 * FRAME_SAMPLES - pcm.size, 0)))  # less has no spectrum
        mels = self._model.feature_extractor(pcm)[:, :MAX_FRAMES]
        frames = mels.shape[1]
        wanted = min(max(self._min_frames, frames + frames % 2), MAX_FRAMES)
        return np.pad(mels, ((0, 0), (0, wanted - frames)))[None].astype(np.float32), frames

    def _prompt(self, request: Request) -> tuple[list[int], list[int]]:
        """The decoder's prompt, and the prefix that ends it."""
        tokenizer = self._tokenizer
        context = tokenizer.encode(f" {request.context}")[-MAX_CONTEXT_TOKENS:] if request.context else []
        prefix = tokenizer.encode(f" {request.prefix}") if request.prefix else []
        before = [tokenizer.sot_prev, *context] if context else []
        return [*before, *tokenizer.sot_sequence, tokenizer.no_timestamps, *prefix], prefix

    def _words(self, heard: StorageView, tokens: list[int], frames: int) -> tuple[HeardWord, ...]:
        if not tokens:
            return ()
        (found,) = self._model.find_alignment(self._tokenizer, [tokens], heard, frames)
        words: list[HeardWord] = []
        for word in found:
            text, start_ms, end_ms = word["word"], round(word["start"] * 1000), round(word["end"] * 1000)
            if words and not text.startswith(" "):  # punctuation, or the rest of a word
                words[-1] = HeardWord(words[-1].text + text, words[-1].start_ms, end_ms)
            elif text.strip():
                words.append(HeardWord(text.strip(), start_ms, end_ms))
        return tuple(words)
