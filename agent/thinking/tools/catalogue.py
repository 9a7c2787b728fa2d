"""All skills, in the order in which they are asked, and what is made from them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cache
from itertools import islice

from agent.thinking.libraries import Libraries
from agent.thinking.memory import Memory
from agent.thinking.port import Retriever
from agent.thinking.timers import Timers
from agent.thinking.tools import (
    appointments,
    arithmetic,
    clock,
    dates,
    forgetting,
    mail,
    notes,
    preferences,
    recall,
    search,
    talk,
    timers,
    todo,
    units,
)
from agent.thinking.tools.lists import SAMPLE_PEOPLE
from agent.thinking.tools.office import Office
from agent.thinking.tools.quantities import same_kind
from agent.thinking.tools.skill import Kit, Skill, SkillTool

SKILLS: tuple[Skill, ...] = (
    talk.SKILL, recall.SKILL, preferences.SKILL, timers.SKILL, clock.SKILL, dates.SKILL, units.SKILL, arithmetic.SKILL,
    appointments.SKILL, todo.SKILL, search.SKILL, notes.SKILL, mail.SKILL, forgetting.SKILL,
)  # fmt: skip
OF_PEOPLE = (mail.SKILL.name, appointments.SKILL.name)
"""Skills whose sentences name people whom the user knows."""
MAX_PEOPLE = 50

_CONTRACTED = {
    "what is ": "what's ",
    "it is ": "it's ",
    "that is ": "that's ",
    "i am ": "i'm ",
    "how is ": "how's ",
    "do not ": "don't ",
    "did not ": "didn't ",
    "when is ": "when's ",
}


def builtin_tools(
    memory: Memory,
    timers_: Timers,
    libraries: Libraries,
    office: Office | None = None,
    forget: Callable[[str], None] | None = None,
    documents: Retriever | None = None,
) -> list[SkillTool]:
    """Every tool of every skill; those of e-mail and calendar only with an `office`, forgetting only with `forget`."""
    kit = Kit(memory, timers_, libraries, office, documents, forget)
    return [tool for skill in SKILLS for tool in skill.tools(kit)]


@cache
def _builtin() -> list[tuple[str, str]]:
    return _templates(SKILLS)


def _templates(skills: Sequence[Skill]) -> list[tuple[str, str]]:
    """Example sentences in normalised words, and the skill that each belongs to."""
    found: dict[str, str] = {}
    for skill in skills:
        for intent in (*skill.intents, *skill.follow_ups):
            if intent.loose:
                continue
            meant = intent.pattern.sentences()
            if "unit" in intent.pattern.slots:
                meant = (sentence for sentence in meant if same_kind(sentence))
            for sentence in islice(meant, intent.limit):
                found.setdefault(sentence, skill.name)
    return list(found.items())


def sentences(
    vocabulary: Iterable[str] | None = None, people: Sequence[str] = (), own: Sequence[Skill] = ()
) -> list[str]:
    """What people say to the skills: lower-case words as a pronouncing dictionary spells them.

    With a `vocabulary`, only sentences all of whose words are in it. Contracted forms
    (`what's`) come beside the full ones. `people`: whom the user writes to and meets, beside the
    usual first names. `own`: skills besides the built-in ones. The order is stable.
    """
    known = frozenset(vocabulary) if vocabulary is not None else None
    found: dict[str, None] = {}
    for sentence in _with_people([*_builtin(), *_templates(own)], people):
        sentence = sentence.replace("oclock", "o'clock")
        for variant in (sentence, *_contracted(sentence)):
            if known is None or all(word in known for word in variant.split()):
                found[variant] = None
    return list(found)


def _with_people(templates: Sequence[tuple[str, str]], people: Sequence[str]) -> Iterator[str]:
    """All sentences; those with the first sample name also with each of these names."""
    known = SAMPLE_PEOPLE[0]
    new = [name for name in dict.fromkeys(name.lower() for name in people) if name != known][:MAX_PEOPLE]
    for sentence, skill in templates:
        yield sentence
        if skill in OF_PEOPLE and known in sentence.split():
            for name in new:
                yield " ".join(name if word == known else word for word in sentence.split())


def _contracted(sentence: str) -> list[str]:
    return [short + sentence[len(full) :] for full, short in _CONTRACTED.items() if sentence.startswith(full)]
