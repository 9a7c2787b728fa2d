"""Typed settings: defaults, then `agent.toml`, then environment, then the command line.

An unknown key or an impossible value is a `SettingsError` that names the key and where it came
from. Environment variables are `VOICE_AGENT__TABLE__KEY`; the command line has `--set
table.key=value`. Units are in the names.
"""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from agent.conversation.policy import Actions, Endpointing, Interruption, Policy, Replies

_HEADER = re.compile(r"[A-Za-z0-9-]+ *= *[A-Za-z_][A-Za-z0-9_]*")


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Server(_Table):
    host: str = "127.0.0.1"
    port: Annotated[int, Field(ge=0, le=65535)] = 8700
    """0 takes a free port and prints it."""
    token: str = ""
    """Needed to connect when `host` is not a loopback address. Who has it is the owner `local`."""
    owner_tokens: tuple[str, ...] = ()
    """Further owners, each as "name = token": whoever has the token has conversations and a memory of their own."""
    origins: tuple[str, ...] = ()
    """Further page origins that may connect; the server's own always may."""
    ice_servers: tuple[str, ...] = ()
    """stun: and turn: URLs (`turn:user:password@host:port`)."""
    ice_addresses: tuple[str, ...] = ("127.0.0.1",)
    """Local addresses offered to peers; empty offers every interface."""
    tls_certificate: str = ""
    """A PEM file: the page is served over HTTPS. Empty: over HTTP, for this machine or a TLS proxy."""
    tls_key: str = ""
    """The PEM file of its private key."""


class Limits(_Table):
    sessions: Annotated[int, Field(ge=1, le=1000)] = 8
    devices: Annotated[int, Field(ge=1, le=1000)] = 16
    """Connections to one conversation, over whichever transport."""
    arrivals_per_min: Annotated[int, Field(ge=1, le=10_000)] = 120
    """Of devices into one conversation, by one link or by its owner's own token. What a device that is there says
    anew of itself counts as one."""
    message_bytes: Annotated[int, Field(ge=1_000, le=1_000_000)] = 16_384
    messages_per_s: Annotated[int, Field(ge=1, le=10_000)] = 50
    sdp_bytes: Annotated[int, Field(ge=1_000, le=1_000_000)] = 65_536
    text_chars: Annotated[int, Field(ge=1, le=100_000)] = 2_000
    silent_peer_s: Annotated[float, Field(ge=1, le=600)] = 10.0
    """A peer that sends neither RTP nor a heartbeat for this long is released."""
    memory_events: Annotated[int, Field(ge=100, le=1_000_000)] = 20_000
    """Entries of one session kept in memory."""


class VadSettings(_Table):
    engine: str = "webrtcvad"
    """`webrtcvad`, or `silero`, which takes fewer noises for speech and has frames of 32 ms."""
    frame_ms: Literal[10, 20, 30] = 10
    """webrtcvad's frames."""
    aggressiveness: Annotated[int, Field(ge=0, le=3)] = 2
    """webrtcvad's, 3 takes the least for speech."""
    threshold: Annotated[float, Field(ge=0, le=1)] = 0.5
    """Speech probability from which a frame counts as speech."""
    onset_ms: Annotated[int, Field(ge=10, le=1_000)] = 60
    """Speech frames in a row that begin an utterance."""
    hangover_ms: Annotated[int, Field(ge=10, le=3_000)] = 100
    """Silence that ends it; the turn goes on until the endpoint delay has passed too."""
    preroll_ms: Annotated[int, Field(ge=0, le=2_000)] = 300
    """Audio before the onset that the recogniser gets."""
    min_rms: Annotated[int, Field(ge=0, le=10_000)] = 60
    """Frames below this level are silence whatever the engine says."""


class EchoSettings(_Table):
    """The agent's own voice in the microphone, where the browser does not cancel it."""

    guard: bool = True
    """Keep it from interrupting the agent."""
    margin_db: Annotated[float, Field(ge=1, le=30)] = 8.0
    """A person's voice counts in a band once it is this far above the expected echo there."""
    max_delay_ms: Annotated[int, Field(ge=50, le=1_000)] = 500
    """From sending a sound to hearing its echo, network and buffers included."""
    hold_ms: Annotated[int, Field(ge=60, le=1_000)] = 180
    """How long, at most, speech waits for the verdict while no echo has been heard yet."""


class AsrSettings(_Table):
    engine: str = "pocketsphinx"
    """`pocketsphinx`, or `whisper`: any text, far fewer errors, with a model that is downloaded first."""
    workers: Annotated[int, Field(ge=1, le=64)] = 8
    """Sessions that can be heard at once; pocketsphinx has a process for each."""
    spare: Annotated[int, Field(ge=0, le=8)] = 1
    """pocketsphinx's processes started before they are needed."""
    max_behind_ms: Annotated[int, Field(ge=200, le=60_000)] = 5_000
    """How late pocketsphinx may be before it leaves audio out."""
    rejection: Annotated[float, Field(ge=0, le=1)] = 0.5
    """How sure pocketsphinx's domain decoder must be against the general one, 0 accepts everything."""
    model: str = "whisper-base.en"
    """whisper's: the name of a downloaded model, or a folder with one converted for CTranslate2."""
    compute_type: Literal["default", "int8", "int8_float32", "int16", "float32"] = "int8"
    threads: Annotated[int, Field(ge=0, le=64)] = 0
    """whisper's; 0: half of the cores."""
    beam: Annotated[int, Field(ge=1, le=10)] = 1
    language: Annotated[str, Field(pattern="^[a-z]{2,3}$")] = "en"
    """What is spoken, for a multilingual model."""
    partial_ms: Annotated[int, Field(ge=100, le=5_000)] = 300
    """From one partial text of whisper to the next, while there is time for it."""
    max_partial_ms: Annotated[int, Field(ge=100, le=10_000)] = 1_500
    """When a partial text would be older than this, whisper gives none and keeps its time for finals."""
    min_context_ms: Annotated[int, Field(ge=100, le=30_000)] = 10_000
    """whisper hears at least so much, silence added. Models are trained on 30,000, which is the
    safest; less is faster, and too little makes some models repeat themselves."""

    @property
    def heard_language(self) -> str:
        """pocketsphinx and some models of whisper hear English only."""
        english = self.engine == "pocketsphinx" or (self.engine == "whisper" and self.model.endswith(".en"))
        return "en" if english else self.language


class BrainSettings(_Table):
    engine: str = "skills"
    instructions: str = ""
    """Who the agent is and how it is to talk, for a brain that is a model; the embedded one does without."""
    memory: Path = Path("voice-agent-memory.sqlite3")
    """Notes, to-dos, preferences and pending timers, kept between sessions."""
    tools: tuple[str, ...] = ()
    """Tools of your own, each as "module:attribute": a tool, a list of them, or what makes either when called."""
    base_url: str = "http://localhost:11434/v1"
    """For engine = "openai": where an OpenAI-compatible chat API is, up to its /v1. As it stands: Ollama's."""
    model: str = ""
    """The name of the model there; empty: the first one that it lists."""
    api_key_env: str = ""
    """The environment variable that holds the API key; empty where none is needed."""
    offer_tools: bool = True
    """Off for models that cannot call tools."""
    temperature: Annotated[float, Field(ge=0, le=2)] = 0.7
    max_tokens: Annotated[int, Field(ge=16, le=100_000)] = 1_024
    """Of one answer, thinking included."""
    context_tokens: Annotated[int, Field(ge=1_024, le=10_000_000)] = 16_384
    """The model's context window: tools, conversation and answer have to fit in. Older turns are kept in short."""
    first_token_timeout_s: Annotated[float, Field(ge=0.1, le=600)] = 10.0
    """From the question to the first token, further attempts included. `replies.model_timeout_ms` bounds it, too."""
    token_timeout_s: Annotated[float, Field(ge=0.1, le=600)] = 5.0
    """From one token to the next."""
    answer_timeout_s: Annotated[float, Field(ge=0.1, le=3_600)] = 60.0
    """For the whole answer."""
    retries: Annotated[int, Field(ge=0, le=10)] = 2
    """Further attempts when the endpoint is not there or busy, before the first token only."""
    fallback: Literal["skills", "none"] = "skills"
    """What answers while the model does not; "none": the agent says that it cannot."""

    @field_validator("base_url")
    @classmethod
    def _check_base_url(cls, value: str) -> str:
        parts = urlsplit(value)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError("must be the address of a chat API, such as http://localhost:11434/v1")
        if parts.username or parts.password:
            raise ValueError("must not hold a password: brain.api_key_env names the variable for the key")
        return value


class McpSettings(_Table):
    """A server of the Model Context Protocol whose tools the agent may use: a table for each, under a name of yours,
    which its tools' names begin with. It has a `command` or a `url`."""

    command: str = ""
    """The program that is the server; it is started and talked to over its standard input and output."""
    args: tuple[str, ...] = ()
    env: tuple[str, ...] = ()
    """Names of environment variables that it gets, beside PATH, HOME and the like."""
    url: str = ""
    """Where a server that runs already speaks streamable HTTP."""
    headers: tuple[str, ...] = ()
    """What is sent to it, as "Header = VARIABLE": the value stands in that environment variable, as in
    "Authorization = MY_TOKEN"."""
    tools: tuple[str, ...] = ()
    """The only ones of its tools that are used; empty: all."""
    trusted: bool = True
    """Believe what it says of its tools: that one only reads, or destroys nothing. Else you confirm each call."""
    timeout_s: Annotated[float, Field(ge=0.1, le=600)] = 10.0
    """For a list of its tools, and for a tool that only reads; a write is waited for."""

    @model_validator(mode="after")
    def _either(self) -> McpSettings:
        if bool(self.command) == bool(self.url):
            raise ValueError("give it either a command or a url")
        if malformed := [header for header in self.headers if not _HEADER.fullmatch(header)]:
            raise ValueError(f'headers: {malformed[0]!r} is not of the form "Header = VARIABLE"')
        return self


class MailSettings(_Table):
    """E-mails that the user dictates. Nothing is sent before the user has confirmed it."""

    own: tuple[str, ...] = ()
    """Your own addresses, the usual one first: "name = address", as in "work = Ann Lee <ann@example.org>".
    Without one there is no e-mail."""
    contacts: tuple[str, ...] = ()
    """Whom you write to, in the same form: "anna = Anna Lee <anna@example.org>", "anna work = anna@work.example"."""
    outbox: str = ""
    """The folder of the messages; empty: voice-agent-outbox beside the memory file."""
    smtp_host: str = ""
    """The SMTP server that sends them; empty: they wait in the folder for a mail program."""
    smtp_port: Annotated[int, Field(ge=1, le=65535)] = 587
    smtp_security: Literal["starttls", "tls", "none"] = "starttls"
    smtp_user: str = ""
    smtp_password_env: str = ""
    """The environment variable that holds the password."""
    smtp_timeout_s: Annotated[float, Field(ge=1, le=60)] = 10.0
    """For each answer of the server."""


class DocumentsSettings(_Table):
    """Documents of yours that can be looked things up in, as in your notes."""

    folder: str = ""
    """A folder of .txt and .md files, and what lies below it; empty: none. Files above 2 MB are left out."""
    engine: str = "fts5"
    """What finds passages in it: fts5, which is SQLite's full-text search."""


class CalendarSettings(_Table):
    path: str = ""
    """An iCalendar file, yours or a new one; empty: voice-agent-calendar.ics beside the memory file."""
    duration_min: Annotated[int, Field(ge=5, le=1_440)] = 60
    """How long a new appointment lasts."""


class TtsSettings(_Table):
    engine: str = "espeak"
    """`espeak`, `piper`, `auto` for the best that is present, or `module:Class`."""
    voice: str = "en-us"
    """Of espeak."""
    speed: Annotated[float, Field(ge=0.5, le=3.0)] = 1.0
    pitch: Annotated[int, Field(ge=0, le=99)] = 50
    """Of espeak."""
    model: str = "piper-en_US-lessac-medium"
    """The voice of piper: a name that `voice-agent models` lists, or an .onnx file with its .onnx.json beside it."""
    speaker: str = ""
    """Of a piper voice with several, by name or number; empty takes its first."""
    noise: Annotated[float, Field(ge=0, le=3)] = 1.0
    """How much a piper voice varies its sound, 1.0 is its own measure."""
    noise_w: Annotated[float, Field(ge=0, le=3)] = 1.0
    """How much a piper voice varies its rhythm, 1.0 is its own measure."""
    threads: Annotated[int, Field(ge=1, le=64)] = 1
    """Of piper."""


class ModelsSettings(_Table):
    """Downloaded models; `voice-agent models` lists, fetches and checks them."""

    folder: Path = Path("models")


class PlayoutSettings(_Table):
    max_reply_s: Annotated[int, Field(ge=5, le=600)] = 180
    volume: Annotated[float, Field(ge=0.0, le=1.0)] = 1.0


class BrowserSettings(_Table):
    """The page's own voice detection, which cuts its playback without the network."""

    vad: bool = True
    onset_db: Annotated[float, Field(ge=0, le=60)] = 12.0
    """How far above the noise floor the microphone must be."""
    min_db: Annotated[float, Field(ge=-100, le=0)] = -45.0
    echo_db: Annotated[float, Field(ge=0, le=60)] = 6.0
    """How far above what the loudspeaker is expected to return it must be while the agent speaks."""


class SessionsSettings(_Table):
    """Conversations that outlive their connections."""

    linger_s: Annotated[float, Field(ge=0, le=3_600)] = 120.0
    """How long one goes on, timers and tools too, once its last device is gone; then it rests, and can be taken up."""
    token_h: Annotated[int, Field(ge=1, le=8_760)] = 168
    """For how long the page of a conversation may take it up again; counted anew at each connection."""
    follow_me: bool = True
    """Of several devices, the one that is talked to becomes the live one, unless a reply is under way."""
    keep_days: Annotated[int, Field(ge=0, le=36_500)] = 0
    """How long stored conversations are kept behind their last entry, their audio too; 0: for ever."""
    record: bool = False
    """Keep the audio of conversations, too, beside the timeline file; those who talk must be told."""


class TimelineSettings(_Table):
    store: str = "sqlite"
    """`memory` or `sqlite`."""
    path: Path = Path("voice-agent-timeline.sqlite3")


class TelemetrySettings(_Table):
    """OpenTelemetry spans and metrics derived from the timeline, without the words; off unless they go somewhere."""

    endpoint: str = ""
    """Base URL of an OTLP collector that speaks HTTP, such as http://localhost:4318; needs voice-agent[telemetry]."""
    console: bool = False
    """Print them to standard output."""
    service_name: str = "voice-agent"

    @property
    def wanted(self) -> bool:
        return self.console or bool(self.endpoint)


class Settings(_Table):
    """All tables of `agent.toml`."""

    server: Server = Server()
    limits: Limits = Limits()
    vad: VadSettings = VadSettings()
    echo: EchoSettings = EchoSettings()
    asr: AsrSettings = AsrSettings()
    endpointing: Endpointing = Endpointing()
    interruption: Interruption = Interruption()
    replies: Replies = Replies()
    actions: Actions = Actions()
    brain: BrainSettings = BrainSettings()
    mail: MailSettings = MailSettings()
    mcp: dict[Annotated[str, Field(pattern=r"^[a-z][a-z0-9_-]{0,23}$")], McpSettings] = {}
    calendar: CalendarSettings = CalendarSettings()
    documents: DocumentsSettings = DocumentsSettings()
    tts: TtsSettings = TtsSettings()
    models: ModelsSettings = ModelsSettings()
    playout: PlayoutSettings = PlayoutSettings()
    browser: BrowserSettings = BrowserSettings()
    sessions: SessionsSettings = SessionsSettings()
    timeline: TimelineSettings = TimelineSettings()
    telemetry: TelemetrySettings = TelemetrySettings()

    @property
    def policy(self) -> Policy:
        """What the core of a conversation is told."""
        language = self.interruption.language or self.asr.heard_language
        return Policy(self.endpointing, replace(self.interruption, language=language), self.replies, self.actions)
