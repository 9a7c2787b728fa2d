"""What can go wrong, one test each, with what must happen then.

Those of the loops are in tests/unit/test_session_traps.py.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable

import pytest

from agent.conversation import decisions as d
from agent.conversation import events as e
from agent.conversation.actions import Action
from agent.conversation.deadlines import Deadlines
from agent.conversation.outbox import Outbox
from agent.conversation.policy import Replies
from agent.conversation.proposals import Proposals
from agent.conversation.wording import TOO_LONG
from tests.unit.conversation.script import WORD_SAMPLES, Script, names

REPLIES = Replies()
OUTCOMES = (d.ActionCommitted, d.ActionFailed, d.ActionRejected, d.ActionUnknown)


def stop(script: Script) -> Script:
    script.post(e.ControlStop(source="device:d1"))
    return script


def goes_on(script: Script) -> bool:
    """Whether the next question is answered."""
    script.types("are you there").thinks("Yes.").plays_out()
    return script.last(d.ReplyDone).outcome == "completed"


# ── a cancel races a commit ──────────────────────────────────────────────────────────────


@pytest.mark.parametrize("effect", ["commits", "fails"])
@pytest.mark.parametrize("first", ["the cancel", "the outcome"])
def test_a_cancel_that_races_a_commit_leaves_one_outcome_and_it_is_told(first: str, effect: str):
    script = Script().types("order a pizza").calls("c1", "write").done()
    if first == "the cancel":
        stop(script)
    script.result("c1", ok=effect == "commits")
    if first == "the outcome":
        stop(script)
    (outcome,) = [x for type_ in OUTCOMES for x in script.all(type_)]
    assert isinstance(outcome, d.ActionCommitted if effect == "commits" else d.ActionFailed)
    if isinstance(outcome, d.ActionCommitted):
        assert outcome.late is (first == "the cancel")
    script.types("what happened")
    at = script.model.context.index("r1-c1-result")
    assert script.model.context[at - 1] == "r1-c1-call"


def test_a_cancel_that_races_a_confirmation_leaves_one_outcome():
    """ "Yes" and "stop" at once: whichever comes second finds the matter settled."""
    asked = Script().types("mail anna").calls("c1", "write", risk="high").done().plays_out()
    stop(asked.answers_card("r1:c1", accept=True))
    assert len(asked.all(d.ActionStarted)) == 1
    assert asked.none(d.ActionRejected)
    refused = Script().types("mail anna").calls("c1", "write", risk="high").done().synthesised().plays(1)
    stop(refused).answers_card("r1:c1", accept=True)
    assert refused.none(d.ActionStarted)
    assert refused.one(d.ActionRejected).reason == "interrupted"
    assert refused.one(d.Complaint).code == "action.stale"


def test_a_proposal_is_not_confirmed_in_words_before_it_was_heard():
    """The last line of defence: the question's interruption withdraws it before words come to be judged."""
    outbox = Outbox()
    proposals = Proposals(outbox, Deadlines())
    call = e.ToolCall(reply_id="r1", step=1, call_id="c1", name="x", arguments={}, effect="write", risk="high")
    proposals.propose(Action(call, "t1", "r1"), "r1")
    assert proposals.verdict("yes", understood=True) == "other"
    assert proposals.verdict("no", understood=True) == "no"
    proposals.reply_ended("r1", 0, heard=True)
    assert proposals.verdict("yes", understood=True) == "yes"


# ── hearing ──────────────────────────────────────────────────────────────────────────────


def test_a_final_text_that_contradicts_the_one_acted_on_restarts_and_withdraws():
    script = Script({"endpointing.floor_ms": 400}).says("mail anna").calls("c1", "write", risk="high").done()
    assert script.model.speculative
    script.wait(100).final("mail bob").wait(500)
    assert script.one(d.ActionRejected).action_id == "r1:c1"
    assert script.all(d.ReplyDone)[0].outcome == "discarded"
    assert script.turns == ["mail bob"]
    script.calls("c1", "write", risk="high").done().plays_out().says("yes").wait(500)
    assert script.one(d.ActionStarted).action_id == "r2:c1"


@pytest.mark.parametrize(("partial", "final", "started"), [("yes", "yes but to bob", False), ("no", "yes", True)])
def test_a_partial_that_the_final_text_contradicts_neither_confirms_nor_refuses(partial, final, started):
    script = Script().types("mail anna").calls("c1", "write", risk="high").done().plays_out()
    script.starts().wait(300).partial(partial).wait(500)
    assert script.none(d.ActionConfirmed, d.ActionRejected)
    script.stops(500).final(final).wait(1_000)
    assert bool(script.all(d.ActionStarted)) is started
    assert bool(script.all(d.ActionRejected)) is not started


def test_a_user_who_was_cut_off_early_and_goes_on_is_in_the_same_turn():
    """See also test_cut_off.py."""
    script = Script().says("what is the weather").wait(300).starts().wait(400).voiced(350).partial("in paris")
    script.stops(400).final("in paris").wait(600)
    assert script.all(d.TurnStart)[1].continues == "t1"
    assert script.model.text == "what is the weather in paris"
    assert script.model.context == ()


# ── silence ──────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("waits_for", ["the brain", "a tool"])
def test_dead_air_brings_a_status_and_then_speech(waits_for: str):
    script = Script().types()
    if waits_for == "a tool":
        script.calls("c1").done()
    script.wait(REPLIES.preface_after_ms)
    assert names(script.step) == ["agent.status:working", "tts.say"]
    script.plays_out().wait(REPLIES.dead_air_ms)
    assert names(script.step) == ["agent.status:working", "tts.say"]
    assert script.texts == [REPLIES.preface_text, REPLIES.dead_air_text]


@pytest.mark.parametrize("hangs", ["brain", "read", "write"])
def test_what_hangs_is_given_up_with_a_typed_failure_and_the_user_is_told(hangs: str):
    script = Script().types()
    if hangs != "brain":
        script.calls("c1", hangs).done()  # type: ignore[arg-type]
    limit_ms = REPLIES.model_timeout_ms if hangs == "brain" else REPLIES.tool_timeout_ms
    for _ in range(limit_ms // 100):
        script.wait(100)
        if script.texts:
            script.plays_out()
    assert script.one(d.Complaint).code == ("model.timeout" if hangs == "brain" else "tool.timeout")
    assert "failed" in [status.status for status in script.all(d.AgentStatus)]
    assert script.one(d.ReplyDone).outcome == "failed"
    assert goes_on(script)


# ── what is shown and what was spoken ────────────────────────────────────────────────────


def test_what_was_shown_and_not_spoken_is_told_apart():
    script = Script().types().thinks("One. Two two. Three.")
    first, second, third = script.all(d.TtsSay)
    script.chunk(first)
    script.post(e.TtsFailed(reply_id="r1", chunk=second.chunk, message="no voice"))
    script.chunk(third).plays(2)
    found = script.one(d.PlaybackStop)
    assert (found.heard_text, found.unheard_text) == ("One. Three.", "Two two.")
    cut = stop(Script().speaking("One two three. Four.", heard=2)).one(d.PlaybackStop)
    assert (cut.heard_text, cut.unheard_text) == ("One two", "three. Four.")


def test_a_chunk_that_broke_off_is_never_taken_for_whole():
    """Its end is played before the failure is told: nothing that was not synthesised was heard."""
    script = Script().types().thinks("One two three.")
    script.plays(2)
    say = script.one(d.TtsSay)
    words = (e.Word(0, WORD_SAMPLES, 3), e.Word(WORD_SAMPLES, 2 * WORD_SAMPLES, 7))
    script.post(
        e.TtsChunk(
            reply_id="r1", chunk=0, text="One two", phase=say.phase, rests_on=(), start_sample=0,
            samples=2 * WORD_SAMPLES, words=words,
        )
    )  # fmt: skip
    script.post(e.TtsFailed(reply_id="r1", chunk=0, message="the voice broke"))
    found = script.one(d.PlaybackStop)
    assert (found.heard_text, found.unheard_text) == ("One two", "three.")
    assert script.one(d.ReplyDone).outcome == "failed"


# ── cancellations ────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("ack", ["late", "lost"])
def test_an_ack_that_is_late_or_lost_does_not_keep_the_conversation(ack: str):
    script = stop(Script().speaking()).wait(REPLIES.cancel_timeout_ms)
    assert {error.code for error in script.all(d.Complaint)} == {"cancel.timeout"}
    if ack == "late":
        assert script.acks().step == []
    assert goes_on(script)
    assert len(script.all(d.Complaint)) == len(script.all(d.CancelRequested)), "each is complained of once"


def test_what_is_cancelled_twice_is_asked_to_once():
    """The stop button again, the voice behind the button, a failure behind the interruption."""
    script = stop(stop(Script().types().token("One two three. ").calls("c1").synthesised().plays(1)))
    script.done("boom").result("c1").starts().wait(300).partial("no stop").voiced(400)
    targets = [(request.reply_id, request.target) for request in script.all(d.CancelRequested)]
    assert sorted(targets) == sorted({("r1", "playback"), ("r1", "tts"), ("r1", "model"), ("r1", "tool:c1")})
    assert len(script.all(d.InterruptionRecorded)) == 1


def test_what_was_given_up_is_not_cancelled_again_by_an_interruption():
    script = Script({"replies.tool_timeout_ms": 2_000}).types().calls("c1").done().wait(2_000).synthesised().plays(1)
    stop(script)
    targets = [request.target for request in script.all(d.CancelRequested)]
    assert targets == ["tool:c1", "playback", "tts"]


def test_what_has_not_started_or_has_ended_is_not_cancelled():
    script = stop(Script().types().calls("c1").result("c1").done().thinks("Noon."))
    assert [request.target for request in script.all(d.CancelRequested)] == ["playback", "tts"]
    done = stop(Script().speaking().plays_out())
    assert done.none(d.CancelRequested, d.InterruptionConfirmed)


def test_a_cancel_during_another_is_acked_for_itself():
    """The next reply is interrupted while the last one's cancellations are still not acked."""
    script = stop(Script().speaking())
    script.wait(REPLIES.cancel_timeout_ms // 2)
    stop(script.speaking())
    script.post(e.CancelAck(reply_id="r2", target="tts"))
    script.post(e.CancelAck(reply_id="r2", target="playback"))
    script.wait(REPLIES.cancel_timeout_ms)
    assert {(error.reply_id, error.message.split()[0]) for error in script.all(d.Complaint)} == {
        ("r1", "playback"),
        ("r1", "tts"),
    }


# ── order ────────────────────────────────────────────────────────────────────────────────


REPEATED = (
    e.SpeechVoiced, e.SpeechStopped, e.AsrPartial, e.AsrFinal, e.ModelToken, e.ModelDone, e.ToolCall, e.ToolResult,
    e.TtsChunk, e.PlaybackStarted, e.PlaybackMark, e.CancelAck, e.ControlStop, e.ControlConfirm, e.ControlDone,
    e.DeviceJoined, e.DeviceCut,
)  # fmt: skip


class Stuttering(Script):
    """Every fact comes twice, but for its id."""

    def __init__(self) -> None:
        self.effects_of_repeats: list[e.Event] = []
        super().__init__()

    def post(self, fact: e.Event) -> list[e.Event]:
        step, so_far = super().post(fact), len(self.decisions)
        if isinstance(fact, REPEATED):
            self.effects_of_repeats += super().post(fact)
            del self.decisions[so_far:]
        self.step = step
        return step


def whole_conversation(script: Script) -> list[str]:
    script.says("what time is it").calls("c1").done().result("c1").wait(200).thinks("It is noon.").synthesised().plays(
        1
    )
    script.starts().wait(200).stops(60).final("uh").plays_out()
    script.types("mail anna").calls("c1", "write", risk="high").done().plays_out()
    script.answers_card("r2:c1", accept=True).result("c1").thinks("Sent it now.").synthesised().plays(1)
    script.starts().wait(300).partial("no stop").voiced(400).stops(500).final("no stop").acks().wait(500)
    script.thinks("Okay.").plays_out().wait(5_000)
    return names(script.decisions)


def test_facts_that_come_twice_have_no_effect():
    twice = Stuttering()
    once = whole_conversation(Script())
    assert whole_conversation(twice) == once
    assert names(twice.effects_of_repeats) == ["core.error"], "the card, whose second answer is told to be stale"


ORDERS: dict[str, Callable[[Script], list[Callable[[], object]]]] = {
    "start and marks": lambda s: [
        lambda: s.post(e.PlaybackStarted(reply_id="r1")),
        lambda: s.mark(1),
        lambda: s.mark(2),
    ],
    "marks and the chunk that they are about": lambda s: [
        lambda: s.synthesised(),
        lambda: s.mark(2),
        lambda: s.mark(1),
    ],
    "acks and results of what is over": lambda s: [
        lambda: s.post(e.CancelAck(reply_id="r0", target="tts")),
        lambda: s.result("c9", reply_id="r0"),
        lambda: s.post(e.AsrFinal(utterance=0, text="ghost")),
    ],
}


@pytest.mark.parametrize("kind", ORDERS)
def test_facts_out_of_order_have_no_other_effect(kind: str):
    for order in itertools.permutations(range(3)):
        script = Script().types().thinks("One two three.")
        if kind != "marks and the chunk that they are about":
            script.synthesised()
        facts = ORDERS[kind](script)
        for place in order:
            facts[place]()
        script.synthesised().mark(2)
        assert stop(script).one(d.PlaybackStop).heard_text == "One two", order


def test_a_mark_that_is_late_does_not_turn_the_position_back():
    script = Script().speaking(heard=4).mark(2)
    assert stop(script).one(d.PlaybackStop).heard_ms == 400
    assert script.one(d.PlaybackStop).heard_text == "One two three four"
    assert script.rules.replies["r1"].sent == 4 * WORD_SAMPLES


def test_a_stop_meant_for_one_reply_does_not_touch_the_next():
    script = stop(Script().speaking()).speaking()
    assert script.post(e.ControlStop(reply_id="r1", source="device:d1")) == []
    script.post(e.ControlStop(reply_id="r2", source="device:d1"))
    assert [done.reply_id for done in script.all(d.ReplyDone)] == ["r1", "r2"]


# ── a link that is half dead ─────────────────────────────────────────────────────────────


def test_a_link_with_media_and_without_commands_is_interrupted_by_voice_and_starts_nothing():
    script = Script().speaking()
    script.post(e.DeviceLink(device_id="d1", control=False))
    script.starts().partial("no wait stop").voiced(400)
    assert script.one(d.PlaybackStop).heard_text == "One two"
    script.stops(400).wait(20).final("set a timer").wait(1_000).calls("c1", "write").done()
    assert script.none(d.ActionProposed, d.ActionStarted)
    script.post(e.DeviceLink(device_id="d1", control=True))
    assert script.one(d.ActionStarted), "held, not lost"


def lost_audio(script: Script) -> Script:
    """Its audio is lost while its commands go on."""
    script.post(e.DeviceLink(device_id="d1", control=True, media=False))
    return script


def test_a_link_with_commands_and_without_media_starts_nothing_that_was_asked_for_by_voice():
    script = Script().says("set a timer").wait(500)
    lost_audio(script).calls("c1", "write").done()
    assert script.none(d.ActionProposed, d.ActionStarted), "who cannot say no any more is not taken at their word"
    script.post(e.DeviceLink(device_id="d1", control=True))
    assert script.one(d.ActionStarted), "held, not lost"


@pytest.mark.parametrize("lost", ["before", "behind"])
def test_who_types_is_in_control_whether_they_are_heard_or_not(lost: str):
    script = Script() if lost == "behind" else lost_audio(Script())
    script.types("set a timer")
    if lost == "behind":
        lost_audio(script)
    assert script.calls("c1", "write").one(d.ActionStarted)
    script.post(e.DeviceLink(device_id="d1", control=False, media=False))
    script.done().result("c1").thinks("Done.").plays_out().types("another").calls("c1", "write")
    assert len(script.all(d.ActionStarted)) == 1, "but not without its buttons"


def test_who_is_not_heard_stops_by_button_what_is_held():
    script = lost_audio(Script().says("set a timer").wait(500).token("Well now. "))
    stop(script.calls("c1", "write").synthesised().plays(1))
    assert script.one(d.ActionRejected).reason == "interrupted"
    assert script.none(d.ActionStarted)


@pytest.mark.parametrize("risk", ["low", "high"])
def test_what_is_held_is_given_up_in_the_end_and_the_user_is_told(risk: str):
    """Else the agent says for ever that it is still at it, and does nothing."""
    script = lost_audio(Script().says("set a timer").wait(500)).calls("c1", "write", risk=risk).done()
    for _ in range(REPLIES.tool_timeout_ms // 1_000):
        script.wait(1_000).plays_out()
    assert script.one(d.ActionRejected).reason == "failed"
    assert script.one(d.Complaint).code == "action.held"
    assert script.texts[-1] == TOO_LONG
    assert script.plays_out().last(d.ReplyDone).outcome == "failed"
    script.post(e.DeviceLink(device_id="d1", control=True))
    assert script.wait(60_000).none(d.ActionStarted, d.ActionProposed)


def test_who_is_not_heard_still_cuts_the_agent_off_where_the_page_hears_them():
    script = lost_audio(Script().speaking())
    script.post(e.DeviceCut(source="device:d1", reply_id="r1", played=e.Played("r1", WORD_SAMPLES)))
    assert script.one(d.PlaybackPause)
    script.wait(1_000)
    assert script.one(d.PlaybackResume).sample == WORD_SAMPLES, "nothing was heard that would confirm it"
    stop(script)
    assert script.one(d.InterruptionConfirmed).evidence == "stop"


def test_a_link_with_commands_and_without_media_confirms_nothing_that_was_not_heard():
    script = Script().types("mail anna").calls("c1", "write", risk="high", proposal="Send it.").done().synthesised()
    script.wait(REPLIES.stalled_ms + REPLIES.dead_air_ms)
    assert script.one(d.ReplyDone).outcome == "failed"
    assert script.one(d.ActionRejected).action_id == "r1:c1"
    script.types("yes")
    assert script.none(d.ActionConfirmed, d.ActionStarted)
    assert script.model.text == "yes", "and is answered"
