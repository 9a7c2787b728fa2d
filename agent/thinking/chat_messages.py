"""A prompt in the form of a chat API: what is sent to the model, and that it fits into its context window.

    system      how to talk, who to be, the day: the same for all prompts of a day, so that its cache holds
    user        what the user said, with notes in brackets in front of it, such as that it was heard unclearly
    assistant   what the user *heard*; a call, always followed by its result
    tool        that result

Messages are only ever added behind the others until the window is full. Then the oldest turns, half of all, are
left out at once and stand as a digest in front of the first that stays. What is left out depends on the
conversation alone, so each later prompt leaves out the same until the window is full again.
Chat templates differ in what they put up with, so roles alternate, and calls have plain ids of their own.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime

from agent.conversation.events import Json
from agent.thinking.port import Message, Prompt, ToolSpec

Chat = dict[str, Json]

STYLE = (
    "You are a voice agent: what you write is spoken aloud. Answer in one to three short, plain sentences, without "
    "markdown, lists, emoji or links. Use the tools for what you cannot know or have to do; before a tool has "
    "answered say nothing that depends on it. What you hear comes from a speech recogniser: if it makes no "
    "sense, ask."
)
INTERRUPTED = "I interrupted you there and heard no more of that."
UNCLEAR = "The recogniser heard this unclearly; some of it may be other words."
MAX_RESULT_CHARS = 8_000
"""Of one tool's result that the model is shown; of a small window less, as many as that has tokens."""
MIN_RESULT_CHARS = 200
DIGEST_SHARE = 5
"""The digest takes at most one part in so many of the window."""
MIN_DIGEST_LINE_CHARS = 40
MAX_DIGEST_LINE_CHARS = 160
MESSAGE_TOKENS = 8
"""What a message costs beside its text."""
_NAME = re.compile(r"[^a-zA-Z0-9_-]")
_SURROGATES = re.compile("[\ud800-\udfff]")


def chat_messages(prompt: Prompt, window_tokens: int) -> list[Chat]:
    """The messages for a model that has `window_tokens` left beside the tools and its answer."""
    parts = filter(None, (STYLE, prompt.instructions, _day(prompt)))
    system: Chat = {"role": "system", "content": _sound("\n\n".join(parts))}
    limit = min(MAX_RESULT_CHARS, max(MIN_RESULT_CHARS, window_tokens))
    turns = _turns([_shortened(message, limit) for message in prompt.messages])
    room = window_tokens - tokens(_dumped(system))
    start = _first_kept([sum(map(_message_tokens, turn)) for turn in turns], room - room // DIGEST_SHARE)
    left_out = [message for turn in turns[:start] for message in turn]
    kept = [message for turn in turns[start:] for message in turn]
    notes = [_digest(left_out, room // DIGEST_SHARE)] if left_out else []
    return [system, *_rendered(kept, notes)]


def chat_tools(specs: Sequence[ToolSpec]) -> tuple[list[Chat], Mapping[str, str]]:
    """The tools as the API takes them, and their own names by those that it takes."""
    names: dict[str, str] = {}
    offered: list[Chat] = []
    for spec in specs:
        name = _api_name(spec.name)
        if name in names:
            continue
        names[name] = spec.name
        parameters = dict(spec.parameters) or {"type": "object", "properties": {}}
        function: Json = {"name": name, "description": spec.description, "parameters": parameters}
        offered.append({"type": "function", "function": function})
    return offered, names


def tokens(text: str) -> int:
    """About how many tokens a text takes, rather too many."""
    plain = len(text) if text.isascii() else len(text.encode("ascii", "ignore"))
    return (2 * plain) // 7 + (len(text) - plain) + 1


# ── what fits ────────────────────────────────────────────────────────────────────────────


def _turns(messages: Sequence[Message]) -> list[list[Message]]:
    """Each begins with what the user said, but for what the agent said before that."""
    found: list[list[Message]] = []
    for message in messages:
        if message.role == "user" or not found:
            found.append([])
        found[-1].append(message)
    return found


def _shortened(message: Message, limit: int) -> Message:
    """A result of at most so many characters."""
    if message.role != "result":
        return message
    told, said = _result(replace(message, error_class="")), message.text
    if len(told) > limit:
        message = replace(message, content=f"{told[:limit]} … (the rest is left out)")
    return message if len(said) <= limit else replace(message, text=f"{said[:limit]} …")


def _first_kept(sizes: Sequence[int], room: int) -> int:
    """The first turn that still fits, as it was decided turn by turn while the conversation grew."""
    start = size = 0
    for at, one in enumerate(sizes):
        size += one
        if size > room:
            while start < at and size > room // 2:
                size -= sizes[start]
                start += 1
    return start


def _message_tokens(message: Message) -> int:
    match message.role:
        case "result":
            text = _result(message)
        case "call":
            text = _dumped(message.arguments) + message.name
        case _:
            text = message.text + UNCLEAR * (not message.understood) + INTERRUPTED * bool(message.cut)
    return MESSAGE_TOKENS + tokens(text)


def _digest(messages: Sequence[Message], room: int) -> str:
    """The turns that are left out, a line for each thing said or done, the shorter the more they are. Where not all
    fit, what the agent said is left out first, and then what is oldest."""
    lines = list(filter(None, map(_digest_line, messages)))
    if len(lines) * tokens("x" * MIN_DIGEST_LINE_CHARS) > room:
        lines = list(filter(None, (_digest_line(message) for message in messages if message.role != "agent")))
    limit = max(MIN_DIGEST_LINE_CHARS, min(MAX_DIGEST_LINE_CHARS, 3 * room // max(1, len(lines))))
    kept: list[str] = []
    for line in reversed(lines):
        short = line if len(line) <= limit else line[: limit - 1] + "…"
        room -= tokens(short)
        if room < 0:
            kept.append("…")
            break
        kept.append(short)
    return "What was said before, in short:\n" + "\n".join(reversed(kept))


def _digest_line(message: Message) -> str:
    match message.role:
        case "user":
            text = f"I said{'' if message.understood else ', perhaps'}: {message.text}"
        case "agent" if message.text:
            text = f"You said: {message.text}"
        case "result":
            text = f"{message.name} {'failed' if message.error_class else 'gave'}: {_result(message)}"
        case "note":
            text = message.text
        case _:
            return ""
    return " ".join(text.split())


# ── how it is put ────────────────────────────────────────────────────────────────────────


def _rendered(messages: Sequence[Message], notes: list[str]) -> list[Chat]:
    """`notes` stand in front of what the user says next; interruptions and outcomes are added to them."""
    results = _paired(messages)
    found: list[Chat] = []
    for at, message in enumerate(messages):
        match message.role:
            case "user":
                notes = notes if message.understood else [*notes, UNCLEAR]
                _add(found, "user", "\n\n".join([*(f"[{note}]" for note in notes), message.text]), "\n\n")
                notes = []
            case "agent":
                if message.text:
                    if not found:
                        _add(found, "user", "[You speak first.]", "")
                    _add(found, "assistant", message.text, " ")
                if message.cut:
                    notes = [*notes, INTERRUPTED]
            case "note":
                notes = [*notes, message.text]
            case "call" if at in results:
                found += _exchange(message, results[at])
    return found


def _paired(messages: Sequence[Message]) -> dict[int, Message]:
    """The result of each call, by where that stands. A call without one is left out, as is a result without a call."""
    waiting: dict[str, int] = {}
    found: dict[int, Message] = {}
    for at, message in enumerate(messages):
        if message.role == "call":
            waiting[message.call_id] = at
        elif message.role == "result" and message.call_id in waiting:
            found[waiting.pop(message.call_id)] = message
    return found


def _exchange(call: Message, result: Message) -> list[Chat]:
    call_id = hashlib.blake2s(f"{call.event_id} {call.call_id}".encode(), digest_size=5).hexdigest()[:9]
    function: Json = {"name": _api_name(call.name), "arguments": _dumped(call.arguments)}
    calls: Json = [{"id": call_id, "type": "function", "function": function}]
    return [
        {"role": "assistant", "content": "", "tool_calls": calls},
        {"role": "tool", "tool_call_id": call_id, "content": _result(result)},
    ]


def _result(message: Message) -> str:
    if message.error_class:
        return _dumped({"error": message.error_class, "message": message.text})
    return _sound(message.content if isinstance(message.content, str) else _dumped(message.content))


def _add(found: list[Chat], role: str, text: str, between: str) -> None:
    """One more message, or more of the last one if that is of the same role."""
    last = found[-1] if found else {}
    if last.get("role") == role and "tool_calls" not in last:
        last["content"] = f"{last['content']}{between}{_sound(text)}"
    else:
        found.append({"role": role, "content": _sound(text)})


def _day(prompt: Prompt) -> str:
    """The day but not the time, which would be another in every prompt."""
    now: datetime = prompt.user.now
    return f"Today is {now:%A}, {now.day} {now:%B %Y}. The user's time zone is {prompt.user.time_zone}."


def _api_name(name: str) -> str:
    return _NAME.sub("_", name)[:64]


def _dumped(value: object) -> str:
    """JSON without anything that cannot be sent."""
    return _sound(json.dumps(value, ensure_ascii=False, default=dict))


def _sound(text: str) -> str:
    return _SURROGATES.sub("�", text)
