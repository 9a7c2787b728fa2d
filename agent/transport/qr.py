"""A QR code of a link (ISO/IEC 18004), for the camera of another device."""

from __future__ import annotations

import io

import segno
from fastapi import Request, Response

from agent.errors import WireError
from agent.transport.body import read_body

MAX_BYTES = 1_000
"""A code that holds more is too fine for a phone held in front of a screen."""


async def draw(request: Request) -> Response:
    """The text of the body as an SVG. It is posted, because links hold tokens and addresses are kept in histories."""
    body = await read_body(request, MAX_BYTES)
    try:
        text = body.decode()
    except UnicodeDecodeError as error:
        raise WireError("the body must be the text of the code, in UTF-8") from error
    if not text:
        raise WireError("the body must be the text of the code")
    drawing = io.BytesIO()
    segno.make(text, error="m", micro=False).save(drawing, kind="svg", border=4, scale=4)
    return Response(drawing.getvalue(), media_type="image/svg+xml")
