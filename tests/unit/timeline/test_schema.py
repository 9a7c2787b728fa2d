"""The schemas of timeline entries say what the codec takes: shared fixtures, whole and spoiled."""

import copy
import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from agent.errors import WireError
from agent.timeline.codec import EVENT_TYPES, from_json
from agent.timeline.schema import entry_schema

FIXTURES = sorted((Path(__file__).resolve().parents[2] / "fixtures").glob("*.jsonl"))
LINES = {path.stem: [json.loads(line) for line in path.read_text().splitlines()] for path in FIXTURES}
ENTRIES = [entry for entries in LINES.values() for entry in entries]
VALIDATORS = {type_: Draft202012Validator(entry_schema(event)) for type_, event in EVENT_TYPES.items()}
ODD = st.sampled_from((None, True, 0, -1, 1.5, "", "fact", "x" * 50, [], ["a"], {}, {"a": 1}))


def test_every_schema_is_one():
    for validator in VALIDATORS.values():
        Draft202012Validator.check_schema(validator.schema)


@pytest.mark.parametrize("name", LINES)
def test_every_event_of_the_shared_fixtures_fits_its_schema(name):
    assert LINES[name]
    for entry in LINES[name]:
        VALIDATORS[entry["type"]].validate(entry)


def codec_takes(entry):
    try:
        from_json(entry)
    except WireError:
        return False
    return True


@settings(max_examples=400, deadline=None)
@given(st.data())
def test_a_spoiled_entry_fits_exactly_if_the_codec_takes_it(data):
    entry = copy.deepcopy(data.draw(st.sampled_from(ENTRIES)))
    where = data.draw(st.sampled_from((entry, entry["payload"])))
    name = data.draw(st.sampled_from((*sorted(where), "surplus")))
    if name in where and data.draw(st.booleans()):
        del where[name]
    elif where is entry and name == "type":
        return  # that picks another schema
    else:
        where[name] = data.draw(ODD)
    if "type" not in entry:
        assert not codec_takes(entry)
        return
    assert VALIDATORS[entry["type"]].is_valid(entry) == codec_takes(entry)
