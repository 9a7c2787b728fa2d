"""One answer of a chat API, put together from the chunks of its stream."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from openai.types import CompletionUsage
from openai.types.chat import ChatCompletionChunk
from openai.types.chat.chat_completion_chunk import (
    Choice,
    ChoiceDelta,
    ChoiceDeltaToolCall,
    ChoiceDeltaToolCallFunction,
)
from openai.types.completion_usage import PromptTokensDetails

from agent.thinking.chat_calls import CallAssembler
from agent.thinking.chat_errors import BrokenStream
from agent.thinking.port import Call, Delta, Usage
from agent.thinking.speakable import Speakable


class ChatAnswer:
    """`names`: the tools' own names by those in the API. A server may send anything: what is missing, null
    or of another type counts as absent."""

    def __init__(self, names: Mapping[str, str]) -> None:
        self.begun = False
        """A token has come, if only of a thought."""
        self.finish = ""
        """Why the model ended, once it has."""
        self.usage: Usage | None = None
        self._names = names
        self._speakable = Speakable()
        self._calls = CallAssembler()
        self._spoke = False

    def take(self, chunk: object) -> list[Delta]:
        """What can be said of it by now. Raises `BrokenStream` for what is no chunk."""
        if not isinstance(chunk, ChatCompletionChunk):
            raise BrokenStream("the model server sent something that is no chunk of an answer")
        self.usage = _usage(chunk) or self.usage
        choices = chunk.choices if isinstance(chunk.choices, list) else []
        choice = choices[0] if choices else None
        if self.finish or not isinstance(choice, Choice):
            return []
        self.finish = choice.finish_reason if isinstance(choice.finish_reason, str) else ""
        return self._spoken(self._taken(choice.delta)) if isinstance(choice.delta, ChoiceDelta) else []

    def end(self) -> list[Delta | Call]:
        """What is left once it has finished. Raises `BrokenStream` when the model had no room for a word."""
        said: list[Delta | Call] = [*self._spoken(self._speakable.flush())]
        calls = [replace(call, name=self._names.get(call.name, call.name)) for call in self._calls.calls()]
        if self.finish == "length" and not self._spoke and not calls:
            raise BrokenStream("the model used all of its tokens before it said a word: raise brain.max_tokens")
        return [*said, *calls]

    def _taken(self, delta: ChoiceDelta) -> str:
        thought = getattr(delta, "reasoning_content", None) or getattr(delta, "reasoning", None)
        calls = delta.tool_calls if isinstance(delta.tool_calls, list) else []
        text = _text(delta.content) or _text(delta.refusal)
        self.begun = self.begun or bool(thought or calls or text)
        for call in calls:
            if isinstance(call, ChoiceDeltaToolCall):
                function = call.function
                called = isinstance(function, ChoiceDeltaToolCallFunction)
                name, arguments = (function.name, function.arguments) if function and called else (None, None)
                self._calls.add(_count(call.index), _text(call.id), _text(name), _text(arguments))
        return self._speakable.push(text)

    def _spoken(self, text: str) -> list[Delta]:
        self._spoke = self._spoke or bool(text.strip())
        return [Delta(text)] if text else []


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def _usage(chunk: ChatCompletionChunk) -> Usage | None:
    usage = chunk.usage
    if not isinstance(usage, CompletionUsage):
        return None
    details = usage.prompt_tokens_details
    cached = details.cached_tokens if isinstance(details, PromptTokensDetails) else 0
    return Usage(_count(usage.prompt_tokens), _count(cached), _count(usage.completion_tokens))


def _count(value: object) -> int:
    return value if isinstance(value, int) else 0
