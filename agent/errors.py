"""Every error this package raises on purpose.

    AgentError                  code, message a person can act on
    ├── SettingsError           unknown key, impossible value, unreadable file
    ├── DeclarationError        a tool that is declared so that it cannot be used; says what to write
    ├── EngineError             an engine could not start or died
    │   ├── AsrError
    │   ├── TtsError
    │   ├── BrainError
    │   └── ToolError           a tool failed; the message is for the user
    ├── ModelError              a model is missing, altered, or cannot be downloaded
    ├── AudioError              a file or stream that is not usable audio
    ├── StoreError              the timeline could not be written or read
    │   ├── EventIdReused       the id stands for another event already
    │   ├── HeldByOther         another owner has the session, until its lease ends
    │   ├── Fenced              the lease is over: terminal, never read again and retried
    │   ├── SeqConflict         expected_seq did not match
    │   ├── CauseUnknown        the entry that it names as its cause is not on the timeline
    │   ├── ActionConflict      the action is in another state: somebody else was first
    │   ├── Truncated           what was asked for is not kept any more
    │   ├── Unavailable         surely not committed; try again
    │   └── Indeterminate       committed or not: append it again, repeated ids are acknowledged
    ├── SessionGone             the session cannot be taken up again; says why
    ├── SessionHeld             another process has the session: it may be had once that lets go of it
    ├── SessionRests            nobody who may talk is in it, and who only watches does not wake it
    ├── TokenRefused            a session token that is forged, too old, revoked, or another session's
    ├── ScopeNeeded             the session token does not allow this; says which scope would
    ├── WireError               a message from outside that breaks the protocol
    │   └── TooFast             more messages, or arrivals, in a while than are taken
    └── LimitReached            a bound of `limits` was hit; says which

`code` is stable and goes on the timeline in `error` events; the message may change.
"""


class AgentError(Exception):
    """Base of all errors raised on purpose. `code` is stable, `str(error)` is for people."""

    code = "agent"


class SettingsError(AgentError):
    code = "settings"


class DeclarationError(AgentError):
    code = "declaration"


class EngineError(AgentError):
    code = "engine"


class AsrError(EngineError):
    code = "asr"


class TtsError(EngineError):
    code = "tts"


class BrainError(EngineError):
    """`apology`: what the user is told of it, a sentence; empty for the general one."""

    code = "brain"

    def __init__(self, message: str = "", apology: str = "") -> None:
        super().__init__(message)
        self.apology = apology


class ToolError(EngineError):
    """`error_class` is one of: input, not_found, permission, unreachable, timeout, crash; or unknown,
    when it may have been done or not."""

    code = "tool"

    def __init__(self, message: str, error_class: str = "crash") -> None:
        super().__init__(message)
        self.error_class = error_class


class ModelError(AgentError):
    code = "model"


class AudioError(AgentError):
    code = "audio"


class StoreError(AgentError):
    code = "store"


class EventIdReused(StoreError):
    code = "store.event_id_reused"


class HeldByOther(StoreError):
    code = "store.held_by_other"


class Fenced(StoreError):
    code = "store.fenced"


class SeqConflict(StoreError):
    code = "store.seq_conflict"


class CauseUnknown(StoreError):
    code = "store.cause_unknown"


class ActionConflict(StoreError):
    code = "store.action_conflict"


class Truncated(StoreError):
    """`first_seq` is the first entry that is still there, 0 when the whole session was deleted."""

    code = "store.truncated"

    def __init__(self, message: str, first_seq: int = 0) -> None:
        super().__init__(message)
        self.first_seq = first_seq


class Unavailable(StoreError):
    code = "store.unavailable"


class Indeterminate(StoreError):
    code = "store.indeterminate"


class WireError(AgentError):
    code = "wire"


class TooFast(WireError):
    code = "wire.too_fast"


class LimitReached(AgentError):
    code = "limit"


class SessionGone(AgentError):
    code = "session.gone"


class SessionHeld(AgentError):
    code = "session.held"


class SessionRests(AgentError):
    code = "session.rests"


class TokenRefused(AgentError):
    code = "session.token"


class ScopeNeeded(AgentError):
    code = "session.scope"


def first_of(group: BaseExceptionGroup[BaseException]) -> AgentError | None:
    """The first of the errors that a task group was left with; None if one was not raised on purpose."""
    meant, others = group.split(AgentError)
    if meant is None or others is not None:
        return None
    error: BaseException = meant
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error if isinstance(error, AgentError) else None
