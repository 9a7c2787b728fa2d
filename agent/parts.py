"""What a program brings to the agent itself, beside what its settings name."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from agent.hearing.port import Asr, Vad
from agent.speaking.port import Tts
from agent.thinking.port import Brain


@dataclass(frozen=True, slots=True)
class Parts:
    """An engine is an object or its class, which is called with the settings of its table and the clock. Of the voice
    activity it is the class: every conversation has its own. `tools`: each a tool or a list of them."""

    tools: Sequence[object] = ()
    brain: Brain | type[Brain] | None = None
    asr: Asr | type[Asr] | None = None
    tts: Tts | type[Tts] | None = None
    vad: type[Vad] | None = None
