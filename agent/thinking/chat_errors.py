"""What went wrong at a chat API, in words that say what to do about it."""

from __future__ import annotations

import json

import openai

from agent.settings import BrainSettings

TRANSIENT = frozenset((408, 409, 425, 429, 500, 502, 503, 504, 529))
"""Status codes after which the same request may succeed."""
MAX_QUOTED_CHARS = 200
MAX_WAIT_S = 60.0


class Silent(Exception):
    """The model let a deadline pass; the message names the setting."""


class BrokenStream(Exception):
    """The answer is no answer, or only the beginning of one."""


class EmptyStream(BrokenStream):
    """A chat stream that was opened and ended before the first word."""

    def __init__(self) -> None:
        super().__init__(
            "the model server ended its answer before the first word: its log says why; a prompt that is longer than "
            "the model's window is one reason (brain.context_tokens)"
        )


FAILURES = (openai.OpenAIError, Silent, BrokenStream, json.JSONDecodeError, UnicodeDecodeError, RecursionError)
"""All that a request may end with when the other side is to blame."""


def explained(error: Exception, settings: BrainSettings, key: str) -> str:
    """For people, without the key."""
    where, model = settings.base_url, settings.model or "the model"
    quoted = _quoted(error, key)
    match error:
        case openai.APITimeoutError():
            return f"{where} cannot be reached in time: see that the model server runs there, or set brain.base_url"
        case openai.APIConnectionError():
            return f"no model server answers at {where}: start it, or set brain.base_url ({quoted or 'refused'})"
        case openai.AuthenticationError() | openai.PermissionDeniedError():
            if settings.api_key_env:
                return f"{where} refuses the API key in {settings.api_key_env}: set that variable to one that is valid"
            return f"{where} wants an API key: put it into a variable, and name that in brain.api_key_env"
        case openai.NotFoundError():
            return (
                f"{where} does not know {model}: fetch it (ollama pull {settings.model or 'NAME'}), set brain.model "
                f"to one that it has, or see that brain.base_url is right to its /v1 ({quoted})"
            )
        case openai.RateLimitError():
            return f"{where} takes no more requests for now, or the quota is used up ({quoted})"
        case openai.BadRequestError() if "tool" in quoted.lower():
            return f"{model} cannot call tools: take one that can, or set brain.offer_tools = false ({quoted})"
        case openai.BadRequestError() if too_long(error):
            return f"the conversation does not fit into {model}: set brain.context_tokens to its window ({quoted})"
        case openai.APIStatusError():
            return f"{where} answered {error.status_code} ({quoted})"
        case openai.APIError():
            return f"{model} broke off: {quoted}"
        case json.JSONDecodeError() | UnicodeDecodeError() | RecursionError():
            return f"{where} sent what is no chat stream: see that brain.base_url is right to its /v1"
        case _:
            return quoted


def transient(error: Exception) -> bool:
    """Whether another attempt may succeed."""
    if isinstance(error, openai.APIStatusError):
        return error.status_code in TRANSIENT
    return isinstance(error, openai.APIError | BrokenStream | ValueError)


def wait_s(error: Exception) -> float:
    """How long the other side asks to be left alone, 0 if it does not say."""
    if not isinstance(error, openai.APIStatusError):
        return 0.0
    try:
        return min(max(0.0, float(error.response.headers.get("retry-after", 0))), MAX_WAIT_S)
    except ValueError:
        return 0.0


def wants_other_limit(error: Exception) -> bool:
    """Whether the model takes `max_completion_tokens` in place of `max_tokens`."""
    return isinstance(error, openai.BadRequestError) and "max_completion_tokens" in str(error)


def too_long(error: Exception) -> bool:
    """Whether the prompt does not fit into the model's window."""
    return isinstance(error, openai.BadRequestError) and "context" in str(error).lower()


def _quoted(error: Exception, key: str) -> str:
    """The other side's own words."""
    said = error.body.get("message") if isinstance(error, openai.APIError) and isinstance(error.body, dict) else None
    cause = error.__cause__ if isinstance(error, openai.APIConnectionError) else None
    text = " ".join(str(said or cause or error).split())
    return (text.replace(key, "…") if key else text)[:MAX_QUOTED_CHARS]
