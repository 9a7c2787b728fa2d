import random
import wave
from pathlib import Path

import av
import numpy as np
import pytest

from agent.errors import AudioError
from agent.transport import audio_file
from agent.transport.audio_file import read_audio


def tone(seconds: float, rate: int, hz: float = 440.0) -> np.ndarray:
    return (8_000 * np.sin(2 * np.pi * hz * np.arange(round(seconds * rate)) / rate)).astype("<i2")


def write(path: Path, rate: int, channels: list[np.ndarray]) -> Path:
    with wave.open(str(path), "wb") as wav:
        wav.setnchannels(len(channels))
        wav.setsampwidth(2)
        wav.setframerate(rate)
        wav.writeframes(np.stack(channels, axis=1).tobytes())
    return path


def encode(path: Path, codec: str, rate: int) -> Path:
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=rate)
        stream.layout = "mono"
        size = stream.codec_context.frame_size or None
        resampler = av.AudioResampler(format=stream.format, layout="mono", rate=rate, frame_size=size)
        frame = av.AudioFrame.from_ndarray(tone(1.0, rate)[None], format="s16", layout="mono")
        frame.sample_rate = rate
        for piece in [*resampler.resample(frame), *resampler.resample(None), None]:
            container.mux(stream.encode(piece))
    return path


def loudest_hz(pcm: np.ndarray, rate: int) -> float:
    return float(np.argmax(np.abs(np.fft.rfft(pcm.astype(float)))) * rate / len(pcm))


def test_16_khz_mono_reaches_hearing_unchanged(tmp_path):
    audio = read_audio(write(tmp_path / "a.wav", 16_000, [tone(0.5, 16_000)]))
    assert np.array_equal(audio.pcm_16k, tone(0.5, 16_000))
    assert len(audio.pcm_48k) == 3 * len(audio.pcm_16k)
    assert audio.duration_ms == 500


def test_8_khz_stereo_is_mixed_and_resampled_without_a_shift(tmp_path):
    left = tone(1.0, 8_000)
    audio = read_audio(write(tmp_path / "a.wav", 8_000, [left, np.zeros_like(left)]))
    assert audio.pcm_16k.dtype == audio.pcm_48k.dtype == np.int16
    for pcm, rate in ((audio.pcm_16k, 16_000), (audio.pcm_48k, 48_000)):
        assert len(pcm) == rate
        middle = slice(rate // 10, -rate // 10)
        expected = tone(1.0, rate)[middle] / 2
        assert np.abs(pcm[middle] - expected).max() < 60


@pytest.mark.parametrize(
    ("name", "codec", "rate"),
    [
        ("a.flac", "flac", 44_100),
        ("a.ogg", "libopus", 48_000),
        ("a.mp3", "libmp3lame", 44_100),
        ("a.m4a", "aac", 44_100),
        ("a.wav", "pcm_u8", 11_127),
        ("a.wav", "pcm_f32le", 96_000),
        ("a.wav", "pcm_s16le", 48_000),
    ],
)
def test_other_formats_are_read(tmp_path, name, codec, rate):
    audio = read_audio(encode(tmp_path / name, codec, rate))
    assert audio.duration_ms == pytest.approx(1_000, abs=60)
    assert loudest_hz(audio.pcm_16k, 16_000) == pytest.approx(440, abs=2)
    assert loudest_hz(audio.pcm_48k, 48_000) == pytest.approx(440, abs=2)


def test_the_end_of_the_sound_is_told_from_the_silence_behind_it(tmp_path):
    pcm = np.concatenate((tone(0.5, 16_000), np.zeros(16_000, dtype=np.int16)))
    audio = read_audio(write(tmp_path / "a.wav", 16_000, [pcm]))
    assert audio.sound_end_ms == 500
    assert audio.duration_ms == 1_500
    silent = read_audio(write(tmp_path / "b.wav", 16_000, [np.zeros(1_600, dtype=np.int16)]))
    assert silent.sound_end_ms == silent.duration_ms == 100


def wav_bytes(tmp_path: Path) -> bytes:
    return write(tmp_path / "good.wav", 8_000, [tone(0.1, 8_000)]).read_bytes()


def patched(data: bytes, at: int, by: bytes) -> bytes:
    return data[:at] + by + data[at + len(by) :]


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda _: b"", "is empty"),
        (lambda _: b"these are words, not sounds\n" * 200, "is not audio, or is damaged"),
        (lambda _: random.Random(1).randbytes(20_000), "is not audio, or is damaged"),
        (lambda good: b"RIFF" + random.Random(2).randbytes(5_000), "is not audio, or is damaged"),
        (lambda good: good[:30], "is not audio, or is damaged"),
        (lambda good: good[:44], "holds no samples"),
        (lambda good: patched(good, 20, b"\xff\x7f"), "is not audio, or is damaged"),
        (lambda good: patched(good, 22, b"\0\0"), "is not audio, or is damaged"),
        (lambda good: patched(good, 24, b"\0\0\0\0"), "is not audio, or is damaged"),
        (lambda _: b"#EXTM3U\n#EXT-X-TARGETDURATION:5\n#EXTINF:5,\n{good}\n#EXT-X-ENDLIST\n", "is not audio"),
        (lambda _: b"ffconcat version 1.0\nfile '{good}'\n", "is not audio"),
    ],
)
def test_what_is_not_usable_audio_is_refused_by_name(tmp_path, damage, message):
    good = wav_bytes(tmp_path)
    bad = tmp_path / "bad.wav"
    bad.write_bytes(damage(good).replace(b"{good}", str(tmp_path / "good.wav").encode()))
    with pytest.raises(AudioError, match=f"bad.wav {message}"):
        read_audio(bad)


def test_a_wav_cut_short_is_read_as_far_as_it_goes(tmp_path):
    bad = tmp_path / "cut.wav"
    bad.write_bytes(wav_bytes(tmp_path)[: 44 + 800])
    assert read_audio(bad).duration_ms == 50


def test_damage_in_the_middle_is_located(tmp_path):
    path = encode(tmp_path / "a.mp3", "libmp3lame", 44_100)
    data = path.read_bytes()
    path.write_bytes(patched(data, len(data) // 2, random.Random(3).randbytes(800)))
    with pytest.raises(AudioError, match=r"is damaged 0\.\d s from its start"):
        read_audio(path)


def test_paths_that_are_no_files_are_refused(tmp_path):
    with pytest.raises(AudioError, match="is not there"):
        read_audio(tmp_path / "missing.wav")
    with pytest.raises(AudioError, match="is not a file"):
        read_audio(tmp_path)
    with pytest.raises(AudioError, match="cannot be read"):
        read_audio(tmp_path / ("x" * 300))


def test_a_name_like_an_address_is_only_a_name(tmp_path):
    path = write(tmp_path / "http:example.wav", 16_000, [tone(0.1, 16_000)])
    assert read_audio(path).duration_ms == 100


def test_a_picture_holds_no_audio(tmp_path):
    path = tmp_path / "a.mkv"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=10)
        stream.width = stream.height = 16
        frame = av.VideoFrame.from_ndarray(np.zeros((16, 16, 3), dtype=np.uint8), format="rgb24")
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    with pytest.raises(AudioError, match="holds no audio stream"):
        read_audio(path)


def test_a_file_longer_than_the_limit_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(audio_file, "MAX_FILE_S", 1)
    with pytest.raises(AudioError, match="longer than"):
        read_audio(write(tmp_path / "long.wav", 8_000, [tone(1.5, 8_000)]))
    assert read_audio(write(tmp_path / "short.wav", 8_000, [tone(1.0, 8_000)])).duration_ms == 1_000


def test_a_length_that_the_header_hides_is_noticed_while_decoding(tmp_path, monkeypatch):
    monkeypatch.setattr(audio_file, "MAX_FILE_S", 1)
    path = tmp_path / "stream.flac"
    write(tmp_path / "long.wav", 8_000, [tone(2.0, 8_000)])
    with av.open(str(tmp_path / "long.wav")) as source, av.open(str(path), "w") as container:
        stream = container.add_stream("flac", rate=8_000)
        stream.layout = "mono"
        for frame in source.decode(audio=0):
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    data = path.read_bytes()
    # The 36-bit sample count of STREAMINFO (RFC 9639, section 8.2): 0 means unknown.
    path.write_bytes(patched(patched(data, 21, bytes([data[21] & 0xF0])), 22, b"\0\0\0\0"))
    with pytest.raises(AudioError, match="longer than"):
        read_audio(path)
