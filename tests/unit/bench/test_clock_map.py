"""The caller's clock and the session's, compared by messages."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.bench.clock_map import ClockMap

DELAYS = st.lists(st.integers(0, 200_000), min_size=1, max_size=20)


@given(st.integers(-(10**9), 10**9), DELAYS, DELAYS)
def test_the_true_offset_lies_within_the_uncertainty(offset_us, up, down):
    clocks = ClockMap()
    for index, delay_us in enumerate(up):
        clocks.sent(client_us=index * 1_000 + offset_us - delay_us, session_us=index * 1_000)
    for index, delay_us in enumerate(down):
        clocks.received(client_us=index * 1_000 + offset_us + delay_us, session_us=index * 1_000)
    assert abs(clocks.offset_us - offset_us) <= clocks.uncertainty_us + 1
    assert clocks.uncertainty_us <= (min(up) + min(down)) / 2


def test_one_way_is_not_enough():
    clocks = ClockMap()
    clocks.received(100, 50)
    assert not clocks.known
    with pytest.raises(ValueError, match="both ways"):
        clocks.to_client_us(0)
    clocks.sent(90, 50)
    assert clocks.known
    assert clocks.to_client_us(1_000) == 1_045
