"""The body of a request, bounded in size and time."""

from __future__ import annotations

import asyncio

from fastapi import Request
from starlette.exceptions import HTTPException

BODY_S = 10.0


async def read_body(request: Request, limit_bytes: int) -> bytes:
    """The body, refused with 413 as soon as it is too long and 408 when it does not come."""
    body = bytearray()
    try:
        async with asyncio.timeout(BODY_S):
            async for chunk in request.stream():
                body += chunk
                if len(body) > limit_bytes:
                    raise HTTPException(413, f"the body is longer than {limit_bytes} bytes")
    except TimeoutError as error:
        raise HTTPException(408, f"the body did not come within {BODY_S:.0f} s") from error
    return bytes(body)
