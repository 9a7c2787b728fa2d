"""What speaking takes, with a voice of which it is known."""

from __future__ import annotations

from agent.bench.rows import speech_rows
from agent.bench.speech_cost import SpeechCost, speech_cost, speech_costs
from agent.clock import Clock, run_virtual
from agent.config.load import load
from tests.fixtures.even_voice import WORD_SAMPLES, EvenVoice


def test_the_cost_of_a_voice_that_takes_no_time() -> None:
    async def main() -> SpeechCost:
        clock = Clock()
        return await speech_cost(EvenVoice(None, clock), clock, 2, ("one two", "three"))

    cost = run_virtual(main())
    assert (cost.engine, cost.first_ms, cost.real_time_share) == ("even", 0.0, 0.0)
    assert cost.cpu_share is None or cost.cpu_share >= 0.0
    assert len(cost.pcm) == WORD_SAMPLES


def test_every_voice_that_is_present_is_measured() -> None:
    async def main() -> list[SpeechCost]:
        settings = load(None, {}, ["models.folder=nowhere", "brain.memory=:memory:"]).settings
        return await speech_costs(settings, Clock(), 1)

    [cost] = run_virtual(main())
    assert cost.engine == "espeak"
    [row] = speech_rows([cost])
    assert row.stage == "speech, espeak"
    assert "first audio after" in row.measured
