import wave

import numpy as np
import pytest

from agent.errors import AudioError, SettingsError
from agent.transport.file_plan import AfterReply, At, Overlap, parse_next, plan_files, rules_for


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("after-reply", AfterReply()),
        ("after-reply=0", AfterReply(0)),
        (" at=3000 ", At(3_000)),
        ("overlap=800", Overlap(800)),
    ],
)
def test_rules_are_parsed(text, rule):
    assert parse_next(text) == rule


@pytest.mark.parametrize(
    "text", ["", "at", "at=", "at=-1", "at=1.5", "at=1s", "overlap", "soon", "AT=3", "at=٣", "at=3 4", "after-reply="]
)
def test_nonsense_is_refused_with_the_forms_that_exist(text):
    with pytest.raises(SettingsError, match="after-reply=MS, at=MS or overlap=MS"):
        parse_next(text)


@pytest.mark.parametrize("text", ["at=3600001", "overlap=999999999999"])
def test_more_than_an_hour_is_refused(text):
    with pytest.raises(SettingsError, match="an hour"):
        parse_next(text)


@pytest.mark.parametrize(
    ("files", "texts", "rules"),
    [
        (2, [], (AfterReply(), AfterReply())),
        (1, ["at=100"], (At(100),)),
        (2, ["overlap=300"], (AfterReply(), Overlap(300))),
        (3, ["overlap=300"], (AfterReply(), Overlap(300), Overlap(300))),
        (3, ["at=900", "after-reply"], (AfterReply(), At(900), AfterReply())),
        (3, ["at=0", "overlap=1", "after-reply=2"], (At(0), Overlap(1), AfterReply(2))),
    ],
)
def test_rules_are_dealt_out_to_the_files(files, texts, rules):
    assert rules_for(files, texts) == rules


@pytest.mark.parametrize(
    ("files", "texts", "message"),
    [
        (1, ["overlap=3"], "no answer before it"),
        (2, ["overlap=3", "at=9"], "no answer before it"),
        (3, ["at=900"], "behind the one before it"),
        (3, ["at=900", "at=800"], "behind the one before it"),
        (4, ["at=1", "at=2"], "once, or once per file"),
        (1, ["at=1", "at=2"], "once, or once per file"),
    ],
)
def test_rules_that_do_not_fit_the_files_are_refused(files, texts, message):
    with pytest.raises(SettingsError, match=message):
        rules_for(files, texts)


def test_a_plan_holds_the_audio_of_every_file(tmp_path):
    for name, samples in (("a.wav", 160), ("b.wav", 320)):
        with wave.open(str(tmp_path / name), "wb") as wav:
            wav.setparams((1, 2, 16_000, 0, "NONE", ""))
            wav.writeframes(np.full(samples, 500, dtype="<i2").tobytes())
    plan = plan_files([tmp_path / "a.wav", tmp_path / "b.wav"], ["overlap=5"])
    assert [(item.path.name, item.when, item.audio.duration_ms) for item in plan] == [
        ("a.wav", AfterReply(), 10),
        ("b.wav", Overlap(5), 20),
    ]


def test_a_plan_without_files_or_with_a_missing_one_says_so(tmp_path):
    with pytest.raises(SettingsError, match="at least one"):
        plan_files([])
    with pytest.raises(AudioError, match=r"nowhere\.wav is not there"):
        plan_files([tmp_path / "nowhere.wav"])
