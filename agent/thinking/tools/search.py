"""Looking things up in the user's notes and documents."""

from __future__ import annotations

from agent.conversation.events import Json
from agent.conversation.reports import Passage, PlanStart, RetrieveDone, RetrieveStart
from agent.errors import ToolError
from agent.thinking.port import Retriever, ToolContext, UserContext
from agent.thinking.retrieval.notes import Notes
from agent.thinking.tools.skill import (
    Answer,
    Arguments,
    Ask,
    Intent,
    Kit,
    Past,
    Skill,
    SkillTool,
    Slots,
    fields_of,
    spec,
    text_of,
)

LIMIT = 4
"""Passages of each corpus that are given to the brain."""
QUOTED = 2
"""Passages that the embedded brain reads out."""
QUOTED_CHARS = 300
NOTES, DOCUMENTS, EVERYWHERE = "notes", "documents", "everywhere"


async def search(query: str, corpora: dict[str, Retriever], context: ToolContext) -> Json:
    """Look in each corpus, telling what is done and found. Raises `ToolError` if none can be searched."""
    context.report(PlanStart(steps=tuple(f"look in the {name}" for name in corpora)))
    found: list[Json] = []
    failures: list[ToolError] = []
    for name, retriever in corpora.items():
        context.report(RetrieveStart(corpus=name, query=query))
        try:
            passages = await retriever.find(query, LIMIT)
        except ToolError as error:
            failures.append(error)
            continue
        context.report(RetrieveDone(corpus=name, passages=tuple(passages)))
        found.extend(_shown(name, passage) for passage in passages)
    if len(failures) == len(corpora):
        raise failures[0]
    return {"query": query, "where": " and ".join(corpora), "passages": found}


def _shown(corpus: str, passage: Passage) -> Json:
    return {"corpus": corpus, "document": passage.document, "place": passage.place, "text": passage.text}


def _tools(kit: Kit) -> list[SkillTool]:
    notes: Retriever = Notes(kit.memory)
    corpora: dict[str, Retriever] = {NOTES: notes} | ({DOCUMENTS: kit.documents} if kit.documents else {})

    async def run(arguments: Arguments, context: ToolContext) -> Json:
        query, where = text_of(arguments, "query"), text_of(arguments, "where", EVERYWHERE)
        chosen = corpora if where == EVERYWHERE else {where: corpora[where]} if where in corpora else {}
        if not chosen:
            raise ToolError("I have no folder of documents. Set documents.folder to one.", "not_found")
        return await search(query, chosen, context)

    async def ready() -> str:
        problems = [await retriever.check() for retriever in corpora.values()]
        return problems[0] if all(problems) else ""

    where: Json = {"type": "string", "enum": [NOTES, DOCUMENTS, EVERYWHERE]}
    parameters: dict[str, Json] = {"query": {"type": "string"}, "where": where}
    told = "Find passages about something in the user's own notes and documents, to answer from and to name."
    return [SkillTool(spec("search", told, parameters, required=["query"]), run, ready)]


def _in(where: str) -> list[Intent]:
    """Sentences about one corpus."""

    def build(slots: Slots, _: Past) -> Answer:
        return Ask("search", {"query": str(slots["topic"]), "where": where})

    templates = (
        f"what (do|does) my {where} (say|tell me) about {{topic}}",
        f"(look up|find|search for|look for) {{topic}} in my {where}",
        f"search my {where} for {{topic}}",
        f"(is there|do i have) anything about {{topic}} in my {where}",
    )
    return [Intent(template, build, limit=30) for template in templates]


def _say_found(arguments: Arguments, content: Json, _: UserContext) -> str:
    fields = fields_of(content)
    passages = [fields_of(one) for one in fields["passages"]] if isinstance(fields["passages"], list) else []
    if not passages:
        return f"I found nothing about {fields['query']} in your {fields['where']}."
    return " ".join(_quoted(one) for one in passages[:QUOTED])


def _quoted(passage: dict[str, Json]) -> str:
    text = str(passage["text"])
    if len(text) > QUOTED_CHARS:
        cut = max(text.rfind(mark, 1, QUOTED_CHARS) for mark in (". ", "? ", "! "))
        text = text[: cut + 1] if cut > 0 else f"{text[: text.rfind(' ', 1, QUOTED_CHARS)]} …"
    ended = text if text.endswith((".", "!", "?", "…")) else f"{text}."
    return f"You noted: {ended}" if passage["corpus"] == NOTES else f"In {_titled(str(passage['document']))}: {ended}"


def _titled(path: str) -> str:
    """A file as one would say it."""
    return path.rpartition("/")[2].rpartition(".")[0].replace("_", " ").replace("-", " ")


SKILL = Skill(
    name="search",
    help="look things up in your notes and documents",
    intents=[*_in(NOTES), *_in(DOCUMENTS)],
    phrases={"search": _say_found},
    tools=_tools,
)
