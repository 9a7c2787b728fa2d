"""A model's text as a voice can say it: without markdown, emoji, addresses and its thinking aloud.

Models write for screens, whatever they are told. The text comes in pieces that may be cut anywhere, in the
middle of a link or an asterisk; what comes out is the same however it was cut. A word is held back until
what follows it has come, a link or a tag until it ends.
"""

from __future__ import annotations

import re

MAX_HELD_CHARS = 600
"""What is still open after so many characters is taken as it stands."""

_EMOJI = "\U0001f000-\U0001faff\u2600-\u27bf\u2b00-\u2bff\u231a-\u23ff\U000e0020-\U000e007f"
_PICTURES = re.compile(f"[{_EMOJI}][{_EMOJI}\ufe0f\u200d]*|[\ufe0e\ufe0f\u20e3]")
_UNSPEAKABLE = re.compile("[\x00-\x08\x0b-\x1f\x7f\ud800-\udfff]")
_LINK = re.compile(r"!?\[([^\[\]\n]*)\]\(([^()\s]*)\)")
_LINK_BEGUN = re.compile(r"!?(?:\[(?:[^\[\]\n]*(?:\](?:\([^()\s]*)?)?)?)?")
_TAG = re.compile(r"</?([a-zA-Z]+)[^<>\n]*>")
_TAG_BEGUN = re.compile(r"<(?:/?[a-zA-Z]*|/?[a-zA-Z]+[^<>\n]*)")
_WORD = re.compile(r"[^\s\[<]+")
_ADDRESS = re.compile(r"(?:https?://|www\.)(?:www\.)?([^\s/?#]+?)(?:[/?#][^\s]*?)?([.,;:!?)\]\"']*)$")
_POWER = re.compile(r"(?<=\d)\*\*(?=\d)")
_TIMES = re.compile(r"(?<=\d)\*(?=\d)")
_MARKS = re.compile(r"[*`]+|~~")
_UNDERLINES = re.compile(r"(?<![A-Za-z0-9_])_+(?=\S)|_+(?![A-Za-z0-9_])")
_ESCAPES = re.compile(r"\\(?=[*_`#~\[\]()>.!+-])")
_BULLET = re.compile(r"[-*+•–>]|#{1,6}")
_RULE = re.compile(r"[-*_=]{3,}|[|:-]{3,}|```\w*|~~~\w*")
_NUMBER = re.compile(r"(\d{1,2})[.)]")
THOUGHTS = frozenset(("think", "thinking", "thought", "reasoning"))
"""Tags around what the model says to itself."""


class Speakable:
    """Cleans one stream of text."""

    def __init__(self) -> None:
        self._raw = ""
        self._line_start = True
        self._last = "\n"
        """The last character that was given out."""
        self._thought = ""
        """The tag of the thought that goes on."""

    def push(self, text: str) -> str:
        """Add a piece; what can be said by now, perhaps nothing."""
        self._raw += text
        return self._settled(ended=False)

    def flush(self) -> str:
        """The text has ended, or goes on after something else: the rest of it."""
        return self._settled(ended=True)

    def _settled(self, *, ended: bool) -> str:
        found = []
        while self._raw:
            forced = ended or len(self._raw) > MAX_HELD_CHARS
            length, text = self._thinking(forced=forced) if self._thought else self._next(forced=forced)
            if not length:
                break
            self._raw = self._raw[length:]
            found.append(self._given(text))
        return "".join(found)

    def _next(self, *, forced: bool) -> tuple[int, str]:
        """How much of the beginning is settled, and what is said instead of it."""
        raw, first = self._raw, self._raw[0]
        if first.isspace():
            return 1, "\n" if first in "\n\r" else " "
        if link := _LINK.match(raw):
            return link.end(), self._unmarked(link[1])
        if first in "![" and not forced and _LINK_BEGUN.fullmatch(raw):
            return 0, ""
        if tag := _TAG.match(raw):
            self._thought = tag[1].lower() if tag[1].lower() in THOUGHTS and raw[1] != "/" else ""
            return tag.end(), ""
        if first == "<" and not forced and _TAG_BEGUN.fullmatch(raw):
            return 0, ""
        length = word.end() if (word := _WORD.match(raw)) else 1
        if length == len(raw) and not forced:
            return 0, ""
        return length, self._word(raw[:length], raw[length : length + 1])

    def _thinking(self, *, forced: bool) -> tuple[int, str]:
        """Nothing of a thought is said."""
        raw, end = self._raw, f"</{self._thought}>"
        at = raw.lower().find(end)
        if at >= 0:
            self._thought = ""
            return at + len(end), ""
        return len(raw) if forced else max(0, len(raw) - len(end) + 1), ""

    def _word(self, word: str, behind: str) -> str:
        if self._line_start and behind in (" ", "\t", "\n", "\r", ""):
            if _RULE.fullmatch(word) or (_BULLET.fullmatch(word) and behind):
                return ""
            if (number := _NUMBER.fullmatch(word)) and behind == " ":
                return f"{number[1]},"
        if word == "*":
            return "times"
        return self._unmarked(word)

    def _unmarked(self, text: str) -> str:
        if _RULE.fullmatch(text) or text == "|":
            return ""
        text = _ADDRESS.sub(r"\1\2", _UNSPEAKABLE.sub("", _PICTURES.sub("", text)))
        text = _TIMES.sub(" times ", _POWER.sub(" to the power of ", _ESCAPES.sub("", text)))
        return _UNDERLINES.sub("", _MARKS.sub("", text))

    def _given(self, text: str) -> str:
        """One space between words, one end of a line, none in front."""
        if text == " " and self._last.isspace():
            return ""
        if text == "\n":
            self._line_start = True
            if self._last == "\n":
                return ""
        elif text and text != " ":
            self._line_start = False
        self._last = text[-1:] or self._last
        return text
