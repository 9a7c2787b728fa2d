"""Signals that the transport's tests share."""

from types import SimpleNamespace

import numpy as np
import pytest

from agent.transport import opus


def voice(seconds: float, rate: int = 48_000) -> np.ndarray:
    """A voiced sound: a gliding harmonic series under a syllable envelope."""
    t = np.arange(int(seconds * rate)) / rate
    phase = 2 * np.pi * np.cumsum(130 + 20 * np.sin(2 * np.pi * 1.5 * t)) / rate
    tone = sum(np.sin(k * phase) / k for k in range(1, 12))
    envelope = 0.55 + 0.45 * np.sin(2 * np.pi * 3 * t)
    return (4_000 * tone * envelope).astype(np.int16)


def packets(pcm: np.ndarray) -> list[bytes]:
    """48 kHz audio as Opus packets of 20 ms."""
    encoder = opus.Encoder()
    return [encoder.encode(pcm[at : at + 960]) for at in range(0, len(pcm) - 959, 960)]


def snr_db(reference: np.ndarray, other: np.ndarray) -> float:
    a, b = reference.astype(float), other.astype(float)
    return float(10 * np.log10((a * a).sum() / max(((a - b) ** 2).sum(), 1e-9)))


@pytest.fixture
def signals() -> SimpleNamespace:
    return SimpleNamespace(voice=voice, packets=packets, snr_db=snr_db)
