"""How far a reply's playback has come, by the core's own machine, so that both always agree."""

from __future__ import annotations

from agent.conversation.decisions import PlaybackPause, PlaybackResume, TtsSay
from agent.conversation.events import Event, PlaybackMark, PlaybackStarted, TtsChunk, TtsFailed
from agent.conversation.playback import Playback


def advance(playback: Playback, event: Event) -> None:
    """Take one event of this reply; events that do not concern its playback change nothing."""
    match event:
        case TtsSay():
            playback.say(event.text, event.phase, event.rests_on)
        case TtsChunk():
            playback.synthesised(event)
        case TtsFailed():
            playback.failed(event.chunk)
        case PlaybackStarted():
            playback.started()
        case PlaybackMark():
            playback.mark(event.sample)
        case PlaybackPause():
            playback.pause()
        case PlaybackResume():
            playback.resume(event.sample)
