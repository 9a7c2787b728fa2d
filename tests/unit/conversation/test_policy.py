"""Thresholds: defaults, bounds, changes."""

from __future__ import annotations

import pytest

from agent.conversation.policy import TABLES, Endpointing, Interruption, Policy, Replies


def test_a_policy_survives_the_timeline():
    policy = Policy(
        Endpointing(floor_ms=900, neutral_ms=1_000, ceiling_ms=2_000),
        Interruption(language="de", backchannels={"de": ("aha",)}, mode="never"),
        Replies(speculate=False, preface_text=""),
    )
    assert Policy.from_dict(policy.to_dict()) == policy
    assert Policy.from_dict(Policy().to_dict()) == Policy()
    assert tuple(policy.to_dict()) == TABLES


def test_limits_that_depend_on_each_other_move_together():
    changed = Policy().with_changes({"endpointing.floor_ms": 3_000, "endpointing.ceiling_ms": 6_000,
                                     "endpointing.neutral_ms": 4_000, "replies.max_steps": 2})  # fmt: skip
    assert changed.endpointing == Endpointing(floor_ms=3_000, neutral_ms=4_000, ceiling_ms=6_000)
    assert changed.replies.max_steps == 2
    assert changed.interruption == Interruption()


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("endpointing.florr_ms", 1, "endpointing.florr_ms is not a setting of the conversation"),
        ("vad.onset_ms", 1, "vad.onset_ms is not a setting of the conversation"),
        ("endpointing", 1, "endpointing is not a setting of the conversation"),
        ("endpointing.__class__", 1, "endpointing.__class__ is not a setting of the conversation"),
        ("endpointing.floor_ms", "160", "endpointing.floor_ms must be int, not str"),
        ("endpointing.floor_ms", True, "endpointing.floor_ms must be int, not bool"),
        ("replies.speculate", 1, "replies.speculate must be bool, not int"),
        ("interruption.stop_words", "stop", "interruption.stop_words must be a list of strings"),
        ("interruption.stop_words", [1], "interruption.stop_words must be a list of strings"),
        ("interruption.backchannels", ["uh"], "interruption.backchannels must be a table"),
        ("interruption.backchannels", {"de": "ja"}, "interruption.backchannels.de must be a list of strings"),
        ("interruption.backchannels", {"de": [1]}, "interruption.backchannels.de must be a list of strings"),
        ("interruption.backchannels", {"German": ["ja"]}, "interruption.backchannels has 'German'; a language is two"),
        ("interruption.language", "de-AT", "interruption.language is 'de-AT'; it must be two or three small letters"),
        ("interruption.stop_words", ["Halt"], "interruption.stop_words has 'Halt'; write it in small"),
        ("interruption.stop_words", ["hör auf"], "interruption.stop_words has 'hör auf'; each is a single word"),
        ("interruption.backchannels", {"de": ["Ja."]}, "interruption.backchannels.de has 'Ja.'; write it in small"),
        ("actions.affirmations", ["yes", "Ja"], "actions.affirmations has 'Ja'; write it in small"),
        ("actions.affirmations", [""], "actions.affirmations has ''; write it in small letters"),
        ("actions.affirmations", [], "actions.affirmations is empty; its first phrase is what the button says"),
        ("actions.refusals", [], "actions.refusals is empty; its first phrase is what the button says"),
        ("actions.refusals", ["no", "ok"], "actions.affirmations has 'ok', which is one of refusals, too"),
        ("interruption.mode", "loud", "interruption.mode is 'loud'; it must be graded, never or any_sound"),
        ("interruption.resume_at", "now", "interruption.resume_at is 'now'; it must be word or sample"),
        ("endpointing.floor_ms", 600, "endpointing.neutral_ms is 500; it must lie between 600 and 10000"),
        ("endpointing.max_turn_ms", 10, "endpointing.max_turn_ms is 10; it must lie between 1000 and 600000"),
        ("replies.max_steps", 0, "replies.max_steps is 0; it must lie between 1 and 50"),
    ],
)
def test_what_cannot_be_is_an_error_that_names_the_key(key, value, message):
    with pytest.raises(ValueError, match="^" + message.replace(".", r"\.")):
        Policy().with_changes({key: value})


def test_a_list_of_strings_becomes_a_tuple():
    assert Policy().with_changes({"interruption.stop_words": ["halt"]}).interruption.stop_words == ("halt",)
    changed = Policy().with_changes({"interruption.backchannels": {"de": ["aha"]}})
    assert changed.interruption.backchannels == {"de": ("aha",)}
