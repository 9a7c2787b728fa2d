"""The receive buffer: order, completeness, delay. Packets carry their number as payload."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.errors import WireError
from agent.transport import opus
from agent.transport.receive_buffer import MAX_WAIT_US, ReceiveBuffer

FRAME = 320
RECOVERED, CONCEALED = 20_000, 30_000


class Numbered:
    """A decoder whose frames say where they come from: 1000 + n, 20000 + n or 30000."""

    def decode(self, payload):
        if payload == b"damaged":
            raise WireError("damaged")
        return np.full(FRAME, 1_000 + int(payload), np.int16)

    def conceal(self, samples):
        return np.full(samples, CONCEALED, np.int16)

    def recover(self, following, samples):
        return np.full(samples, RECOVERED + int(following) - 1, np.int16)

    def reset(self):
        pass


class Line:
    """A network line into a buffer: packets leave every 20 ms and arrive when they are told to."""

    def __init__(self, first_sequence=65_530, first_timestamp=2**32 - 3_000):
        self.buffer = ReceiveBuffer(Numbered())
        self.first = (first_sequence, first_timestamp)
        self.out = []
        """(time in ms, label) of every frame handed on."""

    def carry(self, arrivals, until_ms=None):
        """arrivals: (ms, n) in any order."""
        for at, n in sorted(arrivals):
            self.advance(at)
            self.push(at, n, str(n).encode())
        if until_ms is not None:
            self.advance(until_ms)
        return self.labels()

    def push(self, at, n, payload):
        sequence, timestamp = (self.first[0] + n) % 65_536, (self.first[1] + 960 * n) % 2**32
        self.take(at, self.buffer.push(sequence, timestamp, payload, round(at * 1_000)))

    def advance(self, to_ms):
        while (due := self.buffer.deadline_us()) is not None and due <= to_ms * 1_000:
            self.take(due / 1_000, self.buffer.poll(due))

    def take(self, at, frames):
        self.out += [(at, int(frame[0])) for frame in frames]

    def labels(self):
        return [label for _, label in self.out]


def decoded(labels):
    return [label - 1_000 for label in labels if 1_000 <= label < 20_000]


def test_a_clean_line_adds_no_delay():
    line = Line()
    line.carry([(20 * n, n) for n in range(50)])
    assert line.out == [(20 * n, 1_000 + n) for n in range(50)]


def test_jitter_adds_no_delay_and_no_frames():
    line = Line()
    arrivals = [(20 * n + (n * 7) % 19, n) for n in range(200)]
    line.carry(arrivals)
    assert line.out == [(at, 1_000 + n) for at, n in arrivals]


def test_one_loss_is_recovered_when_the_next_packet_comes():
    line = Line()
    line.carry([(20 * n, n) for n in range(20) if n != 7])
    assert line.labels() == [1_000 + n if n != 7 else RECOVERED + 7 for n in range(20)]
    assert (160, RECOVERED + 7) in line.out
    assert line.buffer.counts.recovered == 1


def test_a_longer_loss_is_concealed_and_its_end_recovered():
    line = Line()
    line.carry([(20 * n, n) for n in range(20) if n not in (7, 8, 9)])
    labels = line.labels()
    assert labels[7:10] == [CONCEALED, CONCEALED, RECOVERED + 9]
    assert decoded(labels) == [n for n in range(20) if n not in (7, 8, 9)]


def test_a_long_loss_is_silence_meanwhile_and_shortened_afterwards():
    line = Line()
    line.carry([(20 * n, n) for n in range(60) if not 10 <= n < 35])
    labels = line.labels()
    assert decoded(labels) == [*range(10), *range(35, 60)]
    made_up = len(labels) - 35
    assert 20 <= made_up <= 26
    assert labels.count(CONCEALED) <= 5


def test_reordering_is_learned():
    """Pairs swapped: the first is taken for lost, then the buffer waits for the others."""
    line = Line()
    order = [n + 1 if n % 2 == 0 else n - 1 for n in range(40)]
    line.carry([(20 * slot, n) for slot, n in enumerate(order)])
    assert decoded(line.labels())[-30:] == list(range(10, 40))
    assert line.buffer.counts.late <= 1
    assert 0 < line.buffer.wait_us <= MAX_WAIT_US


def test_the_wait_is_bounded_and_forgotten():
    line = Line()
    line.carry([(20 * n + (400 if n % 20 == 5 else 0), n) for n in range(200)])
    assert line.buffer.wait_us == MAX_WAIT_US
    before = len(line.out)
    line.carry([(20 * n, n) for n in range(230, 1_500)])
    assert line.buffer.wait_us < 5_000
    assert len(line.out) > before


def test_a_gap_waits_no_longer_than_the_bound():
    line = Line()
    line.carry([(20 * n + (110 if n % 10 == 5 else 0), n) for n in range(100)])
    at, lost = 2_000, 100
    line.carry([(20 * n, n) for n in range(lost + 1, 120)])
    given_up = next(at for at, label in line.out if label == RECOVERED + lost)
    assert at <= given_up <= at + MAX_WAIT_US / 1_000 + 20


def test_duplicates_and_late_packets_are_dropped():
    line = Line()
    line.carry([(20 * n, n) for n in range(10)] + [(20 * n + 1, n) for n in range(10)])
    assert line.labels() == [1_000 + n for n in range(10)]
    assert line.buffer.counts.duplicate == 10


def test_silence_when_nothing_comes_is_paced_and_ends():
    line = Line()
    line.carry([(20 * n, n) for n in range(10)], until_ms=10_000)
    silent = [at for at, label in line.out if label == 0]
    assert silent[0] == 180 + 20 + 70
    assert {round(b - a) for a, b in pairwise(silent)} == {20}
    assert len(silent) == 100
    assert line.buffer.deadline_us() is None


def test_speech_goes_on_after_a_pause_of_the_sender():
    """Discontinuous transmission: sequence numbers go on, timestamps jump."""
    line = Line()
    line.carry([(20 * n, n) for n in range(10)])
    for k in range(10):
        sequence, timestamp = (65_530 + 10 + k) % 65_536, (2**32 - 3_000 + 960 * (110 + k)) % 2**32
        at = 20 * (110 + k)
        line.advance(at)
        line.take(at, line.buffer.push(sequence, timestamp, str(10 + k).encode(), at * 1_000))
    assert decoded(line.labels()) == list(range(20))
    assert CONCEALED not in line.labels()


def test_words_that_come_late_are_not_lost():
    line = Line()
    stalled = [(20 * n if n < 10 or n >= 40 else 790 + n / 10, n) for n in range(60)]
    line.carry(stalled)
    assert decoded(line.labels()) == list(range(60))


@pytest.mark.parametrize("jump", [5_000, -5_000, 30_000])
def test_another_stream_takes_over(jump):
    line = Line()
    line.carry([(20 * n, n) for n in range(10)])
    for k in range(5):
        at = 200 + 20 * k
        line.take(at, line.buffer.push((65_530 + jump + k) % 65_536, 77 + 960 * k, str(500 + k).encode(), at * 1_000))
    assert decoded(line.labels())[-4:] == [501, 502, 503, 504]
    assert line.buffer.counts.restarts == 1


def test_a_single_stray_packet_changes_nothing():
    line = Line()
    line.carry([(20 * n, n) for n in range(10)])
    assert line.buffer.push(12_345, 1, b"999", 190_000) == []
    line.carry([(20 * n, n) for n in range(10, 20)])
    assert decoded(line.labels()) == list(range(20))


def test_a_damaged_packet_is_concealed():
    line = Line()
    line.carry([(0, 0), (20, 1)])
    line.push(40, 2, b"damaged")
    line.carry([(60, 3)])
    assert line.labels() == [1_000, 1_001, CONCEALED, 1_003]
    assert line.buffer.push(3, 0, b"", 70_000) == []


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_whatever_the_network_does(data):
    """Any loss, delay, reordering and duplication: order, no repeats, nothing waits for ever."""
    count = data.draw(st.integers(1, 80))
    fates = data.draw(
        st.lists(
            st.tuples(st.floats(0, 400), st.sampled_from(["once", "once", "once", "lost", "twice"])),
            min_size=count,
            max_size=count,
        )
    )
    arrivals = []
    for n, (delay, fate) in enumerate(fates):
        arrivals += {"lost": [], "once": [(20 * n + delay, n)], "twice": [(20 * n + delay, n)] * 2}[fate]
    line = Line(data.draw(st.integers(0, 65_535)), data.draw(st.integers(0, 2**32 - 1)))
    line.carry(arrivals, until_ms=20 * count + 5_000)
    got = decoded(line.labels())
    assert got == sorted(set(got))
    counts = line.buffer.counts
    came = {n for _, n in arrivals}
    first = min(arrivals)[1] if arrivals else 0
    assert len(got) + counts.late + counts.duplicate == len(arrivals)
    assert set(got) <= came
    assert len(line.out) <= count + (20 * count + 5_000) / 20
    if arrivals and all(delay == 0 for delay, _ in fates):
        assert set(got) == {n for n in came if n >= first}
    if arrivals:
        assert line.buffer.deadline_us() is None, "silence has ended and no gap is left"


@settings(max_examples=100, deadline=None)
@given(st.lists(st.floats(0, 300), min_size=1, max_size=100))
def test_in_order_packets_never_wait(delays):
    line, at, arrivals = Line(), 0.0, []
    for n, delay in enumerate(delays):
        at = max(at, 20 * n + delay)
        arrivals.append((at, n))
    line.carry(arrivals)
    assert [(at, label - 1_000) for at, label in line.out if label >= 1_000] == arrivals


def test_real_speech_survives_loss(signals):
    """10 % loss through Opus: nearer to the original than zeros in the holes would be."""
    sent = signals.packets(signals.voice(4.0))
    whole = opus.Decoder()
    reference = np.concatenate([whole.decode(packet) for packet in sent])
    lost = {n for n in range(5, len(sent) - 1) if (n * 37) % 10 == 0}
    buffer, out = ReceiveBuffer(opus.Decoder()), []
    for n, packet in enumerate(sent):
        if n not in lost:
            out += buffer.push(n, 960 * n, packet, 20_000 * n)
    heard = np.concatenate(out)
    holes = reference.copy()
    for n in lost:
        holes[n * FRAME : (n + 1) * FRAME] = 0
    assert len(heard) == len(reference)
    print(
        f"SNR with {len(lost)} of {len(sent)} packets lost: {signals.snr_db(reference, heard):.1f} dB, "
        f"zeros instead: {signals.snr_db(reference, holes):.1f} dB"
    )
    assert signals.snr_db(reference, heard) > signals.snr_db(reference, holes) + 6
