"""Tools of the user's own: loaded by name, refused with the setting's name, and known to the embedded brain."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from agent.clock import run_virtual
from agent.conversation.events import Json
from agent.errors import SettingsError
from agent.thinking.brain_skills import SkillsBrain
from agent.thinking.libraries import Libraries
from agent.thinking.port import ToolContext, ToolSpec
from agent.thinking.tools.catalogue import sentences
from agent.thinking.tools.plugged import plugged_tools, skills_of, without_duplicates
from tests.unit.thinking.talk import Talk

MODULE = """
from agent.thinking.port import ToolSpec

class Bell:
    def __init__(self, name="ring"):
        self.spec = ToolSpec(name, "Ring.", {}, "read")
    async def preflight(self):
        return ""
    async def run(self, arguments, context):
        return "Ding."

one = Bell()
several = [Bell("first"), Bell("second")]
def made():
    return (Bell("made"),)
def broken():
    raise RuntimeError("no wire")
number = 7
wrong = Bell("")
"""


@pytest.fixture(autouse=True)
def _module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    (tmp_path / "own_bells.py").write_text(MODULE)
    (tmp_path / "own_broken.py").write_text("import nothing_of_that_name")
    monkeypatch.syspath_prepend(str(tmp_path))
    yield
    sys.modules.pop("own_bells", None)


@pytest.mark.parametrize(
    ("attribute", "names"),
    [("one", ["ring"]), ("several", ["first", "second"]), ("made", ["made"]), ("Bell", ["ring"])],
)
def test_a_tool_a_list_a_class_and_a_factory(attribute: str, names: list[str]) -> None:
    assert [tool.spec.name for tool in plugged_tools([f"own_bells:{attribute}"])] == names


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("own_bells", "must be module:attribute"), (":one", "must be module:attribute"),
        ("own_bells:two", "cannot be loaded"), ("nowhere_at_all:x", "cannot be loaded"),
        ("own_broken:x", "nothing_of_that_name"), ("own_bells:broken", "no wire"), ("own_bells:number", "is no tool"),
        ("own_bells:wrong", "needs a name"),
    ],
)  # fmt: skip
def test_what_cannot_be_used_is_refused_by_the_name_of_its_setting(name: str, says: str) -> None:
    with pytest.raises(SettingsError, match=r"brain\.tools\[1\]") as refused:
        plugged_tools(["own_bells:one", name])
    assert name in str(refused.value)
    assert says in str(refused.value)


def test_a_name_is_given_once() -> None:
    first, second = plugged_tools(["own_bells:one", "own_bells:one"])
    assert without_duplicates([first], []) == [first]
    with pytest.raises(SettingsError, match="'ring' already"):
        without_duplicates([first], [second])
    with pytest.raises(SettingsError, match="'ring' already"):
        without_duplicates([], [first, second])


class Weather:
    spec = ToolSpec("weather", "The weather.", {"type": "object", "properties": {"place": {"type": "string"}}}, "read")
    examples = ("what is the weather [like] [in {place}]", "will it rain in {place}")
    phrases = {  # noqa: RUF012 - as a user writes it
        "weather": lambda arguments, content, _: f"It is {content} in {arguments.get('place', 'your town')}."
    }

    async def preflight(self) -> str:
        return ""

    async def run(self, arguments: Mapping[str, Json], context: ToolContext) -> Json:
        return "sunny"


def test_the_embedded_brain_knows_the_words_for_it_and_asks_it_before_its_own_skills() -> None:
    skills = skills_of([Weather()])
    libraries = Libraries()
    brain = SkillsBrain(libraries, skills)

    async def main() -> list[str]:
        async with Talk(brain, libraries) as talk:
            talk.tools["weather"] = Weather()
            answers = [await talk.say(line) for line in ("what is the weather", "will it rain in paris")]
        await brain.close()
        return answers

    assert run_virtual(main()) == ["It is sunny in your town.", "It is sunny in Paris."]
    taught = set(sentences(own=skills)) - set(sentences())
    assert "what is the weather in paris" in taught
    assert all("weather" in sentence or "rain" in sentence for sentence in taught)


def test_a_tool_without_words_is_for_other_brains_and_bad_words_are_refused() -> None:
    assert skills_of(plugged_tools(["own_bells:one"])) == []
    weather = Weather()
    weather.examples = ("what is the {nonsense}",)
    with pytest.raises(SettingsError, match="weather cannot be used"):
        skills_of([weather])
