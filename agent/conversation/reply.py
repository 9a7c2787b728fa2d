"""One reply of the agent: model steps, tool calls, text on its way to the ear."""

from __future__ import annotations

from dataclasses import dataclass, field

from agent.conversation.actions import Action
from agent.conversation.chunker import Chunker
from agent.conversation.grounds import Grounds
from agent.conversation.playback import Playback


@dataclass(slots=True)
class Correction:
    """A result of this reply turned out wrong. `chunk`: where that is said, once it is."""

    corrects: str
    """Event id of the wrong result."""
    text: str
    cause_id: str
    chunk: int | None = None

    def owed(self, playback: Playback, heard_samples: int) -> bool:
        """A wrong claim was heard and its correction was not."""
        return playback.claimed_on(self.corrects, heard_samples) and not playback.begun_by(self.chunk, heard_samples)


@dataclass(slots=True)
class Reply:
    """The state of the live reply.

    A reply is *thinking* while `model_running` or a call of the current step is not over, then
    *draining* until all of its audio was sent. It is *speculative* until `committed`.
    """

    reply_id: str
    turn_id: str
    text: str
    """The user's words that it answers; empty for an announcement."""
    understood: bool
    committed: bool
    by_hand: bool
    """Those were typed: who wrote them can take them back by hand, too."""
    context: tuple[str, ...]
    """Event ids of the conversation before this reply."""
    chunker: Chunker
    playback: Playback = field(default_factory=Playback)
    step: int = 0
    model_running: bool = False
    calls: dict[str, Action] = field(default_factory=dict)
    """All calls of all steps, by call id."""
    step_calls: list[str] = field(default_factory=list)
    results: list[str] = field(default_factory=list)
    """Event ids of calls and results, as later steps are given them."""
    held_text: str = ""
    """Text that the model wrote behind a call: a claim may rest on the result, so it waits."""
    chars: int = 0
    corrections: list[Correction] = field(default_factory=list)
    grounds: Grounds = field(default_factory=Grounds)
    failed: bool = False
    """It was given up: nothing more of it begins."""
    since_seq: int = 0
    """The place on the timeline of its `playback.release`: who has not seen that far does not know of it."""

    @property
    def calls_pending(self) -> bool:
        return any(not self.calls[call_id].over for call_id in self.step_calls)

    @property
    def untouched(self) -> bool:
        """It is the brain's, no word of it was heard, and nothing was done or proposed for it."""
        waiting = all(not action.write or action.state == "requested" for action in self.calls.values())
        return self.step > 0 and waiting and not self.playback.heard(self.playback.sent_samples)[0]

    @property
    def asking(self) -> bool:
        """The user is asked to confirm an action; what the model goes on to write presumes the outcome."""
        return any(action.state == "proposed" for action in self.calls.values())

    @property
    def thinking(self) -> bool:
        return self.model_running or self.calls_pending

    @property
    def result_ids(self) -> tuple[str, ...]:
        """Event ids of the results so far: what a claim made now rests on."""
        return tuple(a.result.event_id for a in self.calls.values() if a.result is not None)
