"""What a tool of an MCP server answered, as our tools answer."""

from __future__ import annotations

import json

from mcp_types import CallToolResult, TextContent

from agent.conversation.events import Json

MAX_CHARS = 20_000
"""Of one result, which every later prompt carries; the rest is left out, and said to be."""


def content_of(result: CallToolResult) -> Json:
    """Its text where it has any, else its structured content; what is neither is only named."""
    texts = [block.text for block in result.content if isinstance(block, TextContent)]
    if not texts and result.structured_content is not None:
        structured: Json = result.structured_content
        return structured if len(json.dumps(structured)) <= MAX_CHARS else shortened(json.dumps(structured))
    others = [f"[{block.type}]" for block in result.content if not isinstance(block, TextContent)]
    return shortened("\n".join([*texts, *others]))


def shortened(text: str) -> str:
    left_out = len(text) - MAX_CHARS
    return text if left_out <= 0 else f"{text[:MAX_CHARS]} … ({left_out} more characters were left out)"
