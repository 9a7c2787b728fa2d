"""What a caller heard, rebuilt from packets that are samples."""

import numpy as np

from agent.bench.heard import FRAME_SAMPLES, Packet, rebuild
from agent.errors import WireError


class Raw:
    """A "codec" whose packets are the frame's level, or damaged."""

    def decode(self, payload):
        if payload == b"damaged":
            raise WireError("damaged")
        return np.full(FRAME_SAMPLES, int(payload), np.int16)


def packets(levels, start=0, first_us=1_000_000):
    return [
        Packet((start + 960 * index) & 0xFFFFFFFF, first_us + 20_000 * index, str(level).encode())
        for index, level in enumerate(levels)
    ]


def test_levels_times_and_spans():
    heard = rebuild(packets([0, 0, 99, 100, 5_000, 0]), {3 * 960: 1_150_000}, Raw())
    assert list(heard.rms) == [0, 0, 99, 100, 5_000, 0]
    assert list(heard.audible_between(0, 10**9)) == [3, 4]
    assert list(heard.audible_between(1_070_000, 10**9)) == [4]
    assert list(heard.handed_us) == [-1, -1, -1, 1_150_000, -1, -1]
    assert heard.pcm_between(1_060_000, 1_080_000).shape == (2 * FRAME_SAMPLES,)


def test_order_repeats_loss_damage_and_wrap_around():
    sent = packets([1, 2, 3, 4, 5], start=2**32 - 2 * 960)
    sent[3] = Packet(sent[3].timestamp, sent[3].arrived_us, b"damaged")
    heard = rebuild([sent[0], sent[2], sent[1], sent[1], sent[3], *packets([9], start=4 * 960)], {}, Raw())
    assert list(heard.frames) == [0, 1, 2, 3, 6]
    assert list(heard.rms) == [1, 2, 3, 0, 9]


def test_lateness_is_against_the_most_punctual_frame_even_over_a_gap():
    sent = packets([1] * 10)
    sent[4] = Packet(sent[4].timestamp, sent[4].arrived_us + 7_500, b"1")
    heard = rebuild([*sent[:6], *sent[8:]], {}, Raw())
    late = heard.lateness_ms(0, 10**9)
    assert late.max() == 7.5
    assert sorted(late)[-2] == 0
    assert heard.lateness_ms(0, 1).size == 0


def test_nothing_received():
    heard = rebuild([], {}, Raw())
    assert heard.audible_between(0, 10**9).size == 0
    assert heard.pcm_between(0, 10**9).size == 0
