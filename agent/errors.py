"""Every error this package raises on purpose.

    AgentError                  code, message a person can act on
    ├── SettingsError           unknown key, impossible value, unreadable file
    ├── EngineError             an engine could not start or died
    │   ├── AsrError
    │   ├── TtsError
    │   ├── BrainError
    │   └── ToolError           a tool failed; the message is for the user
    ├── AudioError              a file or stream that is not usable audio
    ├── StoreError              the timeline could not be written or read
    │   ├── SeqConflict         expected_seq did not match
    │   ├── EventIdReused       the id stands for another event already
    │   └── Unavailable         surely not committed; try again
    ├── WireError               a message from outside that breaks the protocol
    └── LimitReached            a bound of `limits` was hit; says which

`code` is stable and goes on the timeline in `error` events; the message may change.
"""


class AgentError(Exception):
    """Base of all errors raised on purpose. `code` is stable, `str(error)` is for people."""

    code = "agent"


class SettingsError(AgentError):
    code = "settings"


class EngineError(AgentError):
    code = "engine"


class AsrError(EngineError):
    code = "asr"


class TtsError(EngineError):
    code = "tts"


class BrainError(EngineError):
    code = "brain"


class ToolError(EngineError):
    """`error_class` is one of: input, not_found, permission, unreachable, timeout, crash; or unknown,
    when it may have been done or not."""

    code = "tool"

    def __init__(self, message: str, error_class: str = "crash") -> None:
        super().__init__(message)
        self.error_class = error_class


class AudioError(AgentError):
    code = "audio"


class StoreError(AgentError):
    code = "store"


class SeqConflict(StoreError):
    code = "store.seq_conflict"


class EventIdReused(StoreError):
    code = "store.event_id_reused"


class Unavailable(StoreError):
    code = "store.unavailable"


class WireError(AgentError):
    code = "wire"


class LimitReached(AgentError):
    code = "limit"
