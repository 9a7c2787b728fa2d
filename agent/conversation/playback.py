"""What of a reply was said, sent and heard, in reply samples."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from agent.conversation.events import REPLY_RATE, Phase, TtsChunk, Word

State = Literal["waiting", "playing", "paused", "ended"]

SENTENCE_ENDS = (".", "!", "?", "…")


@dataclass(slots=True)
class Said:
    """One chunk that speaking was asked to say; `audio` once it is synthesised."""

    text: str
    phase: Phase
    rests_on: tuple[str, ...]
    audio: TtsChunk | None = None
    failed: bool = False
    lost: str = ""
    """The end of the text, where synthesis broke off behind words that had been played."""


@dataclass(slots=True)
class Playback:
    """The playback machine of one reply.

    state     on                        becomes
    waiting   first sample sent         playing
    waiting   pause                     paused
    playing   pause                     paused
    paused    resume                    playing, or waiting if nothing was ever sent
    any       stop, or all was sent     ended
    """

    said: list[Said] = field(default_factory=list)
    state: State = "waiting"
    sent_samples: int = 0
    begun: bool = False
    """A sample left the playout at some time."""

    def say(self, text: str, phase: Phase, rests_on: tuple[str, ...]) -> int:
        """Add a chunk to be synthesised; its index."""
        self.said.append(Said(text, phase, rests_on))
        return len(self.said) - 1

    def started(self) -> None:
        self.begun = True
        if self.state == "waiting":
            self.state = "playing"

    def mark(self, sample: int) -> None:
        """Marks can be late or repeated; the position never runs backwards by itself."""
        self.begun = self.begun or sample > 0
        if self.state != "ended":
            self.sent_samples = max(self.sent_samples, sample)

    def pause(self) -> None:
        if self.state != "ended":
            self.state = "paused"

    def resume(self, sample: int) -> None:
        if self.state == "paused":
            self.sent_samples = sample
            self.state = "playing" if self.begun else "waiting"

    def synthesised(self, chunk: TtsChunk) -> None:
        """A chunk lies in the playout: whole, or as far as its synthesis came."""
        if chunk.chunk < len(self.said):
            said = self.said[chunk.chunk]
            said.audio, said.failed = chunk, False  # even if it was given up: it comes after all
            if chunk.text != said.text and said.text.startswith(chunk.text):
                said.text, said.lost = chunk.text, said.text[len(chunk.text) :].strip()

    def failed(self, chunk: int) -> None:
        """A chunk will not be synthesised, or no further than its audio so far, which says itself how far."""
        if chunk < len(self.said) and self.said[chunk].audio is None:
            self.said[chunk].failed = True

    def give_up(self) -> None:
        """What has not been synthesised will not be waited for."""
        for said in self.said:
            said.failed = said.failed or said.audio is None

    @property
    def total_samples(self) -> int:
        """The end of what has been synthesised so far."""
        return max((s.audio.start_sample + s.audio.samples for s in self.said if s.audio), default=0)

    @property
    def ready(self) -> bool:
        """There is audio that has not left the playout."""
        return self.sent_samples < self.total_samples

    @property
    def all_synthesised(self) -> bool:
        return all(s.audio is not None or s.failed for s in self.said)

    @property
    def all_sent(self) -> bool:
        """Everything that was asked for has been synthesised and has left the playout."""
        return self.all_synthesised and self.sent_samples >= self.total_samples

    @property
    def said_text(self) -> str:
        return " ".join(s.text for s in self.said if s.text and not s.failed)

    @property
    def lost_text(self) -> str:
        """What was to be said and could not be synthesised."""
        return " ".join(filter(None, (s.text if s.failed else s.lost for s in self.said)))

    def heard(self, sample: int) -> tuple[str, str]:
        """The text whose words had ended by `sample`, and the rest. A word half heard is not heard."""
        heard: list[str] = []
        rest: list[str] = []
        for said in self.said:
            if said.failed:
                continue
            end = _heard_chars(said, sample) if not rest else 0
            if end:
                heard.append(said.text[:end].rstrip())
            if left := said.text[end:].strip():
                rest.append(left)
        return " ".join(heard), " ".join(rest)

    def resume_point(self, sample: int, at: str) -> int:
        """Where to play on from `sample`: there, or at the start of the word that it cut."""
        if at == "sample":
            return sample
        for word in self._words():
            if word.start_sample < sample < word.end_sample:
                return word.start_sample
        return sample

    def sentence_end(self) -> int | None:
        """The reply sample at which the sentence that is being played ends; None while that is not known."""
        if not self.said:
            return None
        for said in self.said:
            if said.audio is None:
                if not said.failed:
                    return None
                continue
            end = said.audio.start_sample + said.audio.samples
            if end > self.sent_samples and said.text.rstrip(" \"')")[-1:] in SENTENCE_ENDS:
                return end
        return self.total_samples

    def claims(self, result_event_id: str) -> bool:
        """Whether anything that was said rests on this result."""
        return any(result_event_id in s.rests_on for s in self.said)

    def claimed_on(self, result_event_id: str, sample: int) -> bool:
        """Whether a claim resting on this result had begun to be heard by `sample`."""
        return any(result_event_id in s.rests_on and self.begun_by(i, sample) for i, s in enumerate(self.said))

    def begun_by(self, chunk: int | None, sample: int) -> bool:
        """Whether this chunk had begun to be heard by `sample`."""
        audio = self.said[chunk].audio if chunk is not None else None
        return audio is not None and audio.start_sample < sample

    def _words(self) -> list[Word]:
        return [word for s in self.said if s.audio for word in s.audio.words]


def _heard_chars(said: Said, sample: int) -> int:
    if said.audio is None:
        return 0
    if said.audio.start_sample + said.audio.samples <= sample:
        return len(said.text)
    return max((word.text_end for word in said.audio.words if word.end_sample <= sample), default=0)


def samples_to_ms(samples: int) -> int:
    return samples * 1_000 // REPLY_RATE
