"""Session descriptions as text: what an offer must have, and what aiortc's answer lacks.

RFC 8866 (SDP), RFC 8839 (ICE in SDP), RFC 7587 (Opus), RFC 8841 (SCTP).
"""

from __future__ import annotations

import re

from aiortc.sdp import MediaDescription, SessionDescription

from agent.errors import WireError

MAX_MEDIA = 8
MAX_CANDIDATES = 32
"""Candidates of an offer that are tried; a longer list would make this host knock at many doors."""

_RTPMAP_OPUS = re.compile(r"a=rtpmap:(\d+) opus/48000", re.IGNORECASE)


def clean_offer(text: str) -> str:
    """The offer as aiortc shall see it. Raises `WireError` for one that cannot become a call.

    Candidates with mDNS names are removed: resolving one takes up to a second of the set-up,
    and a browser that hides its addresses reaches this host by itself. Together with them goes
    the mark that the list is complete, without which its first check is waited for.
    """
    _check(_parse(text))
    lines, candidates = [], 0
    for line in text.splitlines():
        if line.startswith("a=candidate:"):
            candidates += 1
            if ".local " in line or candidates > MAX_CANDIDATES:
                continue
        if line and line != "a=end-of-candidates":
            lines.append(line)
    return "\r\n".join(lines) + "\r\n"


def finish_answer(text: str, message_bytes: int) -> str:
    """aiortc's answer, asking for in-band redundancy and naming the largest message taken."""
    lines = []
    for line in text.splitlines():
        if line.startswith("a=max-message-size:"):
            line = f"a=max-message-size:{message_bytes}"
        lines.append(line)
        if found := _RTPMAP_OPUS.match(line):
            lines.append(f"a=fmtp:{found[1]} minptime=10;useinbandfec=1")
    return "\r\n".join(lines) + "\r\n"


def _parse(text: str) -> SessionDescription:
    if not text.startswith("v=0"):
        raise WireError("the body is not SDP: it must begin with v=0 and be an offer of a WebRTC peer")
    try:
        return SessionDescription.parse(text)
    except (ValueError, IndexError, KeyError, AttributeError, TypeError, AssertionError) as error:
        raise WireError(f"the SDP cannot be read: {error or type(error).__name__}") from error


def _check(offer: SessionDescription) -> None:
    if len(offer.media) > MAX_MEDIA:
        raise WireError(f"the offer has {len(offer.media)} media sections; at most {MAX_MEDIA} are taken")
    audio = [media for media in offer.media if media.kind == "audio"]
    if not audio:
        raise WireError("the offer has no audio: add an audio track, or an audio transceiver with direction recvonly")
    if not any(codec.mimeType.lower() == "audio/opus" for codec in audio[0].rtp.codecs):
        raise WireError("the offer has no Opus: the first audio section must offer opus/48000")
    if audio[0].direction not in ("sendrecv", "recvonly"):
        raise WireError(f"the audio is {audio[0].direction}; it must be sendrecv or recvonly, or no answer is heard")
    mids = [media.rtp.muxId for media in offer.media]
    if not all(mids):
        raise WireError("a media section of the offer has no a=mid")
    if len(set(mids)) != len(mids):
        raise WireError("two media sections of the offer have the same a=mid")
    for media in offer.media:
        _check_media(media)


def _check_media(media: MediaDescription) -> None:
    if media.kind not in ("audio", "video", "application"):
        raise WireError(f"media of kind {media.kind!r} is not known: audio, video and application are")
    if media.ice is None or not media.ice.usernameFragment or not media.ice.password:
        raise WireError(f"the {media.kind} section has no a=ice-ufrag and a=ice-pwd")
    if media.dtls is None or not media.dtls.fingerprints:
        raise WireError(f"the {media.kind} section has no a=fingerprint: only DTLS is spoken here")
    if media.kind != "application" and not media.rtcp_mux:
        raise WireError(f"the {media.kind} section has no a=rtcp-mux")
