"""What a command can have meant: nothing that began behind the last entry that its sender had seen."""

from __future__ import annotations

from agent.conversation.events import ControlStop, DeviceCut
from agent.conversation.reply import Reply


def unseen(seen_seq: int, since_seq: int) -> bool:
    """Whether who had seen the timeline up to `seen_seq` did not know of what began at `since_seq`. 0 is unknown."""
    return 0 < seen_seq < since_seq


def means(command: ControlStop | DeviceCut, reply: Reply | None) -> bool:
    """Whether a stop or a cut is for this reply: the one that it names or, if it names none, what its sender heard
    or saw.

    What the device was playing counts more than what it had read: the timeline may come later than the sound. A
    cut knows no more than that of the reply it names, either; whoever stops one by its name means that one.
    """
    if reply is None:
        return False
    playing = command.played is not None and command.played.reply_id == reply.reply_id
    if command.reply_id:
        return command.reply_id == reply.reply_id or (playing and isinstance(command, DeviceCut))
    return playing or not unseen(command.seen_seq, reply.since_seq)
