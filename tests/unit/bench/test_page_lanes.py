"""The page's cut as it is found in the lanes of its audio graph."""

from __future__ import annotations

import numpy as np

from agent.bench.page import LOUD, Powers, lane_cuts

QUANTUM_MS = 2.5
SECOND = 400


def lanes(onset: int, cut: int | None) -> list[Powers]:
    """Three seconds: the agent speaks, somebody speaks from `onset` on, the ear is silent from `cut` on."""
    microphone, remote, ear = (np.full(3 * SECOND, power, np.float32) for power in (0.0, 10 * LOUD, 10 * LOUD))
    microphone[onset : onset + SECOND] = 10 * LOUD
    if cut is not None:
        ear[cut:] = 0.0
    return [microphone, remote, ear]


def found(microphone: Powers, remote: Powers, ear: Powers) -> tuple[list[float], int]:
    cuts_ms, missed = lane_cuts(microphone, remote, ear, QUANTUM_MS)
    return [round(ms, 3) for ms in cuts_ms], missed


def test_from_the_first_loud_quantum_to_the_first_silent_one() -> None:
    assert found(*lanes(500, 504)) == ([10.0], 0)


def test_what_is_not_cut_is_missed() -> None:
    assert found(*lanes(500, None)) == ([], 1)


def test_a_pause_of_the_agent_is_no_cut() -> None:
    microphone, remote, ear = lanes(500, None)
    for lane in (remote, ear):
        lane[510:530] = 0.0
    assert found(microphone, remote, ear) == ([], 1), "both lanes fell silent: the agent paused by itself"
    ear[526:] = 0.0
    assert found(microphone, remote, ear) == ([], 0), "nobody knows when in the pause it was cut"


def test_speech_into_the_agents_silence_is_no_barge_in() -> None:
    microphone, remote, ear = lanes(500, None)
    for lane in (remote, ear):
        lane[:] = 0.0
    assert found(microphone, remote, ear) == ([], 0)


def test_the_middle_of_a_sentence_is_no_onset() -> None:
    microphone, remote, ear = lanes(500, 504)
    microphone[560:580] = 0.0
    ear[570:] = remote[570:]
    assert found(microphone, remote, ear) == ([10.0], 0)
