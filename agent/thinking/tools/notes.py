"""Notes: facts to be kept and asked for again."""

from __future__ import annotations

import sqlite3

from rapidfuzz import fuzz

from agent.conversation.events import Json
from agent.errors import ToolError
from agent.thinking.port import ToolContext, UserContext
from agent.thinking.tools.skill import (
    STRING,
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

MAX_NOTES = 1_000
_SPOKEN = 5
"""Notes read aloud at most."""


def _add(slots: Slots, _: Past) -> Answer:
    return Ask("add_note", {"text": str(slots["fact"])})


def _find(slots: Slots, _: Past) -> Answer:
    return Ask("read_notes", {"about": str(slots["topic"])})


def _delete(slots: Slots, _: Past) -> Answer:
    return Ask("delete_note", {"about": str(slots["topic"])})


def _insert(db: sqlite3.Connection, text: str, created: str) -> Json:
    if db.execute("SELECT count(*) FROM notes").fetchone()[0] >= MAX_NOTES:
        raise ToolError(f"I keep {MAX_NOTES} notes at most. Delete some first.", "input")
    db.execute("INSERT INTO notes (text, created) VALUES (?, ?)", (text, created))
    return {"text": text}


def _all(db: sqlite3.Connection) -> list[tuple[int, str]]:
    return db.execute("SELECT id, text FROM notes ORDER BY id DESC").fetchall()


def _about(notes: list[tuple[int, str]], about: str) -> list[tuple[int, str]]:
    """The notes that speak of `about`, best first."""
    scored = [
        (fuzz.token_set_ratio(about.lower(), text.lower()), -index, note)
        for index, note in enumerate(notes)
        for text in note[1:]
    ]
    return [note for score, _, note in sorted(scored, reverse=True) if score >= 75]


def _delete_best(db: sqlite3.Connection, about: str) -> Json:
    found = _all(db)[:1] if about in ("", "last") else _about(_all(db), about)
    if not found:
        raise ToolError(
            f"I have no note about {about}." if about and about != "last" else "There are no notes.", "not_found"
        )
    db.execute("DELETE FROM notes WHERE id = ?", (found[0][0],))
    return {"text": found[0][1]}


def _clear(db: sqlite3.Connection) -> Json:
    return {"count": db.execute("DELETE FROM notes").rowcount}


def _tools(kit: Kit) -> list[SkillTool]:
    async def add(arguments: Arguments, context: ToolContext) -> Json:
        text = text_of(arguments, "text")[:2_000]
        return await kit.memory.write(
            context.idempotency_key, lambda db: _insert(db, text, context.user.now.isoformat())
        )

    async def read(arguments: Arguments, _: ToolContext) -> Json:
        about = text_of(arguments, "about", "")
        notes = await kit.memory.read(_all)
        found = _about(notes, about) if about else notes
        return {"about": about, "notes": [text for _, text in found[:20]], "count": len(found)}

    async def delete(arguments: Arguments, context: ToolContext) -> Json:
        about = text_of(arguments, "about", "")
        return await kit.memory.write(context.idempotency_key, lambda db: _delete_best(db, about))

    async def clear(_: Arguments, context: ToolContext) -> Json:
        return await kit.memory.write(context.idempotency_key, _clear)

    check = kit.memory.check
    about: dict[str, Json] = {"about": STRING}
    return [
        SkillTool(
            spec("add_note", "Keep a note.", {"text": STRING}, required=["text"], effect="write", reversible=True),
            add,
            check,
        ),
        SkillTool(spec("read_notes", "The notes, newest first, or those about something.", about), read, check),
        SkillTool(
            spec("delete_note", "Delete the newest note, or the one about something.", about, effect="write"),
            delete,
            check,
        ),
        SkillTool(spec("clear_notes", "Delete all notes.", effect="write"), clear, check),
    ]


def _say_added(arguments: Arguments, content: Json, _: UserContext) -> str:
    return f"Noted: {fields_of(content)['text']}."


def _say_notes(_: Arguments, content: Json, __: UserContext) -> str:
    found = fields_of(content)
    notes = found["notes"] if isinstance(found["notes"], list) else []
    about, count = str(found["about"]), len(notes)
    if not notes:
        return f"I have no note about {about}." if about else "You have no notes."
    if about or count == 1:
        return f"{'You noted' if about else 'You have one note'}: {notes[0]}."
    listed = ". ".join(str(note) for note in notes[:_SPOKEN])
    return f"You have {found['count']} notes. {'The newest are: ' if count > _SPOKEN else ''}{listed}."


def _notes_alone(_: Arguments, content: Json, __: UserContext) -> list[str]:
    notes = fields_of(content)["notes"]
    return [str(note) for note in notes] if isinstance(notes, list) else []


def _say_deleted(_: Arguments, content: Json, __: UserContext) -> str:
    return f"I deleted the note: {fields_of(content)['text']}."


def _say_cleared(_: Arguments, content: Json, __: UserContext) -> str:
    count = fields_of(content)["count"]
    return f"Done, I deleted {count} note{'s' if count != 1 else ''}." if count else "There were no notes."


SKILL = Skill(
    name="notes",
    help="keep notes",
    intents=[
        Intent("(clear|delete|erase|remove) all [of] [my] notes", lambda *_: Ask("clear_notes")),
        Intent(
            "(delete|remove|erase) (the|my) (last|newest|latest) note", lambda *_: Ask("delete_note", {"about": "last"})
        ),
        Intent("(delete|remove|erase|forget) the note about {topic}", _delete, limit=30),
        Intent("(note|remember|take a note|make a note|write down|add a note|a note) that {fact}", _add),
        Intent("(note|take a note|make a note|write down|add a note|new note) {fact}", _add, loose=True),
        Intent("(read|list|show|tell) [me] [all] [of] my notes", lambda *_: Ask("read_notes")),
        Intent(
            "(what are my notes|what notes do i have|do i have any notes|what did i note|what have i noted|my notes)",
            lambda *_: Ask("read_notes"),
        ),
        Intent(
            "(what did i note about|what do you know about|what did i say about|find the note about|do i "
            "have a note about) {topic}",
            _find,
        ),
    ],
    phrases={
        "add_note": _say_added,
        "read_notes": _say_notes,
        "delete_note": _say_deleted,
        "clear_notes": _say_cleared,
    },
    briefs={"read_notes": _notes_alone},
    tools=_tools,
)
