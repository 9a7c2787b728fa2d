"""Facts: what happened. They are the only input of the conversation core.

A fact is an edge or a threshold crossing (speech started, hypothesis changed, position
marked), never an audio frame. Every class is frozen, holds only JSON-like values, and names
its timeline `type`. `event_id` and `source` are filled in by the session driver when the one
who posts the fact leaves them empty; commands of a client bring their own `event_id`.

Samples of a reply (`sample`, `start_sample`, …) count from the first sample of that reply at
`REPLY_RATE`: the one coordinate that sent audio, word times, cuts and resumes share.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from agent.conversation.played import Played as Played

REPLY_RATE = 48_000
"""Hz of the reply coordinate; equal to the Opus RTP clock (RFC 7587)."""

Effect = Literal["read", "write"]
Phase = Literal["preface", "claim"]
Json = None | bool | int | float | str | list["Json"] | dict[str, "Json"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """Base of facts and decisions."""

    type: ClassVar[str] = ""
    event_id: str = ""
    source: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientCommand(Event):
    """Base of what a client asks for. `seen_seq`: the last entry of the timeline that it had seen, 0 if unknown.

    What began later it cannot have meant.
    """

    seen_seq: int = 0


# ── session and devices ──────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionCreated(Event):
    """The first fact of a timeline. `policy` is the core's whole configuration."""

    type: ClassVar[str] = "session.created"
    session_id: str = ""
    policy: dict[str, dict[str, Json]]
    engines: dict[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionResumed(Event):
    """The driver started again on a stored timeline (process restart)."""

    type: ClassVar[str] = "session.resumed"


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionResumeFailed(Event):
    """A device could not go on from where it was, and reads this session from its first entry on. The core takes no
    notice.

    `device_id`: empty for one without a name of its own. `reason`: what it was told.
    """

    type: ClassVar[str] = "session.resume_failed"
    device_id: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionForget(ClientCommand):
    """Somebody asks that what was said up to now be forgotten. The driver does it as soon as nobody has the floor."""

    type: ClassVar[str] = "session.forget"


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionForgotten(SessionCreated):
    """The first fact of a timeline of which all before was erased: the conversation begins anew.

    `turns` and `replies` tell how many there had been, so that no id stands for two of them. `commands`: ids
    of the latest commands of clients, which are not done again when they are sent again. The devices that are
    here join again behind it.
    """

    type: ClassVar[str] = "session.forgotten"
    turns: int
    replies: int
    commands: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnerChanged(Event):
    """The store gave the session to `owner`, whose writes carry `epoch`; earlier epochs write no more.

    It comes from the store, not from a device or a loop, and may stand in front of `session.created`.
    The core takes no notice.
    """

    type: ClassVar[str] = "owner.changed"
    epoch: int
    owner: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionClosed(Event):
    type: ClassVar[str] = "session.closed"
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SettingsChanged(ClientCommand):
    """Thresholds changed at run time: `{"endpointing.floor_ms": 150}`."""

    type: ClassVar[str] = "settings.changed"
    changes: dict[str, Json]


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceJoined(ClientCommand):
    """`output_latency_ms`: from a sample leaving the playout to its being audible there.

    `name`: what people call it, like "Firefox on Android"; empty is as it was. One with neither `microphone` nor
    `speaker` only watches.
    `feature`: what the people who run this call the use that it is put to, for their figures; turns carry it.
    `steers`: its token allows more than to watch and to answer what is proposed.
    """

    type: ClassVar[str] = "device.joined"
    device_id: str
    transport: str
    microphone: bool = True
    speaker: bool = True
    steers: bool = True
    time_zone: str = ""
    locale: str = ""
    output_latency_ms: int = 0
    feature: str = ""
    name: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceLeft(Event):
    """`played`: how far the reply under way can have been audible there, where its audio was lost before it left."""

    type: ClassVar[str] = "device.left"
    device_id: str
    reason: str
    played: Played | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceLink(Event):
    """Half of a device's link is dead, or lives again: its commands and the timeline get through (`control`), its
    microphone's audio arrives (`media`)."""

    type: ClassVar[str] = "device.link"
    device_id: str
    control: bool
    media: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceSpeech(Event):
    """Somebody talks to a device whose microphone is not live."""

    type: ClassVar[str] = "device.speech"
    device_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ControlFocus(ClientCommand):
    """ "Talk here": the device that says this wants its microphone and its loudspeaker to be the live ones."""

    type: ClassVar[str] = "control.focus"


# ── the user's turn ──────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True, kw_only=True)
class SpeechStarted(Event):
    """The VAD's onset passed. `utterance` counts 1, 2, … in a session."""

    type: ClassVar[str] = "speech.started"
    utterance: int
    onset_us: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SpeechVoiced(Event):
    """Voiced (periodic) speech inside this utterance passed another 100 ms."""

    type: ClassVar[str] = "speech.voiced"
    utterance: int
    voiced_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SpeechStopped(Event):
    """The VAD's hangover passed. `end_us`: when the last speech frame ended."""

    type: ClassVar[str] = "speech.stopped"
    utterance: int
    end_us: int
    voiced_ms: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class AsrPartial(Event):
    """The hypothesis changed. It covers all audio of the turn so far, not just the last part. Its first `stable`
    characters stay as they are, in the turn's final too; 0 where the recogniser cannot tell."""

    type: ClassVar[str] = "asr.partial"
    utterance: int
    text: str
    stable: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class AsrFinal(Event):
    """The recogniser's best text for the turn's audio up to the end of `utterance`.

    `understood` is false where the audio does not parse whole as something that a skill
    knows (out of domain, noise): the text is then what a general model makes of it. A later final of the
    same turn (the user went on) replaces this one.
    """

    type: ClassVar[str] = "asr.final"
    utterance: int
    text: str
    understood: bool = True
    confidence: float = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class AsrFailed(Event):
    """The recogniser died or missed its deadline; this utterance has no text."""

    type: ClassVar[str] = "asr.failed"
    utterance: int
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TextInput(ClientCommand):
    """The user typed a whole message. `when`: it may interrupt what is being said; empty is as configured. It breaks
    into nothing, and confirms nothing, that `seen_seq` is older than; but it is always answered."""

    type: ClassVar[str] = "text.input"
    text: str
    when: Literal["", "now", "sentence", "after"] = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ControlTalk(ClientCommand):
    """Push-to-talk pressed (`on`) or released. While on, silence does not end the turn."""

    type: ClassVar[str] = "control.talk"
    on: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class ControlDone(ClientCommand):
    """ "I'm done": end the turn now."""

    type: ClassVar[str] = "control.done"


@dataclass(frozen=True, slots=True, kw_only=True)
class ControlStop(ClientCommand):
    """Stop button, key or API. `reply_id` empty: whatever is being said, if `seen_seq` is not older."""

    type: ClassVar[str] = "control.stop"
    reply_id: str = ""
    played: Played | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ControlConfirm(ClientCommand):
    """A button on the card of a proposed action. It names what it confirms: a proposal that
    changed is another action."""

    type: ClassVar[str] = "control.confirm"
    action_id: str
    accept: bool


# ── the agent's work ─────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelToken(Event):
    """Text from the brain, coalesced to at most one fact in 50 ms or a clause end."""

    type: ClassVar[str] = "model.token"
    reply_id: str
    step: int
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolCall(Event):
    """The brain asks for a tool. The core decides whether and when it runs."""

    type: ClassVar[str] = "tool.call"
    reply_id: str
    step: int
    call_id: str
    name: str
    arguments: dict[str, Json]
    effect: Effect
    risk: Literal["low", "high"] = "low"
    idempotent: bool = False
    reversible: bool = False
    confirm: Literal["policy", "user"] = "policy"
    """`user`: policy never confirms it, whatever its risk."""
    proposal: str = ""
    """What is asked before it is done, as a sentence: "Send an email to Anna saying hello." """
    reverts: str = ""
    """The action that it undoes."""


@dataclass(frozen=True, slots=True)
class Usage:
    """What a step took of a language model, in tokens. `cached_tokens`: of the prompt, not read anew."""

    prompt_tokens: int
    cached_tokens: int
    completion_tokens: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelDone(Event):
    """The brain finished a step. `error` is empty when it went well; `apology` is what the user is told of it."""

    type: ClassVar[str] = "model.done"
    reply_id: str
    step: int
    error: str = ""
    apology: str = ""
    usage: Usage | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolResult(Event):
    """A tool ended. `corrects` names an earlier result (its event id) that was wrong."""

    type: ClassVar[str] = "tool.result"
    reply_id: str
    call_id: str
    ok: bool
    content: Json = None
    error_class: str = ""
    message: str = ""
    corrects: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolUnavailable(Event):
    """Preflight: this tool, or all of this source of tools, will fail, known before anyone asks for it."""

    type: ClassVar[str] = "tool.unavailable"
    name: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ReminderDue(Event):
    """Something the user asked to be told at this time; the agent speaks without a turn."""

    type: ClassVar[str] = "reminder.due"
    reminder_id: str
    text: str


# ── output ───────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class Word:
    """A word of a synthesised chunk. `text_end`: index in the chunk's text behind the word."""

    start_sample: int
    end_sample: int
    text_end: int


@dataclass(frozen=True, slots=True, kw_only=True)
class TtsChunk(Event):
    """Chunk `chunk` of a reply has been synthesised and lies in the playout, whole.

    `start_sample` and the words are reply samples. `text`, `phase` and `rests_on` repeat the
    decision that asked for it, so that this row alone says what the audio claims. `estimated`: the voice
    does not say where its words lie, and they are placed by their length.
    """

    type: ClassVar[str] = "tts.chunk"
    reply_id: str
    chunk: int
    text: str
    phase: Phase
    rests_on: tuple[str, ...]
    start_sample: int
    samples: int
    words: tuple[Word, ...]
    estimated: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class TtsFailed(Event):
    type: ClassVar[str] = "tts.failed"
    reply_id: str
    chunk: int
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PlaybackStarted(Event):
    """The first sample of a reply left the playout."""

    type: ClassVar[str] = "playback.start"
    reply_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PlaybackMark(Event):
    """All samples before `sample` left the playout: at word ends, at a pause, at the end."""

    type: ClassVar[str] = "playback.mark"
    reply_id: str
    sample: int


# ── interruption, cancellation, faults, time ─────────────────────────────────────────────


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceCut(ClientCommand):
    """A device's own VAD cut its playback; the core answers with `interruption.suspected`.

    `undo`: it found that it was wrong (no speech followed) and asks to go on. `reply_id`: what it believes that
    it silenced, as far as it has read; `played` knows better.
    """

    type: ClassVar[str] = "device.cut"
    undo: bool = False
    reply_id: str = ""
    played: Played | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CancelAck(Event):
    """Nothing of this target can reach ear, context or tool any more."""

    type: ClassVar[str] = "cancel.ack"
    reply_id: str
    target: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CancelFreed(Event):
    """The target's compute ended."""

    type: ClassVar[str] = "cancel.freed"
    reply_id: str
    target: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault(Event):
    """Something outside the core went wrong and was handled; people should know."""

    type: ClassVar[str] = "error"
    code: str
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadlinePassed(Event):
    """The time named by `Conversation.next_deadline_us` came."""

    type: ClassVar[str] = "deadline.passed"
