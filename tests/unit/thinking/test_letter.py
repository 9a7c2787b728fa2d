"""E-mails as they are dictated, and as messages."""

from __future__ import annotations

from datetime import datetime
from email import message_from_bytes
from email.policy import default
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.conversation.events import Json
from agent.errors import ToolError
from agent.thinking.tools.contacts import Contacts
from agent.thinking.tools.letter import composed, drafted, with_day, with_time

NOW = datetime(2026, 3, 4, 15, 20, tzinfo=ZoneInfo("Europe/Berlin"))
BOOK = Contacts(
    ["anna = Anna Lee <anna@example.org>", "anna work = anna@work.example", "zoe = Zoë Ö <zoe@example.org>"],
    ["home = Ann <ann@home.example>", "work = ann@work.example"],
)


def letter(key: str = "key", **arguments: Json) -> bytes:
    return composed(drafted({"to": ["anna"], "body": "hello", **arguments}, BOOK), key, NOW).data


def test_a_message_is_whole_and_7_bit() -> None:
    data = letter(to=["anna", "zoe"], body="grüße an alle\n.\n" + "x" * 2_000, subject="Über\nuns")
    assert data.isascii()
    assert all(len(line) <= 998 for line in data.split(b"\r\n"))
    assert b"\n" not in data.replace(b"\r\n", b"")
    read = message_from_bytes(data, policy=default)
    assert str(read["To"]) == "Anna Lee <anna@example.org>, Zoë Ö <zoe@example.org>"
    assert str(read["From"]) == "Ann <ann@home.example>"
    assert str(read["Subject"]) == "Über uns"
    assert read["Date"].datetime == NOW
    assert read.get_content().startswith("Grüße an alle")


def test_the_message_id_is_that_of_the_key() -> None:
    ids = [message_from_bytes(letter(key), policy=default)["Message-ID"] for key in ("a", "a", "b")]
    assert ids[0] == ids[1] != ids[2]
    assert ids[0].endswith("@home.example>")


@given(st.text(max_size=300), st.text(max_size=100))
def test_nothing_that_is_dictated_becomes_a_header(body: str, subject: str) -> None:
    try:
        data = letter(body=body, subject=subject)
    except ToolError:
        assert not body.strip()
        return
    headers = data.split(b"\r\n\r\n", 1)[0]
    names = [line.split(b":")[0] for line in headers.split(b"\r\n") if not line.startswith(b" ")]
    assert set(names) <= {b"From", b"To", b"Subject", b"Date", b"Message-ID", b"Content-Type",
                          b"Content-Transfer-Encoding", b"MIME-Version"}  # fmt: skip
    assert len(names) == len(set(names))


@pytest.mark.parametrize(
    ("arguments", "sender", "to"),
    [
        ({"to": "anna"}, "ann@home.example", "anna@example.org"),
        ({"to": ["anna"], "mine": "work"}, "ann@work.example", "anna@example.org"),
        ({"to": ["me"], "mine": "work"}, "ann@home.example", "ann@work.example"),
        ({"to": ["anna"], "kind": "work"}, "ann@home.example", "anna@work.example"),
        ({"to": ["anna", "Anna", "anna@example.org"]}, "ann@home.example", "anna@example.org"),
        ({"to": ["x@example.com"], "from": "my work email"}, "ann@work.example", "x@example.com"),
    ],
)
def test_which_address_is_meant(arguments: dict[str, Json], sender: str, to: str) -> None:
    found = drafted({"body": "hello", **arguments}, BOOK)
    assert (found.sender.addr_spec, [one.addr_spec for one in found.to]) == (sender, [to])
    assert drafted(found.arguments(), BOOK) == found, "what is proposed leaves nothing open"


@pytest.mark.parametrize(
    "arguments",
    [{"to": []}, {"to": None}, {"to": ["anna"], "body": " "}, {"to": ["anna"], "body": 3}, {"to": ["anna"] * 11},
     {"to": ["anna"], "body": "x" * 10_001}, {"to": ["nobody"]}, {"to": ["anna"], "mine": "yacht"}, {"to": [{}]}],
)  # fmt: skip
def test_what_cannot_be_sent_is_refused_before_anybody_is_asked(arguments: dict[str, Json]) -> None:
    with pytest.raises(ToolError):
        drafted({"body": "hello", **arguments}, BOOK)


def test_spoken_words_become_written_ones_and_written_ones_stay() -> None:
    for dictated, written in (
        ("i think monday in march is fine", "I think Monday in march is fine."),
        ("See you on MONDAY, i guess", "See you on MONDAY, i guess."),
        ("really?", "Really?"),
    ):
        assert drafted({"to": "anna", "body": dictated}, BOOK).body == written


@pytest.mark.parametrize(
    ("body", "day", "time"),
    [
        ("The meeting moved to Friday.", "The meeting moved to Sunday.", None),
        ("See you tomorrow at three pm.", "See you Sunday at three pm.", "See you tomorrow at noon."),
        ("Not on Monday but next Tuesday at 9:30", "Not on Monday but Sunday at 9:30",
         "Not on Monday but next Tuesday at noon"),
        ("Dinner is at seven.", None, "Dinner is at noon."),
        ("I have one dog.", None, None),
        ("I will be ten minutes late.", None, None),
    ],
)  # fmt: skip
def test_a_day_or_a_time_of_the_text_is_replaced(body: str, day: str | None, time: str | None) -> None:
    assert with_day(body, "sunday") == day
    assert with_time(body, "noon") == time
