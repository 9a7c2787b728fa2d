"""piper with a fixture for a voice: its settings, what may be wrong, and a process that dies."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Awaitable, Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from agent.clock import Clock, run_virtual
from agent.errors import TtsError
from agent.settings import TtsSettings
from agent.speaking import piper_process
from agent.speaking.piper_voice import PiperVoice, Scales, StoppedError
from agent.speaking.piper_worker import spoken
from agent.speaking.port import Speech, SpokenWord
from agent.speaking.tts_piper import PiperTts

VOICES = Path(__file__).parents[2] / "fixtures" / "voice"
TONES = VOICES / "tones.onnx"
NORMAL = Scales()
HARD = "At 10:45 on 3 May 2026 I'd pay $12.50 -- of the people."


def using(use: Callable[[PiperTts], Awaitable[Any]], models: Path = VOICES, run: Any = run_virtual, **more: Any) -> Any:
    async def main() -> Any:
        tts = PiperTts(TtsSettings(**{"model": str(TONES)} | more), models, Clock())
        await tts.start()
        try:
            return await use(tts)
        finally:
            await tts.close()

    return run(main())


async def said(tts: PiperTts, text: str = "one two three", speed: float = 1.0) -> np.ndarray:
    return np.concatenate([speech.pcm async for speech in tts.synthesize(text, speed)])


def sentence(text: str, speaker: str = "", scales: Scales = NORMAL, voice: str = "tones") -> np.ndarray:
    """What the voice itself gives, in this process."""
    made = PiperVoice(VOICES / f"{voice}.onnx", speaker, 1)
    [phonemes] = made.sentences(text)
    return made.say(phonemes, scales).pcm


def test_speakers_sound_different_by_name_and_number() -> None:
    low, high = (sentence("one two three", speaker) for speaker in ("low", "high"))
    assert not np.array_equal(low, high)
    assert np.array_equal(sentence("one two three", "1"), high)
    assert np.array_equal(sentence("one two three"), low)


def test_noise_and_rhythm_are_shares_of_the_voices_own() -> None:
    text = "she sees fish"
    hiss = sentence(text)
    calm = sentence(text, scales=Scales(noise=0.0))
    assert len(hiss) == len(calm)
    assert np.abs(hiss.astype(int) - calm).mean() > 100
    assert len(sentence(text, scales=Scales(noise_w=0.0))) != len(hiss)
    assert len(sentence(text, scales=Scales(length=2.0))) > 1.8 * len(hiss)


def pieces(voice: str) -> list[Speech]:
    made = PiperVoice(VOICES / f"{voice}.onnx", "", 1)
    return [piece for found in spoken(made, HARD, NORMAL) for piece in found]


@pytest.mark.parametrize(("voice", "estimated"), [("tones", False), ("unaligned", True)])
def test_the_speech_says_whether_its_words_are_measured(voice: str, estimated: bool) -> None:
    assert {piece.estimated for piece in pieces(voice)} == {estimated}


def words_of(voice: str) -> list[SpokenWord]:
    return [word for piece in pieces(voice) for word in piece.words]


def test_hard_words_lie_where_they_sound() -> None:
    """Of the fixture it is known: a hop of 256 samples is the least that separates two words."""
    words = words_of("tones")
    assert [HARD[: word.text_end].split()[-1] for word in words] == HARD.split()
    gaps = [after.start_sample - before.end_sample for before, after in pairwise(words)]
    assert all(gap == 256 for gap in gaps[:-3] + gaps[-1:] if gap)
    dash = words[HARD.split().index("--")]
    assert dash.start_sample == dash.end_sample
    lengths = {HARD.split()[n]: word.end_sample - word.start_sample for n, word in enumerate(words)}
    assert lengths["2026"] > lengths["10:45"] > lengths["May"] > lengths["of"] > 0


def test_estimated_words_are_near_the_measured_ones() -> None:
    measured = [word.start_sample / 22_050 for word in words_of("tones")]
    estimated = [word.start_sample / 16_000 for word in words_of("unaligned")]
    scale = measured[-1] / estimated[-1]
    assert max(abs(one - other * scale) for one, other in zip(measured, estimated, strict=True)) < 0.5


@pytest.mark.parametrize(
    ("more", "says"),
    [
        ({"model": "piper-en_US-lessac-medium"}, "voice-agent models pull piper-en_US-lessac-medium"),
        ({"model": "piper-nobody"}, "there is no model"),
        ({"model": "nowhere/voice.onnx"}, "not there"),
        ({"speaker": "nobody"}, r"tts\.speaker.*low, high"),
        ({"speaker": "2"}, r"tts\.speaker"),
    ],
)
def test_what_is_missing_is_an_error_that_says_what_to_do(more: dict[str, str], says: str, tmp_path: Path) -> None:
    with pytest.raises(TtsError, match=says):
        using(said, models=tmp_path, **more)


def broken(folder: Path, model: bytes | None = None, settings: str | None = None) -> Path:
    path = folder / "voice.onnx"
    path.write_bytes(TONES.read_bytes() if model is None else model)
    text = TONES.with_name("tones.onnx.json").read_text() if settings is None else settings
    if text:
        path.with_name("voice.onnx.json").write_text(text)
    return path


def test_broken_voices_are_told_apart(tmp_path: Path) -> None:
    good = TONES.with_name("tones.onnx.json").read_text()
    other = good.replace('"phoneme_type":"espeak"', '"phoneme_type":"pinyin"')
    for says, model, settings in (
        ("not a voice that can be loaded", b"no model", good),
        ("not a voice that can be loaded", TONES.read_bytes()[:2_000], good),
        ("not the settings", None, "{}"),
        ("not the settings", None, "no JSON"),
        ("sample rate", None, good.replace("22050", "5")),
        ("espeak and text", None, other),
    ):
        path = broken(tmp_path, model, settings)
        with pytest.raises(TtsError, match=says):
            PiperVoice(path, "", 1)
    path.with_name("voice.onnx.json").unlink()
    with pytest.raises(TtsError, match="cannot be read"):
        PiperVoice(path, "", 1)


def test_a_broken_voice_names_the_command_that_mends_it(tmp_path: Path) -> None:
    folder = tmp_path / "piper-en_US-ryan-medium"
    folder.mkdir()
    for name in ("MODEL_CARD", "en_US-ryan-medium.onnx", "en_US-ryan-medium.onnx.json"):
        (folder / name).write_text("{}")
    with pytest.raises(TtsError, match="models verify piper-en_US-ryan-medium"):
        using(said, models=tmp_path, model="piper-en_US-ryan-medium")


def test_a_sentence_is_stopped_between_two_operations() -> None:
    voice = PiperVoice(TONES, "", 1)
    [phonemes] = voice.sentences("a sentence of some length")
    voice.stop()
    with pytest.raises(StoppedError):
        voice.say(phonemes, Scales())
    voice.ready()
    assert len(voice.say(phonemes, Scales()).pcm)


def test_a_process_that_dies_fails_its_text_and_the_next_one_is_said() -> None:
    async def use(tts: PiperTts) -> None:
        stream = tts.synthesize("A first sentence. " * 30)
        await anext(stream)
        assert tts.pid is not None
        os.kill(tts.pid, signal.SIGKILL)
        with pytest.raises(TtsError, match="ended"):
            async for _ in stream:
                pass
        assert len(await said(tts))

    using(use, run=asyncio.run)


def test_closing_the_engine_fails_what_is_being_said() -> None:
    async def use(tts: PiperTts) -> None:
        stream = tts.synthesize("A first sentence. " * 30)
        await anext(stream)
        await tts.close()
        with pytest.raises(TtsError):
            async for _ in stream:
                pass
        with pytest.raises(TtsError, match="start"):
            await said(tts)

    using(use, run=asyncio.run)


def test_a_process_that_does_not_stop_is_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(piper_process, "STOP_TIMEOUT_S", 0.01)

    async def use(tts: PiperTts) -> None:
        stream = tts.synthesize("A first sentence. " * 30)
        await anext(stream)
        first = tts.pid
        assert first is not None
        os.kill(first, signal.SIGSTOP)
        await stream.aclose()  # type: ignore[attr-defined]
        assert len(await said(tts))
        assert tts.pid != first

    using(use, run=asyncio.run)


def test_a_process_that_breaks_the_protocol_is_ended() -> None:
    async def main() -> None:
        process = await asyncio.create_subprocess_exec(
            "/bin/echo", "HELLO, this is no message", stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
        )
        with pytest.raises(TtsError, match="did not start"):
            await piper_process.PiperProcess(process, Clock()).greet()
        await process.wait()

    asyncio.run(main())


def test_a_process_whose_owner_is_gone_ends() -> None:
    arguments = (str(TONES), "", "1", "1.0", "1.0")
    done = subprocess.run((*piper_process.COMMAND, *arguments), stdin=subprocess.DEVNULL, timeout=60, check=False)
    assert done.returncode == 0


def test_an_agent_that_speaks_otherwise_loads_none_of_it() -> None:
    """Loading it takes half a second, and the interpreter's lock."""
    code = "import sys, agent.cli, agent.app; print([m for m in ('piper', 'onnxruntime', 'httpx') if m in sys.modules])"
    done = subprocess.run((sys.executable, "-c", code), capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.strip() == "[]"
