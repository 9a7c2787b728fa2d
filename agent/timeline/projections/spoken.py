"""One reply's words on their way: said, synthesised, heard; and where these disagree.

    heard_not_said          what was marked heard does not begin like what was said
    heard_not_synthesised   more was marked heard than there is audio of
    shown_not_spoken        a chunk is shown with one text and was synthesised from another

Whitespace does not count: chunks are joined by a space that nobody says. A chunk that could not
be synthesised is no disagreement, because the transcript leaves out what was lost; nor is audio
missed where the user could only read (`shown`).
"""

from __future__ import annotations

from dataclasses import dataclass, field

from agent.conversation.decisions import PlaybackStop, TtsSay
from agent.conversation.events import REPLY_RATE, Event, TtsChunk, TtsFailed

KINDS = ("heard_not_said", "heard_not_synthesised", "shown_not_spoken")


@dataclass(frozen=True, slots=True)
class Mismatch:
    """`kind` is one of `KINDS`; `expected` and `found` are what disagrees, for people."""

    kind: str
    expected: str
    found: str


@dataclass(slots=True)
class Spoken:
    """A fold over the events of one reply, in order."""

    shown: dict[int, str] = field(default_factory=dict)
    """By chunk: what `tts.say` asked for."""
    audio: dict[int, TtsChunk] = field(default_factory=dict)
    failed: set[int] = field(default_factory=set)
    stop: PlaybackStop | None = None

    def apply(self, event: Event) -> None:
        match event:
            case TtsSay():
                self.shown[event.chunk] = event.text
            case TtsChunk():
                self.audio[event.chunk] = event
            case TtsFailed():
                self.failed.add(event.chunk)
            case PlaybackStop():
                self.stop = event

    @property
    def asked_text(self) -> str:
        """All that was to be said, whatever became of it."""
        return " ".join(self.shown[chunk] for chunk in sorted(self.shown))

    @property
    def said_text(self) -> str:
        """What was said or still will be: without what could not be synthesised."""
        texts = (self._text(chunk) for chunk in sorted(self.shown.keys() | self.audio.keys()))
        return " ".join(filter(None, texts))

    @property
    def synthesised_text(self) -> str:
        """What there is audio of, up to the first chunk that is still awaited."""
        texts: list[str] = []
        for chunk in sorted(self.shown.keys() | self.audio.keys()):
            if chunk in self.audio:
                texts.append(self.audio[chunk].text)
            elif chunk not in self.failed:
                break
        return " ".join(texts)

    @property
    def synthesised_ms(self) -> int:
        end = max((audio.start_sample + audio.samples for audio in self.audio.values()), default=0)
        return end * 1_000 // REPLY_RATE

    def mismatches(self) -> list[Mismatch]:
        """Every disagreement so far, in the order of `KINDS`."""
        found = [*self._heard_too_much(self.stop)] if self.stop is not None else []
        for chunk, audio in sorted(self.audio.items()):
            shown = self.shown.get(chunk, "")
            if shown != audio.text and chunk not in self.failed:
                found.append(Mismatch("shown_not_spoken", shown, audio.text))
        return found

    def _heard_too_much(self, stop: PlaybackStop) -> list[Mismatch]:
        found: list[Mismatch] = []
        heard = _letters(stop.heard_text)
        if not _letters(self.said_text).startswith(heard):
            found.append(Mismatch("heard_not_said", self.said_text, stop.heard_text))
        there_ms = self.synthesised_ms
        if stop.method == "shown":
            return found
        if stop.heard_ms > there_ms or len(heard) > len(_letters(self.synthesised_text)):
            there, marked = f"{there_ms} ms: {self.synthesised_text}", f"{stop.heard_ms} ms: {stop.heard_text}"
            found.append(Mismatch("heard_not_synthesised", there, marked))
        return found

    def _text(self, chunk: int) -> str:
        if chunk in self.audio:
            return self.audio[chunk].text
        return "" if chunk in self.failed else self.shown[chunk]


def _letters(text: str) -> str:
    return "".join(text.split())
