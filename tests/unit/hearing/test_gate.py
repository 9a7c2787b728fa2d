from agent.hearing.gate import Gate, NoiseFloor
from agent.settings import VadSettings

SETTINGS = VadSettings(frame_ms=10, onset_ms=60, hangover_ms=100, min_rms=60)


def run(gate: Gate, frames: list[tuple[float, float]]) -> list[tuple[int, str]]:
    """The edges, with the index of the frame that made them."""
    return [(index, edge) for index, frame in enumerate(frames) if (edge := gate.step(*frame))]


def test_an_utterance_starts_after_the_onset_and_stops_after_the_hangover() -> None:
    edges = run(Gate(SETTINGS), [(0.0, 5.0)] * 10 + [(1.0, 2_000.0)] * 30 + [(0.0, 5.0)] * 30)
    assert edges == [(15, "started"), (49, "stopped")]


def test_a_click_shorter_than_the_onset_is_not_speech() -> None:
    assert run(Gate(SETTINGS), [(0.0, 5.0)] * 10 + [(1.0, 2_000.0)] * 5 + [(0.0, 5.0)] * 30) == []


def test_a_pause_shorter_than_the_hangover_does_not_split() -> None:
    frames = [(1.0, 2_000.0)] * 20 + [(0.0, 5.0)] * 9 + [(1.0, 2_000.0)] * 20 + [(0.0, 5.0)] * 20
    assert [edge for _, edge in run(Gate(SETTINGS), frames)] == ["started", "stopped"]


def test_what_an_engine_trails_behind_the_last_word_is_cut_by_level() -> None:
    gate = Gate(SETTINGS)
    edges = run(gate, [(1.0, 5_000.0)] * 30 + [(1.0, 70.0)] * 30)
    assert edges == [(5, "started"), (39, "stopped")]


def test_a_weak_ending_is_still_speech() -> None:
    gate = Gate(SETTINGS)
    run(gate, [(1.0, 5_000.0)] * 30 + [(1.0, 120.0)] * 20)
    assert gate.speaking
    assert gate.silent_frames == 0


def test_a_steady_sound_is_speech_no_longer_than_the_floor_takes_to_learn_it() -> None:
    edges = run(Gate(SETTINGS), [(1.0, 1_000.0)] * 1_000)
    assert [edge for _, edge in edges] == ["started", "stopped"]


def test_quiet_frames_are_silence_whatever_the_engine_says() -> None:
    assert run(Gate(SETTINGS), [(1.0, 59.0)] * 100) == []


def test_a_soft_voice_counts_soon_after_a_bang() -> None:
    gate = Gate(SETTINGS)
    bang_and_pause = [(1.0, 25_000.0)] * 10 + [(0.0, 5.0)] * 100
    edges = run(gate, bang_and_pause + [(1.0, 200.0)] * 20)
    assert [edge for _, edge in edges] == ["started", "stopped", "started"]


def test_the_threshold_decides_for_engines_that_give_probabilities() -> None:
    strict = SETTINGS.model_copy(update={"threshold": 0.8})
    gate = Gate(SETTINGS)
    assert run(gate, [(0.7, 2_000.0)] * 5) == []
    gate.configure(strict)
    assert run(gate, [(0.7, 2_000.0)] * 50) == []
    assert run(gate, [(0.9, 2_000.0)] * 6) == [(5, "started")]


def test_longer_frames_need_fewer_of_them() -> None:
    gate = Gate(SETTINGS.model_copy(update={"frame_ms": 30}))
    assert run(gate, [(1.0, 2_000.0)] * 5 + [(0.0, 5.0)] * 5) == [(1, "started"), (8, "stopped")]


def test_the_floor_is_the_quietest_of_three_seconds() -> None:
    floor = NoiseFloor(10)
    for _ in range(140):
        floor.step(500.0)
    assert floor.rms == 0.0
    for rms in [500.0] * 100 + [20.0] * 10 + [500.0] * 100:
        floor.step(rms)
    assert floor.rms == 20.0
    for _ in range(400):
        floor.step(500.0)
    assert floor.rms == 500.0
