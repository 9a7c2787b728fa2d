"""From the words to the file: brain, core, thinking loop and tools together, spoken answers included."""

from __future__ import annotations

from pathlib import Path

import pytest

from agent.conversation.policy import Actions
from tests.unit.thinking.session_talk import Talk, scene

EMAIL = "send an email to anna saying the meeting moved to friday"
MEETING = "add a meeting with bob tomorrow at three pm to my calendar"


def test_an_email_is_written_once_the_user_has_said_yes(tmp_path: Path) -> None:
    async def play(talk: Talk) -> None:
        question = await talk.say(EMAIL)
        assert question == (
            "Send an email to Anna Lee at anna@example.org, saying: The meeting moved to Friday. Shall I?"
        )
        assert talk.letters() == []
        assert await talk.say("yes, send it") == "The e-mail to Anna Lee is in your outbox."
        assert talk.letters() == [
            "Ann Lee <ann@home.example> → Anna Lee <anna@example.org>: The meeting moved to Friday."
        ]
        assert talk.actions() == ["proposed", "confirmed", "started", "committed"]

    scene(tmp_path, play)


@pytest.mark.parametrize("answer", ["no", "never mind", "what time is it", "yes I think the weather is nice"])
def test_anything_but_a_yes_leaves_the_email_unwritten(tmp_path: Path, answer: str) -> None:
    async def play(talk: Talk) -> None:
        await talk.say(EMAIL)
        await talk.say(answer)
        await talk.say("yes")
        assert talk.letters() == []
        assert talk.actions() == ["proposed", "rejected"]

    scene(tmp_path, play)


def test_a_timer_that_rings_behind_the_question_is_followed_by_it_once_more(tmp_path: Path) -> None:
    """An "okay" said to the timer must not send the e-mail."""

    async def play(talk: Talk) -> None:
        question = await talk.say(EMAIL)
        assert await talk.rings("Your tea is ready.") == f"Your tea is ready. {question}"
        bob = await talk.say("to bob instead")
        assert "to Bob at bob@example.org" in bob
        assert await talk.rings("Your eggs are ready.") == f"Your eggs are ready. {bob}"
        assert talk.letters() == []
        await talk.say("okay")
        assert len(talk.letters()) == 1
        assert talk.actions() == ["proposed", "rejected", "proposed", "confirmed", "started", "committed"]

    scene(tmp_path, play)


def test_each_correction_is_another_proposal_and_only_the_last_is_done(tmp_path: Path) -> None:
    async def play(talk: Talk) -> None:
        await talk.say(EMAIL)
        assert "from ann@work.example to Anna" in await talk.say("no, my work email")
        assert "to Bob at bob@example.org" in await talk.say("to bob instead")
        assert "moved to Monday" in await talk.say("change it to monday")
        assert "Bob at bob@example.org and Anna Lee" in await talk.say("and to anna")
        assert talk.letters() == []
        await talk.say("yes")
        assert talk.letters() == [
            "ann@work.example → Bob <bob@example.org>, Anna Lee <anna@example.org>: The meeting moved to Monday."
        ]
        assert talk.actions() == ["proposed", "rejected"] * 4 + ["proposed", "confirmed", "started", "committed"]
        assert "already" in await talk.say("to bob instead")
        assert "can't be taken back" in await talk.say("undo that")
        assert len(talk.letters()) == 1

    scene(tmp_path, play)


@pytest.mark.parametrize(
    ("request_", "said"),
    [
        ("send an email to zoe saying hello", "no e-mail address of zoe"),
        ("send an email to anna", "don't know what to write"),
        ("cancel my meeting with bob", "There is no meeting with Bob"),
    ],
)
def test_what_cannot_be_done_is_said_and_nobody_is_asked(tmp_path: Path, request_: str, said: str) -> None:
    async def play(talk: Talk) -> None:
        assert said in await talk.say(request_)
        assert talk.actions() == []

    scene(tmp_path, play)


def test_an_appointment_is_added_by_policy_and_undone(tmp_path: Path) -> None:
    async def play(talk: Talk) -> None:
        assert await talk.say(MEETING) == "The meeting with Bob tomorrow at 3 PM is on your calendar."
        assert talk.appointments() == ["Meeting with Bob 02 14:00"]
        assert await talk.say("undo that") == (
            "Okay, I took the meeting with Bob tomorrow at 3 PM off your calendar again."
        )
        assert talk.appointments() == []
        ended = ["proposed", "confirmed", "started", "committed"]
        assert talk.actions() == [*ended, *ended, "reverted"]
        reverted = next(x.event for x in talk.session.timeline.window() if x.event.type == "action.reverted")
        first = next(x.event for x in talk.session.timeline.window() if x.event.type == "action.committed")
        assert reverted.action_id == first.action_id  # type: ignore[attr-defined]
        assert "nothing that I can undo" in await talk.say("undo that")

    scene(tmp_path, play)


def test_an_appointment_is_asked_about_where_that_is_set_and_can_be_changed_before(tmp_path: Path) -> None:
    async def play(talk: Talk) -> None:
        assert await talk.say(MEETING) == "Add the meeting with Bob tomorrow at 3 PM to your calendar. Shall I?"
        assert "tomorrow at 4 PM" in await talk.say("make it four pm")
        assert "lunch" not in await talk.say("with anna instead")
        assert talk.appointments() == []
        await talk.say("yes")
        assert talk.appointments() == ["Meeting with Anna 02 15:00"]
        assert (await talk.say("make it two pm")).startswith("Move the meeting with Anna tomorrow at 4 PM to tomorrow")
        await talk.say("yes")
        assert talk.appointments() == ["Meeting with Anna 02 13:00"]

    scene(tmp_path, play, Actions(low_risk="ask"))
