"""Engines and servers whose libraries are large: each is imported when it is made, which is when a setting names it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agent.clock import Clock
from agent.hearing.port import Asr, Vad
from agent.settings import Settings, VadSettings
from agent.speaking.port import Tts
from agent.thinking.port import Brain

if TYPE_CHECKING:
    from agent.thinking.mcp.server import McpServer


def silero(settings: VadSettings) -> Vad:
    """Raises `EngineError`."""
    from agent.hearing.vad_silero import SileroVad

    return SileroVad(settings)


def whisper(settings: Settings, clock: Clock) -> Asr:
    """From the models folder."""
    from agent.hearing.asr_whisper import WhisperAsr

    return WhisperAsr(settings.asr, clock, settings.models.folder)


def piper(settings: Settings, clock: Clock) -> Tts:
    """From the models folder."""
    from agent.speaking.tts_piper import PiperTts

    return PiperTts(settings.tts, settings.models.folder, clock)


def openai(settings: Settings, clock: Clock) -> Brain:
    """Raises `SettingsError`."""
    from agent.thinking.brain_openai import OpenAiBrain

    return OpenAiBrain(settings.brain, clock)


def mcp_servers(settings: Settings) -> list[McpServer]:
    if not settings.mcp:
        return []
    from agent.thinking.mcp.server import McpServer

    return [McpServer(name, given) for name, given in settings.mcp.items()]
