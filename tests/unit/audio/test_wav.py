import wave

import numpy as np
import pytest

from agent.audio.wav import write_wav
from agent.errors import AudioError


def blocks(count=3):
    return [np.array([[n, -n], [n + 1, 100]], dtype=np.int16) for n in range(count)]


def read(path):
    with wave.open(str(path)) as wav:
        pcm = np.frombuffer(wav.readframes(wav.getnframes()), "<i2").reshape(-1, wav.getnchannels())
        return wav.getframerate(), pcm


def test_what_was_written_is_read_back(tmp_path):
    write_wav(tmp_path / "out.wav", blocks(), 48_000, channels=2)
    rate, pcm = read(tmp_path / "out.wav")
    assert rate == 48_000
    assert np.array_equal(pcm, np.concatenate(blocks()))
    assert [path.name for path in tmp_path.iterdir()] == ["out.wav"]


def test_no_blocks_make_a_file_without_samples(tmp_path):
    write_wav(tmp_path / "out.wav", [], 16_000, channels=1)
    assert len(read(tmp_path / "out.wav")[1]) == 0


def test_a_write_that_breaks_off_leaves_the_old_file_whole(tmp_path):
    def broken():
        yield blocks()[0]
        raise OSError(28, "No space left on device")

    target = tmp_path / "out.wav"
    target.write_bytes(b"old")
    with pytest.raises(AudioError, match="No space left on device"):
        write_wav(target, broken(), 48_000, channels=2)
    assert target.read_bytes() == b"old"
    assert [path.name for path in tmp_path.iterdir()] == ["out.wav"]


def test_a_link_is_followed_not_replaced(tmp_path):
    (tmp_path / "real.wav").write_bytes(b"old")
    (tmp_path / "link.wav").symlink_to(tmp_path / "real.wav")
    write_wav(tmp_path / "link.wav", blocks(), 48_000, channels=2)
    assert (tmp_path / "link.wav").is_symlink()
    assert len(read(tmp_path / "real.wav")[1]) == 6


@pytest.mark.parametrize("name", [".", "missing/out.wav"])
def test_a_place_that_cannot_be_written_says_so(tmp_path, name):
    with pytest.raises(AudioError, match=r"name a file|choose another folder"):
        write_wav(tmp_path / name, blocks(), 48_000, channels=2)


def test_a_block_with_other_channels_is_refused(tmp_path):
    with pytest.raises(ValueError, match="shape"):
        write_wav(tmp_path / "out.wav", blocks(), 48_000, channels=1)
    assert list(tmp_path.iterdir()) == []
