"""Documents and notes that can be looked things up in: cutting, indexing, asking."""

from __future__ import annotations

import asyncio
import os
import sqlite3
from datetime import UTC, datetime
from pathlib import Path

import pytest

from agent.clock import run_virtual
from agent.conversation.reports import Passage, PlanStart, RetrieveDone, RetrieveStart, ToolReport
from agent.errors import ToolError
from agent.thinking.brain_skills import SkillsBrain
from agent.thinking.libraries import Libraries
from agent.thinking.memory import Memory
from agent.thinking.port import ToolContext, UserContext
from agent.thinking.retrieval import folder as folder_module
from agent.thinking.retrieval.folder import DocumentFolder
from agent.thinking.retrieval.splitting import MAX_PASSAGE_CHARS, passages_of
from agent.thinking.timers import Timers
from agent.thinking.tools.catalogue import builtin_tools
from tests.unit.thinking.session_talk import BRAIN, LIBRARIES, Talk, scene
from tests.unit.thinking.talk import Talk as SkillsTalk

USER = UserContext(datetime(2026, 3, 4, tzinfo=UTC))


# ── passages ─────────────────────────────────────────────────────────────────────────────


def test_a_text_is_cut_at_paragraphs_that_are_long_enough_and_at_headings() -> None:
    text = f"# House\n\n{'a ' * 120}\n\nshort one\n\nshort two\n## Garden\nlast"
    found = [(one.place, one.text.split()[0]) for one in passages_of("house.md", text)]
    assert found == [("House, line 1", "House."), ("House, line 5", "short"), ("Garden, line 8", "Garden.")]
    assert [one.place for one in passages_of("house.txt", "# one\ntwo")] == ["line 1"]
    assert list(passages_of("empty.txt", " \n\n")) == []


def test_no_passage_is_longer_than_it_may_be_and_no_word_is_lost() -> None:
    words = [f"word{number}." if number % 40 == 0 else f"word{number}" for number in range(1_000)]
    found = list(passages_of("long.txt", " ".join(words)))
    assert max(len(one.text) for one in found) <= MAX_PASSAGE_CHARS
    assert " ".join(one.text for one in found).split() == words
    assert all(one.text.endswith(".") for one in found[:-1])
    assert all(len(one.text) <= MAX_PASSAGE_CHARS for one in passages_of("solid.txt", "x" * 5_000))


# ── the index of a folder ────────────────────────────────────────────────────────────────


@pytest.fixture
def papers(tmp_path: Path) -> Path:
    made = tmp_path / "papers"
    (made / "old").mkdir(parents=True)
    (made / "roof.md").write_text("# Roof\nThe roof was mended in April.")
    (made / "old" / "boiler.TXT").write_text("The boiler needs water.")
    (made / "picture.png").write_text("roof")
    (made / ".hidden.md").write_text("roof")
    (made / "linked.md").symlink_to(made / "roof.md")
    return made


async def sources(documents: DocumentFolder, query: str) -> list[str]:
    return [one.document for one in await documents.find(query, 5)]


def test_only_what_changed_is_read_again(papers: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[str] = []
    text = DocumentFolder._text
    monkeypatch.setattr(DocumentFolder, "_text", lambda self, path: read.append(path) or text(self, path))

    async def main() -> None:
        documents = DocumentFolder(papers, tmp_path / "cache" / "index.sqlite3")
        assert await sources(documents, "roof") == ["roof.md"]
        assert await documents.find("mended", 5) == [
            Passage("roof.md", "Roof, line 1", "Roof. The roof was mended in April.")
        ]
        assert await sources(documents, "boilers") == ["old/boiler.TXT"]
        assert sorted(read) == ["old/boiler.TXT", "roof.md"]
        (papers / "roof.md").write_text("The chimney was swept.")
        os.utime(papers / "roof.md", (1, 1))
        (papers / "old" / "boiler.TXT").unlink()
        (papers / "new.md").write_text("A new carpet.")
        read.clear()
        assert await sources(documents, "mended") == []
        assert await sources(documents, "chimney") == ["roof.md"]
        assert await sources(documents, "boiler") == []
        assert await sources(documents, "carpet") == ["new.md"]
        assert sorted(read) == ["new.md", "roof.md"]
        await documents.close()
        again = DocumentFolder(papers, tmp_path / "cache" / "index.sqlite3")
        assert await sources(again, "carpet") == ["new.md"]
        assert len(read) == 2, "a restart reads nothing again"
        await again.close()

    asyncio.run(main())


def test_bounds_and_files_that_are_no_text(papers: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(folder_module, "MAX_FILES", 3)
    monkeypatch.setattr(folder_module, "MAX_FILE_BYTES", 100)
    (papers / "a.md").write_text("carpet " * 50)
    (papers / "b.md").write_bytes(b"\xff\xfe carpet")
    (papers / "z.md").write_text("beyond the bound")

    async def main() -> None:
        documents = DocumentFolder(papers, ":memory:")
        assert await sources(documents, "carpet") == ["b.md"]
        assert await sources(documents, "bound") == ["z.md"] or await sources(documents, "boiler") == []
        await documents.close()

    asyncio.run(main())


def test_a_missing_folder_and_a_damaged_index_are_told_and_the_index_is_made_anew(papers: Path, tmp_path: Path) -> None:
    async def main() -> None:
        missing = DocumentFolder(tmp_path / "nowhere", ":memory:")
        await missing.prepare()
        assert "Set documents.folder" in await missing.check()
        with pytest.raises(ToolError, match="is not there"):
            await missing.find("roof", 5)
        await missing.close()
        index = tmp_path / "index.sqlite3"
        index.write_bytes(b"no database at all" * 100)
        documents = DocumentFolder(papers, index)
        assert await sources(documents, "roof") == ["roof.md"]
        await documents.close()
        with sqlite3.connect(index) as db:
            db.execute("PRAGMA user_version = 99")
        documents = DocumentFolder(papers, index)
        assert await sources(documents, "roof") == ["roof.md"]
        await documents.close()

    asyncio.run(main())


def test_reading_that_nobody_waits_for_any_more_is_broken_off_between_two_files(
    papers: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    loop_: list[asyncio.AbstractEventLoop] = []
    begun = asyncio.Event()
    read: list[str] = []

    def slow(self: DocumentFolder, path: str) -> str:
        read.append(path)
        loop_[0].call_soon_threadsafe(begun.set)
        asyncio.run_coroutine_threadsafe(asyncio.sleep(0.05), loop_[0]).result(10)
        return "text"

    for number in range(50):
        (papers / f"{number}.md").write_text("text")

    async def main() -> None:
        loop_.append(asyncio.get_running_loop())
        monkeypatch.setattr(DocumentFolder, "_text", slow)
        documents = DocumentFolder(papers, tmp_path / "index.sqlite3")
        task = asyncio.create_task(documents.find("text", 5))
        await begun.wait()
        task.cancel()
        await asyncio.wait([task])
        await documents.close()
        assert len(read) < 10

    asyncio.run(main())


# ── the tool, and asking by voice ────────────────────────────────────────────────────────


def test_the_tool_tells_what_it_does_and_gives_passages_with_their_places(papers: Path) -> None:
    told: list[ToolReport] = []

    async def main() -> None:
        memory = Memory(":memory:")
        await memory.start()
        documents = DocumentFolder(papers, ":memory:")
        tools = {one.spec.name: one for one in builtin_tools(memory, Timers(memory), Libraries(), documents=documents)}
        search, context = tools["search"], ToolContext(USER, report=told.append)
        assert (search.spec.effect, await search.preflight()) == ("read", "")
        await tools["add_note"].run({"text": "Mr Lee mends roofs"}, ToolContext(USER, "k"))
        found = await search.run({"query": "roof"}, context)
        assert isinstance(found, dict)
        assert found["passages"] == [
            {"corpus": "notes", "document": "note", "place": "2026-03-04", "text": "Mr Lee mends roofs"},
            {"corpus": "documents", "document": "roof.md", "place": "Roof, line 1",
             "text": "Roof. The roof was mended in April."},
        ]  # fmt: skip
        with pytest.raises(ToolError, match="query"):
            await search.run({"query": " "}, context)
        await asyncio.to_thread(papers.rename, papers.with_name("moved"))
        found = await search.run({"query": "roof"}, context)
        assert isinstance(found, dict)
        assert len(found["passages"]) == 1  # type: ignore[arg-type]
        with pytest.raises(ToolError, match="is not there"):
            await search.run({"query": "roof", "where": "documents"}, context)
        await documents.close()
        await memory.close()

    asyncio.run(main())
    assert told[0] == PlanStart(steps=("look in the notes", "look in the documents"))
    assert [type(one) for one in told[1:5]] == [RetrieveStart, RetrieveDone, RetrieveStart, RetrieveDone]
    assert told[3] == RetrieveStart(corpus="documents", query="roof")
    assert isinstance(told[4], RetrieveDone)
    assert told[4].passages[0].document == "roof.md"


def test_the_embedded_brain_understands_who_asks_for_it() -> None:
    libraries = Libraries()
    brain = SkillsBrain(libraries)

    async def main() -> list[str]:
        async with SkillsTalk(brain, libraries) as talk:
            await talk.say("note that the boiler needs water every month")
            lines = (
                "what do my notes say about the boiler", "look up the roof in my notes", "Search my documents for tax.",
                "is there anything about boilers in my notes",
            )  # fmt: skip
            answers = [await talk.say(line) for line in lines]
        await brain.close()
        return answers

    assert run_virtual(main()) == [
        "You noted: the boiler needs water every month.",
        "I found nothing about the roof in your notes.",
        "Sorry, I have no folder of documents. Set documents.folder to one.",
        "You noted: the boiler needs water every month.",
    ]


def test_what_is_said_of_a_note_names_it_on_the_timeline(tmp_path: Path) -> None:
    assert BRAIN is not None
    assert LIBRARIES is not None

    async def play(talk: Talk) -> None:
        await talk.say("note that the boiler needs water every month")
        assert (
            await talk.say("what do my notes say about the boiler") == "You noted: the boiler needs water every month."
        )
        events = [entry.event for entry in talk.session.timeline.window()]
        types = [one.type for one in events if one.type.startswith(("plan.", "retrieve.", "tool.result"))]
        assert types[-4:] == ["plan.start", "retrieve.start", "retrieve.done", "tool.result"]
        done = next(one for one in events if one.type == "retrieve.done")
        chunk = [one for one in events if one.type == "tts.chunk"][-1]
        assert f"{done.event_id}#1" in chunk.rests_on  # type: ignore[attr-defined]

    scene(tmp_path, play)
