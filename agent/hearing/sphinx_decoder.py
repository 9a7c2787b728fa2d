"""Two pocketsphinx decoders over the same audio: the domain's, and the general one's."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from pocketsphinx import Decoder, get_model_path

from agent.hearing.port import HEARING_RATE
from agent.hearing.rejection import BestPath, Segment, confidence

LOG_BASE = 1.0001
"""pocketsphinx's own; its scores are integers in this base."""
FIRST_MEANS = "46,3,-1"
"""Of the features of a speaker not yet heard. The model says 40 for the first, which goes with loudness; recordings of
people and of synthetic voices have 43 to 59 there."""
SEGMENT_BYTES = HEARING_RATE * 2 * 30
"""A turn longer than 30 s is heard as several utterances, so that a decoder's tables stay small."""


@dataclass(frozen=True, slots=True)
class Heard:
    """What both decoders make of a turn: the domain's words if they are sure, else the general's."""

    text: str
    understood: bool
    confidence: float


def model_folder() -> Path:
    """The English model that pocketsphinx carries."""
    return Path(get_model_path("en-us"))


def dictionary() -> Path:
    """Its pronunciations."""
    return model_folder() / "cmudict-en-us.dict"


def decoder(language_model: Path, words: Path) -> Decoder:
    """A decoder tuned for answering while someone speaks: one pass, narrow beams.

    `words` is its pronunciation dictionary. Many more words than the model has cost three
    seconds of loading.
    """
    tuning = {"fwdflat": False, "bestpath": False, "maxhmmpf": 3_000, "maxwpf": 10}
    return Decoder(lm=str(language_model), dict=str(words), loglevel="FATAL", cmninit=FIRST_MEANS, **tuning)


class TurnDecoder:
    """Hears one turn at a time, in pieces; the answer may be had at any moment.

    The best path so far is read without closing the utterance: behind a tenth of a second of
    silence it is what closing would give, and more speech may follow without decoding again.

    Features are taken relative to their mean over time, which is the speaker's, the microphone's and
    the room's (cepstral mean normalisation). A short command is too short to find it, so it is carried
    from turn to turn, and turns in which nothing was heard leave it as it was.
    """

    def __init__(self, domain_model: Path, domain_words: Path, rejection: float) -> None:
        self._domain = decoder(domain_model, domain_words)
        self._general = decoder(model_folder() / "en-us.lm.bin", dictionary())
        self._rejection = rejection
        self._both = (self._domain, self._general)
        nobodys = self._means = [each.get_cmn(False) for each in self._both]
        self._bytes = 0
        self._earlier: list[Heard] = []
        self._warm_up()
        self._means = nobodys

    def _warm_up(self) -> None:
        """The first words decoded page the models in, which can take a second: not when someone speaks."""
        noise = np.random.default_rng(1).normal(0.0, 2_000.0, HEARING_RATE).astype("<i2")
        self.push(noise.tobytes())
        self.settle()
        self.reset()

    def push(self, samples: bytes) -> str:
        """Decode a piece (int16 little-endian); the domain's text so far."""
        if self._bytes > SEGMENT_BYTES:
            self._earlier.append(self._judge())
            self._end()
        for each, means in zip(self._both, self._means, strict=True):
            if self._bytes == 0:
                each.reinit_feat()
                each.set_cmn(means)
                each.start_utt()
            each.process_raw(samples, False, False)
        self._bytes += len(samples)
        found = self._domain.hyp()
        return _joined([heard.text for heard in self._earlier] + ([found.hypstr] if found else []))

    def settle(self) -> Heard:
        """The best text of the whole turn so far."""
        parts = [*self._earlier, self._judge()] if self._bytes else self._earlier
        text = _joined([part.text for part in parts])
        if not text:
            return Heard("", False, 0.0)
        said = [part for part in parts if part.text]
        return Heard(text, all(part.understood for part in said), min(part.confidence for part in said))

    def reset(self) -> None:
        """Forget the turn."""
        self._earlier.clear()
        self._end()

    def best_paths(self) -> tuple[BestPath, BestPath]:
        """The domain's and the general decoder's, of the utterance so far."""
        return _best_path(self._domain), _best_path(self._general)

    def _end(self) -> None:
        if self._bytes:
            heard = self._judge()
            for each in self._both:
                each.end_utt()
            if heard.text:
                self._means = [each.get_cmn(False) for each in self._both]
        self._bytes = 0

    def _judge(self) -> Heard:
        domain, general = self.best_paths()
        sure = confidence(domain, general)
        if domain.text and sure >= self._rejection:
            return Heard(domain.text, True, sure)
        return Heard(general.text if general.plausible else "", False, sure)


def _joined(texts: list[str]) -> str:
    return " ".join(text for text in texts if text)


def _best_path(from_decoder: Decoder) -> BestPath:
    found = from_decoder.hyp()
    if found is None:
        return BestPath("", 0.0, ())
    segments = [Segment(part.word, part.start_frame, part.end_frame) for part in from_decoder.seg()]
    score = math.log(found.score) / math.log(LOG_BASE) if found.score > 0 else -math.inf
    return BestPath(found.hypstr, score, segments)
