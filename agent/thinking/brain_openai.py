"""A language model behind any OpenAI-compatible chat API: Ollama, llama.cpp, vLLM, LM Studio, OpenAI.

A step is one streamed request. Whoever closes the stream, by cancelling or because a deadline passed, closes
its connection, so that the server stops computing. Until its first token a request is tried again; after it,
what was said stands and the step fails.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Mapping
from contextlib import aclosing, suppress
from ipaddress import ip_address
from typing import Any, TypeVar, cast
from urllib.parse import urlsplit

import httpx2
import openai
from openai.types.chat import ChatCompletionChunk

from agent.clock import Clock
from agent.errors import BrainError, SettingsError
from agent.settings import BrainSettings
from agent.thinking.chat_answer import ChatAnswer
from agent.thinking.chat_errors import (
    FAILURES,
    BrokenStream,
    EmptyStream,
    Silent,
    explained,
    too_long,
    transient,
    wait_s,
    wants_other_limit,
)
from agent.thinking.chat_messages import chat_messages, chat_tools, tokens
from agent.thinking.outage import Outage
from agent.thinking.port import Call, Delta, Prompt, Usage

T = TypeVar("T")

CONNECT_TIMEOUT_S = 3.0
PREFLIGHT_TIMEOUT_S = 2.0
MIN_WINDOW_TOKENS = 1_024
FIRST_RETRY_S = 0.25
"""The pause before the second attempt; it doubles with each further one."""
USAGE_TIMEOUT_S = 0.3
"""How long the figures of an answer are waited for that is complete."""
APOLOGY = "I can't reach my language model at the moment."

log = logging.getLogger("agent")


class OpenAiBrain:
    """Implements the `Brain` port. `transport`: how the server is reached when not over TCP.

    Raises `SettingsError` when the variable that should hold the API key is not set.
    """

    name = "openai"

    def __init__(
        self, settings: BrainSettings, clock: Clock, transport: httpx2.AsyncBaseTransport | None = None
    ) -> None:
        self.problem = ""
        """Why the model could not be used at the start, for people; empty when it could."""
        self._settings = settings
        self._clock = clock
        self._key = _key(settings.api_key_env)
        self._model = settings.model
        self._limit = "max_tokens"
        self._window_tokens = settings.context_tokens
        self._outage = Outage()
        timeout = httpx2.Timeout(None, connect=CONNECT_TIMEOUT_S)
        # A proxy that the environment names is not for a model on this machine.
        http = httpx2.AsyncClient(transport=transport, timeout=timeout, trust_env=not _local(settings.base_url))
        self._client = openai.AsyncOpenAI(
            base_url=settings.base_url,
            api_key=self._key or "none",
            max_retries=0,
            timeout=timeout,
            http_client=http,
        )

    async def start(self) -> None:
        """See whether the model is there, briefly. If not, the log says what to do, and it is asked all the same."""
        try:
            listed = await self._within(PREFLIGHT_TIMEOUT_S, self._listed(), "it does not list its models")
            self.problem = self._missing(listed)
        except openai.NotFoundError:
            self.problem = ""  # it lists no models; the first question will tell
        except FAILURES as error:
            self.problem = explained(error, self._settings, self._key)
        if self.problem:
            log.warning("%s", self.problem)

    async def close(self) -> None:
        await self._client.close()

    async def respond(self, prompt: Prompt) -> AsyncIterator[Delta | Call | Usage]:
        """One step. Raises `BrainError`."""
        if self._outage.lasts(self._clock.now_us()):
            raise BrainError(self._outage.why, APOLOGY)
        deadlines = _Deadlines(self._settings, self._clock)
        attempt, begun = 0, False
        while True:
            try:
                async with aclosing(self._attempt(prompt, deadlines)) as parts:
                    async for part in parts:
                        begun = True
                        yield part
                self._outage.ended()
                return
            except FAILURES as error:
                failure = error
            if not begun and self._adapts(failure):
                continue
            pause_s = max(FIRST_RETRY_S * 2**attempt, wait_s(failure))
            again = not begun and transient(failure) and attempt < self._settings.retries
            if not again or pause_s >= deadlines.left_s(begun=False):
                raise self._given_up(failure, begun=begun) from failure
            attempt += 1
            if isinstance(failure, EmptyStream):
                self._shorten(failure)
            await asyncio.sleep(pause_s)

    def _adapts(self, failure: Exception) -> bool:
        """Whether the request is to be put otherwise, now and from now on."""
        if wants_other_limit(failure) and self._limit == "max_tokens":
            self._limit = "max_completion_tokens"
            return True
        if not too_long(failure) or self._window_tokens <= MIN_WINDOW_TOKENS:
            return False
        self._shorten(failure)
        return True

    def _shorten(self, failure: Exception) -> None:
        self._window_tokens = max(MIN_WINDOW_TOKENS, self._window_tokens // 2)
        why = explained(failure, self._settings, self._key)
        log.warning("%s; meanwhile prompts are kept to %d tokens", why, self._window_tokens)

    async def _attempt(self, prompt: Prompt, deadlines: _Deadlines) -> AsyncGenerator[Delta | Call | Usage, None]:
        """One request. Raises `FAILURES`."""
        if not self._model:
            names = await self._within(deadlines.left_s(begun=False), self._listed(), deadlines.why(begun=False))
            if not names:
                raise BrokenStream(self._missing(names))
            self._model = names[0]
        request, names_of_tools = self._request(prompt)
        opening: Awaitable[Any] = self._client.chat.completions.create(**request)
        stream = cast(
            openai.AsyncStream[ChatCompletionChunk],
            await self._within(deadlines.left_s(begun=False), opening, deadlines.why(begun=False)),
        )
        answer, chunks = ChatAnswer(names_of_tools), aiter(stream)
        try:
            while not answer.finish:
                limit_s, why = deadlines.left_s(begun=answer.begun), deadlines.why(begun=answer.begun)
                try:
                    chunk = await self._within(limit_s, anext(chunks, None), why)
                except openai.APIConnectionError:
                    chunk = None
                if chunk is None:
                    raise _ended_early(stream, begun=answer.begun)
                for said in answer.take(chunk):
                    yield said
            for part in answer.end():
                yield part
            await self._await_usage(chunks, answer)
            if answer.usage is not None:
                yield answer.usage
        finally:
            await stream.close()

    async def _await_usage(self, chunks: AsyncIterator[ChatCompletionChunk], answer: ChatAnswer) -> None:
        """The figures stand behind the answer. Reading to the end also lets the connection be used again."""
        with suppress(*FAILURES, BrokenStream):
            while (chunk := await self._within(USAGE_TIMEOUT_S, anext(chunks, None), "")) is not None:
                answer.take(chunk)

    def _request(self, prompt: Prompt) -> tuple[dict[str, Any], Mapping[str, str]]:
        settings = self._settings
        tools, names = chat_tools(prompt.tools if settings.offer_tools else ())
        taken = settings.max_tokens + sum(tokens(str(tool)) for tool in tools)
        request: dict[str, Any] = {
            "model": self._model,
            "messages": chat_messages(prompt, self._window_tokens - taken),
            "temperature": settings.temperature,
            self._limit: settings.max_tokens,
            "stream": True,
            "stream_options": {"include_usage": True},
        }
        return (request | {"tools": tools} if tools else request), names

    async def _listed(self) -> list[str]:
        return [model.id async for model in self._client.models.list() if isinstance(model.id, str)]

    def _missing(self, listed: list[str]) -> str:
        """What is to be said of a model that is not among these."""
        where, wanted = self._settings.base_url, self._settings.model
        if not listed:
            return f"{where} has no model: fetch one, such as ollama pull llama3.2"
        if not wanted or wanted in listed or f"{wanted}:latest" in listed:
            return ""
        return f"{where} does not list {wanted}: set brain.model to one of {', '.join(listed[:8])}, or fetch it"

    def _given_up(self, failure: Exception, *, begun: bool) -> BrainError:
        why = explained(failure, self._settings, self._key)
        if not begun:
            self._window_tokens = self._settings.context_tokens  # shorter ones did no better
        if begun or isinstance(failure, openai.BadRequestError):
            return BrainError(why)
        self._outage.failed(why, self._clock.now_us(), round(wait_s(failure) * 1_000_000))
        return BrainError(why, APOLOGY)

    async def _within(self, limit_s: float, work: Awaitable[T], why: str) -> T:
        """Wait for the network. Raises `Silent` when it takes too long."""
        try:
            async with self._clock.external(), asyncio.timeout(limit_s):
                return await work
        except TimeoutError:
            raise Silent(why) from None


def _ended_early(stream: openai.AsyncStream[ChatCompletionChunk], *, begun: bool) -> BrokenStream:
    if begun:
        return BrokenStream("the model's answer broke off")
    if stream.response.headers.get("content-type", "").startswith("text/event-stream"):
        return EmptyStream()
    return BrokenStream("the model server sent no chat stream: see that brain.base_url is right to its /v1")


class _Deadlines:
    """Of one step, all attempts together."""

    def __init__(self, settings: BrainSettings, clock: Clock) -> None:
        self._settings = settings
        self._clock = clock
        self._began_us = clock.now_us()

    def left_s(self, *, begun: bool) -> float:
        """How long the next token may take."""
        settings, since_s = self._settings, (self._clock.now_us() - self._began_us) / 1_000_000
        own_s = settings.token_timeout_s if begun else settings.first_token_timeout_s - since_s
        return max(0.0, min(own_s, settings.answer_timeout_s - since_s))

    def why(self, *, begun: bool) -> str:
        """What is to be said when it does not come by then."""
        settings = self._settings
        model = settings.model or "the model"
        if not begun:
            late_s = min(settings.first_token_timeout_s, settings.answer_timeout_s)
            return f"{model} said nothing for {late_s:g} s: take a smaller one, or raise brain.first_token_timeout_s"
        if self.left_s(begun=True) < settings.token_timeout_s:
            return f"{model} was not done after {settings.answer_timeout_s:g} s: lower brain.max_tokens"
        return f"{model} fell silent for {settings.token_timeout_s:g} s in the middle: raise brain.token_timeout_s"


def _key(variable: str) -> str:
    if not variable:
        return ""
    key = os.environ.get(variable, "").strip()
    if not key:
        raise SettingsError(f"brain.api_key_env names {variable}, which is not set: put the API key into that variable")
    return key


def _local(url: str) -> bool:
    host = urlsplit(url).hostname or ""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
