from __future__ import annotations

import numpy as np

from agent.hearing.history import History

FRAME = 320
FRAME_US = 20_000


def ramp(number: int) -> np.ndarray:
    """A frame whose samples say where they belong."""
    return np.arange(number * FRAME, (number + 1) * FRAME, dtype=np.float32)


def filled(frames: int, late_us: dict[int, int] | None = None, samples: int = 3_200) -> History:
    history = History(samples)
    for number in range(frames):
        history.append(ramp(number), (number + 1) * FRAME_US + (late_us or {}).get(number, 0))
    return history


def test_samples_are_found_by_their_time() -> None:
    history = filled(20)
    assert history.end == 20 * FRAME
    assert (history.window(6_000, 100) == np.arange(5_900, 6_000)).all()


def test_what_is_not_kept_or_not_there_yet_is_silence() -> None:
    history = filled(20)
    assert (history.window(6_500, 200)[:100] == np.arange(6_300, 6_400)).all()
    assert (history.window(6_500, 200)[100:] == 0).all()
    oldest = 6_400 - 3_200
    assert (history.window(oldest + 50, 100)[:50] == 0).all()
    assert (history.window(oldest + 50, 100)[50:] == np.arange(oldest, oldest + 50)).all()
    assert (history.window(100, 50) == 0).all()
    assert (history.window(60_000, 50) == 0).all()


def test_a_late_frame_lies_where_it_belongs() -> None:
    history = filled(20, {10: 90_000, 11: 70_000, 12: 50_000})
    assert history.end == 20 * FRAME
    assert (history.window(6_000, 2_500) == np.arange(3_500, 6_000)).all()


def test_after_an_interruption_the_stream_goes_on_at_its_new_time() -> None:
    history = filled(5)
    history.append(ramp(5), 3_000_000)
    assert history.end == 48_000
    assert (history.window(48_000, FRAME) == ramp(5)).all()
    assert (history.window(48_000 - FRAME, 1_000) == 0).all()


def test_a_first_frame_that_came_late_is_put_right_by_the_next() -> None:
    history = filled(3, {0: 200_000})
    assert history.end == 3 * FRAME


def test_lost_samples_are_noticed_once_no_frame_is_on_time_any_more() -> None:
    history = filled(20)
    for number in range(20, 80):
        history.append(ramp(number), (number + 1) * FRAME_US + 100_000)
    assert history.end == 80 * FRAME + 1_600
