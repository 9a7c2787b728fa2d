"""The deadlines that watch over a reply: somebody waits, and must not wait in silence for ever."""

from __future__ import annotations

from agent.conversation.deadlines import Deadlines
from agent.conversation.decisions import Complaint
from agent.conversation.events import REPLY_RATE
from agent.conversation.policy import Replies
from agent.conversation.reply import Reply

SAMPLES_PER_MS = REPLY_RATE // 1_000


class Watch:
    """Sets the deadlines `preface`, `dead_air`, `model`, `stalled` and `cancel:…`; `Answering` acts on them."""

    def __init__(self, policy: Replies, deadlines: Deadlines) -> None:
        self.policy = policy
        self._deadlines = deadlines

    def model(self, now_us: int) -> None:
        """The brain must say something, or end, by then."""
        self._deadlines.set("model", now_us + self.policy.model_timeout_ms * 1_000)

    def model_ended(self) -> None:
        self._deadlines.clear("model")

    def preface(self, now_us: int) -> None:
        """The user must have heard something by then."""
        self._deadlines.set("preface", now_us + self.policy.preface_after_ms * 1_000)
        self.silence(now_us)

    def silence(self, now_us: int) -> None:
        """Still thinking by then: the user is told again."""
        self._deadlines.set("dead_air", now_us + self.policy.dead_air_ms * 1_000)

    def playback(self, reply: Reply, now_us: int) -> None:
        """What is ready has to be played in its time, and what is to be said to get ready, with a margin."""
        playback = reply.playback
        unsent_ms = max(0, playback.total_samples - playback.sent_samples) // SAMPLES_PER_MS
        waits_for_voice = not playback.ready and not playback.all_synthesised
        margin_ms = self.policy.tts_timeout_ms if waits_for_voice else self.policy.stalled_ms
        self._deadlines.set("stalled", now_us + (unsent_ms + margin_ms) * 1_000)

    def cancel(self, reply_id: str, target: str, now_us: int) -> None:
        """The target must have acked its cancellation by then."""
        self._deadlines.set(f"cancel:{reply_id}:{target}", now_us + self.policy.cancel_timeout_ms * 1_000)

    def ack_late(self, name: str) -> Complaint:
        """What is to be said of a deadline that `cancel` set."""
        _, reply_id, target = name.split(":", 2)
        return Complaint(reply_id=reply_id, code="cancel.timeout", message=f"{target} did not ack in time")

    def late(self, reply: Reply, code: str) -> Complaint:
        """What is to be said of the reply when the voice, the playout, the brain or a tool keeps it too long."""
        policy = self.policy
        message = {
            "tts.timeout": f"speech of {reply.reply_id} was not synthesised within {policy.tts_timeout_ms} ms",
            "playback.stalled": f"speech of {reply.reply_id} has not been played for {policy.stalled_ms} ms; "
            "no device takes it",
            "model.timeout": f"the brain has said nothing for {policy.model_timeout_ms} ms; it is given up",
            "action.held": f"nobody who could have stopped it was reached for {policy.tool_timeout_ms} ms; "
            "it was not begun",
            "tool.timeout": f"a tool has not answered within {policy.tool_timeout_ms} ms; it is not waited for",
        }[code]
        return Complaint(turn_id=reply.turn_id, reply_id=reply.reply_id, code=code, message=message)

    def acked(self, reply_id: str, target: str) -> None:
        self._deadlines.clear(f"cancel:{reply_id}:{target}")

    def reply_ended(self, reply: Reply) -> None:
        tools = (action.target for action in reply.calls.values())
        self._deadlines.clear("preface", "dead_air", "model", "stalled", *tools)
