"""What a command can have meant: nothing that began behind the last entry that its sender had seen."""

from __future__ import annotations

from agent.conversation.events import ControlStop
from agent.conversation.reply import Reply


def unseen(seen_seq: int, since_seq: int) -> bool:
    """Whether who had seen the timeline up to `seen_seq` did not know of what began at `since_seq`. 0 is unknown."""
    return 0 < seen_seq < since_seq


def means(stop: ControlStop, reply: Reply) -> bool:
    """Whether a stop is for this reply: the one that it names or, if it names none, what its sender heard or saw.

    What the device was playing counts more than what it had read: the timeline may come later than the sound.
    """
    if stop.reply_id:
        return stop.reply_id == reply.reply_id
    playing = stop.played is not None and stop.played.reply_id == reply.reply_id
    return playing or not unseen(stop.seen_seq, reply.since_seq)
