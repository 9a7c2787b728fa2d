"""What every retriever has to do."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from agent.conversation.reports import Passage
from agent.thinking.memory import Memory
from agent.thinking.port import Retriever
from agent.thinking.retrieval.folder import DocumentFolder
from agent.thinking.retrieval.notes import Notes

TEXTS = {
    "boiler": "The boiler needs water once a month. Its valve is red.",
    "roof": "The roof was mended in April.",
    "garden": "Water the garden in the evening, not at noon. The garden shed needs paint.",
}


@asynccontextmanager
async def folder(tmp_path: Path) -> AsyncIterator[Retriever]:
    (tmp_path / "papers").mkdir()
    for name, text in TEXTS.items():
        (tmp_path / "papers" / f"{name}.md").write_text(text)
    found = DocumentFolder(tmp_path / "papers", tmp_path / "index.sqlite3")
    yield found
    await found.close()


@asynccontextmanager
async def notes(tmp_path: Path) -> AsyncIterator[Retriever]:
    memory = Memory(tmp_path / "memory.sqlite3")
    await memory.start()
    for name, text in TEXTS.items():
        await memory.write(
            name,
            lambda db, text=text: (
                db.execute(  # type: ignore[misc]
                    "INSERT INTO notes (text, created) VALUES (?, '2026-01-01')", (text,)
                ).rowcount
            ),
        )
    yield Notes(memory)
    await memory.close()


each_retriever = pytest.mark.parametrize("made", [folder, notes])
Made = Callable[[Path], "asynccontextmanager[Retriever]"]


def play(made: Made, tmp_path: Path, scene: Callable[[Retriever], Awaitable[None]]) -> None:
    async def main() -> None:
        async with made(tmp_path) as retriever:
            await retriever.prepare()
            assert await retriever.check() == ""
            await scene(retriever)

    asyncio.run(main())


def texts(passages: list[Passage]) -> list[str]:
    return [one.text.split()[1] for one in passages]


@each_retriever
def test_what_has_all_words_is_found_alone_and_else_what_has_most(made: Made, tmp_path: Path) -> None:
    async def scene(retriever: Retriever) -> None:
        assert texts(await retriever.find("mending the roof", 5)) == ["roof"]
        assert texts(await retriever.find("water in the garden", 5)) == ["the"]
        assert texts(await retriever.find("the garden's paint or the boiler", 5))[0] == "the"
        assert set(texts(await retriever.find("valves and sheds", 5))) == {"boiler", "the"}
        assert len(await retriever.find("water", 1)) == 1

    play(made, tmp_path, scene)


@each_retriever
@pytest.mark.parametrize("query", ["", "the of and", '"unbalanced', "roof AND (", "NEAR(a b", "x" * 5_000, "нет", "*"])
def test_no_query_breaks_it(made: Made, tmp_path: Path, query: str) -> None:
    async def scene(retriever: Retriever) -> None:
        assert texts(await retriever.find(query, 5)) in ([], ["roof"])

    play(made, tmp_path, scene)


@each_retriever
def test_a_search_that_is_cancelled_leaves_it_as_it_was(made: Made, tmp_path: Path) -> None:
    async def scene(retriever: Retriever) -> None:
        for _ in range(20):
            task = asyncio.create_task(retriever.find("roof", 5))
            await asyncio.sleep(0)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
        assert texts(await retriever.find("roof", 5)) == ["roof"]

    play(made, tmp_path, scene)
