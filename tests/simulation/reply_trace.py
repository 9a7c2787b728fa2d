"""What a timeline has said of one reply so far."""

from __future__ import annotations

from dataclasses import dataclass, field

from agent.conversation import events as e


@dataclass
class ReplyTrace:
    committed: bool
    done: str = ""
    released: bool = False
    said: dict[int, str] = field(default_factory=dict)
    stopped: bool = False
    chunks: dict[int, e.TtsChunk] = field(default_factory=dict)
    sent: int = 0
    """The furthest sample that ever left the playout."""
    text: str | None = None
    """The user's words that it answers."""
    heard: str = ""
    since_seq: int = 0
    """Where it was released."""

    def audible(self) -> str:
        """What can have been heard at most: words that had been sent whole."""
        heard = []
        for _, chunk in sorted(self.chunks.items()):
            ends = [word.text_end for word in chunk.words if word.end_sample <= self.sent]
            whole = chunk.start_sample + chunk.samples <= self.sent
            heard.append(chunk.text if whole else chunk.text[: max(ends, default=0)])
        return "".join(heard).replace(" ", "")
