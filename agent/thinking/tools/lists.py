"""Names of lists, splitting of spoken enumerations, and the example contents of free text."""

from __future__ import annotations

import re

_LISTS = {
    "to do": ("to do list", "to do", "to dos", "task list", "tasks", "list", "todo list", "things to do"),
    "shopping": ("shopping list", "shopping", "grocery list", "groceries", "grocery"),
}
_BY_NAME = {name: kind for kind, names in _LISTS.items() for name in names}
_SPLIT = re.compile(r"\s*,\s*(?:and\s+)?|\s+and\s+", re.IGNORECASE)
_KEPT_TOGETHER = ("mac and cheese", "salt and pepper", "fish and chips", "bread and butter")
_CUSTOM = re.compile(r"([a-z][a-z' ]{1,20}) list")

SPOKEN_LISTS = ("to do list", "shopping list", "grocery list", "list", "task list", "packing list")


def list_name(text: str) -> str | None:
    """`shopping` of `my grocery list`, `to do`, or another `… list`'s own name; None if it names none."""
    for article in ("my ", "the ", "our ", "a "):
        text = text.removeprefix(article)
    if text in _BY_NAME:
        return _BY_NAME[text]
    found = _CUSTOM.fullmatch(text)
    return found.group(1) if found else None


def split_items(text: str) -> list[str]:
    """`milk, eggs and bread` as three; never empty for text with a word in it."""
    if text.lower() in _KEPT_TOGETHER:
        return [text]
    items = [item.strip() for item in _SPLIT.split(text)]
    return [re.sub(r"^(?:some|a|an)\s+(?=\w)", "", item, flags=re.IGNORECASE) for item in items if item][:20]


def said_list(items: list[str], most: int = 8) -> str:
    """`milk, eggs and bread`; the rest of a long one is counted."""
    if len(items) > most:
        return ", ".join(items[:most]) + f", and {len(items) - most} more"
    return " and ".join([", ".join(items[:-1]), items[-1]] if len(items) > 1 else items)


_GOODS = (
    "milk eggs bread butter cheese apples bananas oranges tomatoes potatoes onions carrots rice pasta coffee "
    "tea sugar salt "
    "flour chicken fish beef yogurt juice water wine beer chocolate cookies soap shampoo batteries paper "
    "toothpaste lettuce "
    "garlic lemons cereal honey ham"
).split()
SAMPLE_TASKS = (
    "call mom", "call my mother", "call dad", "call the doctor", "call the dentist", "call the bank",
    "call my brother", "call anna",
    "buy milk", "buy bread", "buy flowers", "buy a birthday present", "pay the rent", "pay the bills",
    "pay the electric bill",
    "water the plants", "feed the cat", "feed the dog", "walk the dog", "take out the trash", "take a break",
    "take my medicine",
    "check the oven", "check the mail", "clean the kitchen", "clean the house", "do the laundry", "do the dishes",
    "wash the car",
    "fix the bike", "write the report", "send the email", "finish my homework", "book a flight", "book a hotel",
    "go to bed",
    "go to the gym", "go shopping", "pick up the kids", "pick up the package", "return the book", "read the paper",
    "drink water",
    "stand up", "turn off the oven", "charge my phone", "renew my passport", "make dinner", "stretch", "leave",
)  # fmt: skip
SAMPLE_ITEMS = (
    *_GOODS,
    *(f"{a} and {b}" for a, b in zip(_GOODS[::2], _GOODS[1::2], strict=False)),
    *SAMPLE_TASKS[8:16],
)
SAMPLE_FACTS = (
    "the door code is four two", "the door code is one two three four", "my locker number is seventeen",
    "the car is on level three",
    "the meeting is on friday", "the meeting is at three", "the train leaves at nine", "the keys are in the kitchen",
    "my car is on the third floor", "anna likes tea", "the party is on saturday", "the wifi password is on the fridge",
    "the plumber comes on tuesday", "the spare key is under the mat", "the package arrives tomorrow",
    "my shoe size is forty two",
    "i parked on level two", "the baby slept well", "the book is due on monday", "i am allergic to nuts",
    "the code is nine five one",
    "the number is five five five one two three four", "dinner is at seven", "the doctor is on main street",
)  # fmt: skip
SAMPLE_TOPICS = (
    "the door code",
    "the meeting",
    "my locker number",
    "the car",
    "the train",
    "the keys",
    "the party",
    "the package",
)
SAMPLE_LABELS = (
    "pizza",
    "tea",
    "pasta",
    "egg",
    "laundry",
    "oven",
    "rice",
    "bread",
    "coffee",
    "workout",
    "meeting",
    "chicken",
)
SAMPLE_NAMES = (
    "anna", "john", "mary", "peter", "maria", "david", "sarah", "michael", "emma", "james", "laura", "paul", "lisa",
    "robert",
    "julia", "thomas", "alex", "chris", "linda", "mark", "susan", "daniel", "kate", "tom", "sam", "max", "ben",
    "jane", "bob", "alice",
)  # fmt: skip
SAMPLE_PEOPLE = ("anna", "bob", "mary", "john", "david", "sarah")
"""Of letters and appointments; those of the address book come beside them."""
SAMPLE_BODIES = (
    "i am running late", "the meeting moved to friday", "the meeting moved to monday", "i am on my way",
    "i will be ten minutes late", "i can not come today", "i am sick today", "see you tomorrow", "please call me",
    "thank you for your help", "happy birthday", "the meeting is cancelled", "the meeting is at three",
    "i will call you tomorrow", "the report is done", "dinner is at seven",
)  # fmt: skip
ADDRESS_KINDS = ("work", "home", "private", "office", "school", "business", "personal")
EVENTS = frozenset(
    "meeting call lunch dinner breakfast brunch appointment interview party date class lesson visit workshop flight "
    "train game match practice event coffee conference presentation review standup session concert training".split()
)
"""The last words of what appointments are called: much else can be cancelled or moved."""
SAMPLE_EVENTS = (
    "meeting", "appointment", "call", "lunch", "dinner", "dentist appointment", "interview", "party",
)  # fmt: skip
SAMPLE_HOURS = (
    "three pm", "four pm", "nine am", "ten thirty", "noon", "two oclock", "half past four", "eleven am", "one pm",
)  # fmt: skip
SAMPLE_WHENS = (
    "tomorrow at three pm", "on friday at ten am", "today at four pm", "on monday at nine", "tomorrow at noon",
    "at five pm", "tomorrow at ten thirty", "on tuesday at two pm", "on wednesday at eleven am", "tonight at eight",
    "on thursday at one pm", "tomorrow at nine am", "on saturday at six pm", "on sunday at twelve thirty",
)  # fmt: skip
_MONTHS = "january february march april may june july august september october november december".split()
_DATES = "first|second|third|fourth|fifth|sixth|tenth|twelfth|fifteenth|twentieth|twenty fifth|thirtieth".split("|")
_WEEK = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
SAMPLE_DAYS = (
    *(
        "tomorrow",
        "yesterday",
        "today",
        "the day after tomorrow",
        "christmas",
        "christmas eve",
        "new year",
        "halloween",
    ),
    *("easter", "thanksgiving", "valentine's day", "new year's eve", "independence day"),
    *(f"{which}{day}" for day in _WEEK for which in ("", "next ", "this ")),
    *(f"{month} {_DATES[(i * 5 + step) % len(_DATES)]}" for step in range(3) for i, month in enumerate(_MONTHS)),
    *("in two weeks", "in ten days", "in three days", "in a month", "in one week", "in six weeks", "in a hundred days"),
)
