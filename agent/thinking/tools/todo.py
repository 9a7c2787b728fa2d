"""Lists: things to do, shopping, and any other list one names."""

from __future__ import annotations

import sqlite3

from rapidfuzz import fuzz, process

from agent.conversation.events import Json
from agent.errors import ToolError
from agent.thinking.port import ToolContext, UserContext
from agent.thinking.tools.lists import list_name, said_list, split_items
from agent.thinking.tools.skill import (
    STRING,
    STRINGS,
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
    texts_of,
)

MAX_ITEMS = 500


def _list_of(slots: Slots) -> str:
    return str(slots.get("list") or "to do")


def _add(slots: Slots, _: Past) -> Answer:
    found = slots.get("items") or slots.get("item") or slots.get("task")
    items = found if isinstance(found, list) else [str(found)]
    return Ask("add_to_list", {"list": _list_of(slots), "items": list(items)})


def _read(slots: Slots, _: Past) -> Answer:
    return Ask("read_list", {"list": _list_of(slots)})


def _remove(slots: Slots, _: Past) -> Answer:
    return Ask("remove_from_list", {"list": _list_of(slots), "item": str(slots.get("item") or slots.get("task"))})


def _clear(slots: Slots, _: Past) -> Answer:
    return Ask("clear_list", {"list": _list_of(slots)})


def _other_list(slots: Slots, past: Past) -> Answer | None:
    if past.last is None or past.last.tool != "read_list":
        return None
    return _read(slots, past)


def _more(slots: Slots, past: Past) -> Answer | None:
    """`and eggs` after adding milk."""
    items = slots.get("items")
    if past.last is None or past.last.tool != "add_to_list" or not isinstance(items, list):
        return None
    if len(" ".join(items).split()) > 4 * len(items):
        return None
    return Ask("add_to_list", {"list": past.last.arguments.get("list", "to do"), "items": list(items)})


def _items(db: sqlite3.Connection, name: str) -> list[tuple[int, str]]:
    return db.execute("SELECT id, text FROM items WHERE list = ? AND done = 0 ORDER BY id", (name,)).fetchall()


def _insert(db: sqlite3.Connection, name: str, items: list[str], created: str) -> Json:
    if db.execute("SELECT count(*) FROM items WHERE done = 0").fetchone()[0] + len(items) > MAX_ITEMS:
        raise ToolError(f"I keep {MAX_ITEMS} list items at most. Remove some first.", "input")
    have = {text.lower() for _, text in _items(db, name)}
    added = [item for item in items if item.lower() not in have]
    db.executemany(
        "INSERT INTO items (list, text, created) VALUES (?, ?, ?)", [(name, item, created) for item in added]
    )
    return {"list": name, "added": list(added), "known": [item for item in items if item not in added]}


def _complete(db: sqlite3.Connection, name: str, item: str) -> Json:
    """Lists are named or, when `name` is the to-do list, searched all."""
    found = _items(db, name)
    if name == "to do":
        found = (
            found
            + db.execute("SELECT id, text FROM items WHERE list != ? AND done = 0 ORDER BY id", (name,)).fetchall()
        )
    best = process.extractOne(
        item.lower(), {key: text.lower() for key, text in found}, scorer=fuzz.ratio, score_cutoff=80
    )
    if best is None:
        raise ToolError(f"I can't find {item} on your {name} list.", "not_found")
    db.execute("UPDATE items SET done = 1 WHERE id = ?", (best[2],))
    return {"list": name, "item": dict(found)[best[2]]}


def _empty(db: sqlite3.Connection, name: str) -> Json:
    return {
        "list": name,
        "count": db.execute("UPDATE items SET done = 1 WHERE list = ? AND done = 0", (name,)).rowcount,
    }


def _name(arguments: Arguments) -> str:
    name = text_of(arguments, "list", "to do").lower()
    return list_name(name) or name[:40]


def _tools(kit: Kit) -> list[SkillTool]:
    async def add(arguments: Arguments, context: ToolContext) -> Json:
        items = [item[:200] for text in texts_of(arguments, "items") for item in split_items(text)]
        created = context.user.now.isoformat()
        return await kit.memory.write(context.idempotency_key, lambda db: _insert(db, _name(arguments), items, created))

    async def read(arguments: Arguments, _: ToolContext) -> Json:
        name = _name(arguments)
        found = await kit.memory.read(lambda db: _items(db, name))
        return {"list": name, "items": [text for _, text in found]}

    async def remove(arguments: Arguments, context: ToolContext) -> Json:
        name, item = _name(arguments), text_of(arguments, "item")
        return await kit.memory.write(context.idempotency_key, lambda db: _complete(db, name, item))

    async def clear(arguments: Arguments, context: ToolContext) -> Json:
        return await kit.memory.write(context.idempotency_key, lambda db: _empty(db, _name(arguments)))

    check = kit.memory.check
    of: dict[str, Json] = {"list": STRING}
    return [
        SkillTool(
            spec(
                "add_to_list",
                "Put items on a list.",
                {**of, "items": STRINGS},
                required=["items"],
                effect="write",
                reversible=True,
            ),
            add,
            check,
        ),
        SkillTool(spec("read_list", "The open items of a list.", of), read, check),
        SkillTool(
            spec(
                "remove_from_list",
                "Take an item off a list, or tick it off.",
                {**of, "item": STRING},
                required=["item"],
                effect="write",
                reversible=True,
            ),
            remove,
            check,
        ),
        SkillTool(spec("clear_list", "Take everything off a list.", of, effect="write"), clear, check),
    ]


def _say_added(_: Arguments, content: Json, __: UserContext) -> str:
    found = fields_of(content)
    added, known = _texts(found["added"]), _texts(found["known"])
    if not added:
        return (
            f"{_capital(said_list(known))} {'is' if len(known) == 1 else 'are'} already on your {found['list']} list."
        )
    return f"I added {said_list(added)} to your {found['list']} list."


def _say_items(_: Arguments, content: Json, __: UserContext) -> str:
    found = fields_of(content)
    items = _texts(found["items"])
    if not items:
        return f"Your {found['list']} list is empty."
    return f"On your {found['list']} list: {said_list(items)}."


def _say_removed(_: Arguments, content: Json, __: UserContext) -> str:
    return f"Done, {fields_of(content)['item']} is off your list."


def _say_cleared(_: Arguments, content: Json, __: UserContext) -> str:
    found = fields_of(content)
    return (
        f"Done, your {found['list']} list is empty now." if found["count"] else f"Your {found['list']} list was empty."
    )


def _texts(value: Json) -> list[str]:
    return [str(item) for item in value] if isinstance(value, list) else []


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


SKILL = Skill(
    name="todo",
    help="keep to-do and shopping lists",
    intents=[
        Intent("(add|put) {items} (to|on|onto) (my|the) {list}", _add, limit=150),
        Intent("(at|had|ad) {items} (to|on) my {list}", _add, loose=True),
        Intent(
            "(i need to|i have to|i must) buy {items}",
            lambda slots, past: _add({**slots, "list": "shopping"}, past),
            limit=100,
        ),
        Intent("add {task} to my to dos", _add, limit=60),
        Intent("add a (task|to do) to {task}", _add, limit=60),
        Intent("what is [still] on (my|the) {list}", _read),
        Intent("(read|show|tell) me my {list}", _read),
        Intent("(read|list|show) (my|the) {list}", _read),
        Intent(
            "(what do i have to do|what do i need to do|what should i do|what are my tasks|my to do list|do "
            "i have anything to do)",
            _read,
        ),
        Intent(
            "(what do i need to buy|what do i have to buy|what should i buy|my shopping list)",
            lambda *_: Ask("read_list", {"list": "shopping"}),
        ),
        Intent("(clear|empty|erase|delete|reset) (my|the) {list}", _clear),
        Intent("(remove|delete|take|cross|check) {item} (off|from) (my|the) {list}", _remove, limit=150),
        Intent("(take|cross|check|tick) off {item}", _remove, limit=60),
        Intent("mark {task} as done", _remove, limit=60),
    ],
    follow_ups=[
        Intent("(and|what about|how about|and what about) [on] my {list}", _other_list),
        Intent("(and|also|and also) [add] {items} [too|as well]", _more, limit=60),
    ],
    phrases={
        "add_to_list": _say_added,
        "read_list": _say_items,
        "remove_from_list": _say_removed,
        "clear_list": _say_cleared,
    },
    briefs={"read_list": lambda _, content, __: _texts(fields_of(content)["items"])},
    tools=_tools,
)
