"""Whom a name means; and that it is never guessed."""

import pytest

from agent.errors import SettingsError, ToolError
from agent.thinking.tools.contacts import Contacts, parsed

BOOK = Contacts(
    ["anna = Anna Lee <anna@example.org>", "Anna Work = anna@work.example", "bob miller = bob@example.org",
     "max smith = max@example.org", "max jones = jones@example.org"],
    ["home = Ann <ann@home.example>", "work = ann@work.example"],
)  # fmt: skip


@pytest.mark.parametrize(
    ("who", "address"),
    [
        ("anna", "anna@example.org"), ("Anna", "anna@example.org"), ("anna's work email", "anna@work.example"),
        ("anna at work", "anna@work.example"), ("bob", "bob@example.org"), ("bob miller", "bob@example.org"),
        ("me", "ann@home.example"), ("my work address", "ann@work.example"), ("my email", "ann@home.example"),
        ("zoe@example.com", "zoe@example.com"), ("Zoe <zoe@example.com>", "zoe@example.com"),
    ],
)  # fmt: skip
def test_names_and_addresses(who: str, address: str) -> None:
    assert BOOK.find(who).addr_spec == address


@pytest.mark.parametrize(
    ("who", "error_class"),
    [("zoe", "not_found"), ("ann", "not_found"), ("bobby", "not_found"), ("max", "input"), ("my yacht", "not_found"),
     ("a@b@c", "input"), ("x@y z", "input"), ("a@example.org\r\nBcc: b@example.org", "input"), ("@", "input")],
)  # fmt: skip
def test_nobody_is_guessed(who: str, error_class: str) -> None:
    with pytest.raises(ToolError) as caught:
        BOOK.find(who)
    assert caught.value.error_class == error_class


def test_the_same_people_at_another_address() -> None:
    people = [BOOK.find("anna"), BOOK.find("bob")]
    assert [one.addr_spec for one in BOOK.of_kind(people, "work")] == ["anna@work.example", "bob@example.org"]
    with pytest.raises(ToolError, match="no work address"):
        BOOK.of_kind([BOOK.find("bob")], "work")


def test_what_people_are_called_when_the_book_does_not_say() -> None:
    assert [BOOK.find(who).display_name for who in ("anna", "anna's work email", "bob")] == [
        "Anna Lee",
        "Anna",
        "Bob Miller",
    ]


@pytest.mark.parametrize(
    "entry", ["anna", "anna@example.org", "anna = ", "= a@b.c", "anna = not an address", "a = b@c d"]
)
def test_a_bad_entry_is_named(entry: str) -> None:
    with pytest.raises(SettingsError, match=r"mail\.contacts"):
        Contacts([entry])
    with pytest.raises(SettingsError, match=r"mail\.own"):
        Contacts([], [entry])


def test_what_is_an_address() -> None:
    assert str(parsed("Zoe Ö <zoe@example.com>")) == "Zoe Ö <zoe@example.com>"
    assert parsed("bob@example.com about the party") is None
    assert parsed("zoe@exämple.com") is None
