"""Tools: reads at once, writes behind their commit points, outcomes always told."""

from __future__ import annotations

import pytest

from agent.conversation import answering
from agent.conversation import decisions as d
from agent.conversation import events as e
from agent.conversation import reports as r
from agent.conversation.actions import Action
from agent.conversation.context import Context
from agent.conversation.deadlines import Deadlines
from agent.conversation.orphans import MAX_ORPHANS, Orphans
from agent.conversation.outbox import Outbox
from tests.unit.conversation.script import Script, names

COMMIT_POINTS = ["action.proposed", "action.confirmed", "action.started"]


# ── when they run ────────────────────────────────────────────────────────────────────────


def test_reads_start_while_the_turn_is_open_and_writes_only_behind_it():
    script = Script().says("what time is it").calls("c1").calls("c2", "write")
    assert script.one(d.ToolStart).call_id == "c1"
    assert script.none(d.ActionProposed)
    script.wait(40)
    assert names(script.step) == [
        "turn.end", "asr.reset", "reply.committed", "agent.status:thinking", "playback.release", *COMMIT_POINTS,
    ]  # fmt: skip
    assert script.one(d.ActionConfirmed).by == "policy"


def test_a_write_of_a_discarded_answer_never_runs():
    script = Script().says("set a timer and").calls("c2", "write").starts()
    assert script.one(d.ActionRejected).reason == "turn went on"
    script.wait(100).stops(60).final("set a timer and").wait(5_000)
    assert script.none(d.ActionProposed, d.ActionStarted)


def test_a_write_does_not_start_under_suspicion():
    script = Script().types().token("Well now. ").starts().calls("c1", "write")
    assert script.step == []
    script.wait(100).stops(60).final("")
    assert names(script.step) == ["asr.reset", "interruption.dismissed", "playback.resume", *COMMIT_POINTS]


def test_a_suspicion_that_is_confirmed_withdraws_the_write():
    script = Script().types().token("Well now. ").starts().calls("c1", "write").partial("no wait").voiced(300)
    assert script.one(d.ActionRejected).action_id == "r1:c1"
    assert script.none(d.ActionStarted)


def test_the_key_of_an_action_names_its_confirmation():
    script = Script().types().calls("c1", "write")
    started = script.one(d.ActionStarted)
    assert started.idempotency_key.endswith(f":t1:{script.one(d.ActionConfirmed).event_id}")
    assert started.idempotency_key.startswith("r1:c1:")


def test_a_call_that_is_repeated_runs_once():
    script = Script().types().calls("c1", "write").calls("c1", "write")
    assert script.one(d.ActionStarted)


def test_a_call_of_a_step_that_is_over_does_not_run():
    script = Script().types().thinks("Done.").calls("c1", "write")
    assert script.step == []


# ── what is said ─────────────────────────────────────────────────────────────────────────


def test_claims_wait_for_the_result_that_they_rest_on():
    script = Script().types().token("Let me look").calls("c1").token("It is noon in Tokyo. ").done()
    assert script.texts == ["Let me look"], "what came before the call does not wait"
    assert script.one(d.TtsSay).rests_on == ()
    script.result("c1")
    held = script.last(d.TtsSay)
    assert (held.text, held.phase, held.rests_on) == ("It is noon in Tokyo.", "claim", ("r1-c1-result",))
    script.thinks("And sunny.")
    assert script.texts == ["Let me look", "It is noon in Tokyo.", "And sunny."]
    assert script.last(d.TtsSay).rests_on == ("r1-c1-result",)


def test_texts_of_two_steps_do_not_run_together():
    script = Script().types().calls("c1").token("Wait for it").done().result("c1").thinks("Noon.")
    assert script.texts == ["Wait for it", "Noon."]


def test_the_next_step_is_given_calls_and_results():
    script = Script().types().calls("c1").calls("c2").done().result("c2")
    assert script.model.step == 1
    script.result("c1", ok=False)
    assert script.model.step == 2
    assert script.model.results == ("r1-c1-call", "r1-c2-call", "r1-c2-result", "r1-c1-result")
    script.thinks("Noon.").plays_out().types("again")
    assert script.model.context[1:] == (
        "r1-c1-call", "r1-c1-result", "r1-c2-call", "r1-c2-result", script.one(d.PlaybackStop).event_id,
    )  # fmt: skip
    assert script.model.results == ()


def test_a_call_without_a_result_is_no_context():
    script = Script().types().calls("c1").calls("c2").result("c2")
    script.post(e.ControlStop())
    script.result("c1").types("again")
    assert "r1-c1-call" not in script.model.context
    assert "r1-c2-call" in script.model.context


def test_context_forgets_whole_exchanges_the_older_half_at_once():
    context = Context(6)
    context.add("turn")
    context.add("call", "result")
    context.add("stop")
    context.add("turn2", "x")
    assert context.ids == ("turn", "call", "result", "stop", "turn2", "x")
    context.add("y")
    assert context.ids == ("turn2", "x", "y"), "no result without its call"
    assert "x" in context
    assert "call" not in context
    context.set_limit(2)
    assert context.ids == ("y",)
    context.asked("start")
    context.add("z", "zz")
    assert context.ids == ("start", "z", "zz"), "the prompt that had it stands for what is let go"


def test_the_length_of_the_context_is_a_setting():
    script = Script({"replies.context_events": 2})
    for _ in range(3):
        script.speaking().plays_out()
    script.types("again")
    assert len(script.model.context) == 2


def test_a_slow_tool_is_prefaced_once():
    script = Script().types().calls("c1").done().wait(699)
    assert script.texts == []
    script.wait(1)
    say = script.one(d.TtsSay)
    assert (say.text, say.phase, say.rests_on) == ("Let me check that.", "preface", ())
    assert script.last(d.AgentStatus).status == "working"
    script.result("c1").wait(4_000)
    assert len(script.texts) == 1
    script.thinks("Noon.").plays_out()
    assert script.one(d.PlaybackStop).heard_text == "Let me check that. Noon."


def test_no_preface_where_something_was_said():
    script = Script().types().token("Well now. ").calls("c1").wait(5_000)
    assert script.texts == ["Well now."]


def test_no_preface_before_the_turn_has_ended():
    script = Script({"replies.preface_after_ms": 100}).says("set a timer and").calls("c1").wait(1_000)
    assert script.none(d.TtsSay)


def test_a_reply_without_words_says_so():
    assert Script().types().done().texts == [answering.NOTHING_TO_SAY]


def test_a_reply_has_a_length():
    script = Script({"replies.max_reply_chars": 100}).types().thinks("word " * 100)
    assert sum(len(text) for text in script.texts) <= 100


def test_rounds_of_tools_are_bounded():
    script = Script({"replies.max_steps": 2}).types()
    for step in (1, 2):
        script.calls(f"c{step}").done().result(f"c{step}")
    assert len(script.all(d.ModelStart)) == 2
    assert script.texts == [answering.APOLOGY]


# ── corrections ──────────────────────────────────────────────────────────────────────────


def correct(script: Script, corrects: str = "r1-c1-result") -> list[e.Event]:
    fact = e.ToolResult(reply_id="r1", call_id="c1", ok=True, message="it is one", corrects=corrects, event_id="fix")
    return script.post(fact)


def claimed() -> Script:
    return Script().types().calls("c1").done().result("c1").thinks("It is noon.").synthesised()


def test_a_wrong_claim_is_corrected_in_the_same_reply():
    script = claimed().plays(1)
    correct(script)
    say = script.last(d.TtsSay)
    assert (say.text, say.phase, say.rests_on) == ("Correction: it is one", "claim", ("fix",))


def test_a_claim_that_is_yet_to_be_heard_is_corrected_too():
    script = claimed()
    correct(script)
    assert script.texts == ["It is noon.", "Correction: it is one"]


def test_a_correction_comes_behind_the_last_claim():
    script = Script().types().calls("c1").done().result("c1").token("It is noon. ")
    correct(script)
    script.thinks("Time for lunch.")
    assert script.texts == ["It is noon.", "Time for lunch.", "Correction: it is one"]


def test_a_correction_that_was_cut_off_is_said_afterwards():
    script = claimed().plays(2)
    correct(script)
    script.synthesised()
    script.post(e.ControlStop())
    assert script.texts[-1] == "Correction: it is one"
    assert script.reply_id == "r2"


def test_a_correction_that_was_heard_is_not_repeated():
    script = claimed()
    correct(script)
    script.synthesised().plays(5)
    script.post(e.ControlStop())
    assert script.reply_id == "r1"


def test_a_reply_that_is_over_is_corrected_when_nobody_has_the_floor():
    script = claimed().plays_out().starts()
    assert correct(script) == []
    script.stops().final("").wait(1_000)
    assert script.texts[-1] == "Correction: it is one"
    assert script.all(d.TtsSay)[-1].rests_on == ("fix",)


def test_a_correction_of_nothing_known_is_not_said():
    assert correct(claimed(), corrects="e999") == []


# ── outcomes ─────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(("ok", "outcome"), [(True, d.ActionCommitted), (False, d.ActionFailed)])
def test_an_outcome_is_recorded_once(ok, outcome):
    script = Script().types().calls("c1", "write").done().result("c1", ok=ok, error_class="" if ok else "scope")
    assert names(script.step) == ["action.committed" if ok else "action.failed", "model.start"]
    if ok:
        assert not script.one(outcome).late
    else:
        assert script.one(outcome).error_class == "scope"
    assert script.result("c1", ok=ok).step == []


def test_an_interrupted_action_goes_on_and_its_outcome_is_told_to_the_next_prompt():
    script = Script().types().calls("c1", "write")
    script.post(e.ControlStop())
    assert script.none(d.ActionRejected)
    assert "cancel.requested:tool:c1" not in names(script.decisions)
    script.wait(3_000).result("c1")
    committed = script.one(d.ActionCommitted)
    assert committed.late
    assert (committed.turn_id, committed.reply_id) == ("t1", "r1")
    script.types("again")
    assert script.model.context[-3:] == ("r1-c1-call", "r1-c1-result", committed.event_id)
    assert script.result("c1").step == [], "it settles once"


def test_a_read_of_an_interrupted_reply_is_forgotten():
    script = Script().types().calls("c1")
    script.post(e.ControlStop())
    assert script.result("c1").step == []


def test_a_read_that_takes_too_long_is_given_up():
    script = Script({"replies.tool_timeout_ms": 2_000}).types().calls("c1").done().wait(2_000)
    assert "cancel.requested:tool:c1" in names(script.step)
    assert script.texts[-1] == answering.TOO_LONG
    assert script.result("c1").step == []
    script.plays_out()
    assert script.one(d.ReplyDone).outcome == "failed"


def test_a_write_that_takes_too_long_is_not_killed_and_its_end_is_told_as_promised():
    script = Script({"replies.tool_timeout_ms": 2_000}).types().calls("c1", "write", name="set_timer").done()
    script.wait(2_000)
    assert script.none(d.CancelRequested)
    assert script.texts[-1] == answering.UNSURE
    script.plays_out().wait(5_000).result("c1")
    assert script.one(d.ActionCommitted).late
    assert script.texts[-1] == "set timer is done after all."
    script.plays_out().types("again")
    assert script.model.context.count("r1-c1-result") == 1


def test_a_late_end_within_the_same_reply_is_context_once():
    script = Script({"replies.tool_timeout_ms": 2_000}).types().calls("c1", "write").done().wait(2_000)
    script.result("c1", ok=False).plays_out().plays_out().types("again")
    assert script.texts[-1] == "a tool did not work."
    assert script.model.context.count("r1-c1-call") == 1
    assert script.one(d.ActionFailed).error_class == "crash"


def test_two_slow_tools_are_excused_once():
    script = Script({"replies.tool_timeout_ms": 2_000}).types().calls("c1").calls("c2").done().wait(3_000)
    assert script.texts.count(answering.TOO_LONG) == 1


def test_the_number_of_orphans_is_bounded():
    outbox = Outbox()
    deadlines, told = Deadlines(), []
    orphans = Orphans(outbox, Context(64), deadlines, lambda text, cause_id: told.append(text))
    for n in range(MAX_ORPHANS + 1):
        call = e.ToolCall(reply_id="r1", step=1, call_id=f"c{n}", name="x", arguments={}, effect="write")
        orphans.add(Action(call, "t1", "r1", state="started"), 0)
    (unknown,) = outbox.take()
    assert isinstance(unknown, d.ActionUnknown)
    assert (unknown.action_id, unknown.turn_id) == ("r1:c0", "t1")
    orphans.restarted("e1", 0)
    assert len(told) == len(outbox.take()) == MAX_ORPHANS
    assert deadlines.next_us() is None


# ── faults ───────────────────────────────────────────────────────────────────────────────


def test_a_model_that_fails_is_excused():
    script = Script().types().token("The weather in").done("boom")
    assert script.texts == [answering.APOLOGY], "half a sentence behind or before the excuse helps nobody"
    script.plays_out()
    assert script.one(d.ReplyDone).outcome == "failed"


def test_a_model_that_fails_begins_nothing_more():
    script = Script().says("set a timer and").calls("c1", "write").done("boom").wait(3_000)
    assert script.one(d.ActionRejected).reason == "failed"
    assert script.none(d.ActionStarted)
    assert script.texts == [answering.APOLOGY]


def test_a_silent_model_is_given_up_and_can_do_nothing_more():
    script = Script(
        {"replies.model_timeout_ms": 3_000, "replies.preface_after_ms": 60_000, "replies.dead_air_ms": 60_000}
    )
    script.types().wait(2_000).token("Well").wait(2_999)
    assert script.none(d.CancelRequested), "it said something meanwhile"
    script.wait(1)
    assert names(script.step) == ["core.error", "agent.status:failed", "cancel.requested:model", "tts.say"]
    assert script.one(d.Complaint).code == "model.timeout"
    assert script.texts == [answering.TOO_LONG]
    assert script.calls("c1", "write").step == []
    assert script.token("More. ").step == []
    assert script.done().step == []
    script.plays_out()
    assert script.one(d.ReplyDone).outcome == "failed"


def test_what_is_done_leaves_no_deadline():
    script = Script().types().calls("c1").done().result("c1").thinks("Noon.").plays_out()
    assert script.core.next_deadline_us() is None


def test_a_call_is_a_sign_of_life():
    script = Script({"replies.model_timeout_ms": 3_000}).types().wait(2_000).calls("c1").wait(2_000)
    assert script.none(d.CancelRequested)


def test_a_reply_that_was_given_up_waits_for_what_it_started():
    script = Script().types().calls("c1", "write").done("boom").plays_out()
    assert script.none(d.ReplyDone)
    script.result("c1")
    assert not script.one(d.ActionCommitted).late
    assert script.one(d.ReplyDone).outcome == "failed"


def test_a_chunk_without_a_voice_is_not_heard_and_the_rest_is():
    script = Script().types().token("First noon it is. ").calls("c1").done()
    script.post(e.TtsFailed(reply_id="r1", chunk=0, message="no voice"))
    assert script.last(d.AgentStatus).detail == "no voice"
    script.result("c1")
    assert script.model.step == 2, "a chunk that cannot be spoken does not keep the result from being told"
    script.thinks("Second. Third.")
    script.chunk(script.all(d.TtsSay)[1]).chunk(script.all(d.TtsSay)[2]).plays(2)
    stop = script.one(d.PlaybackStop)
    assert stop.heard_text == "Second. Third."
    assert stop.unheard_text == "First noon it is."
    assert script.one(d.ReplyDone).outcome == "failed"


def test_without_any_voice_the_reply_still_ends():
    script = Script().types().thinks("Noon.")
    script.post(e.TtsFailed(reply_id="r1", chunk=0, message="no voice"))
    stop = script.one(d.PlaybackStop)
    assert (stop.heard_text, stop.unheard_text, stop.method) == ("", "Noon.", "never_started")


def test_a_model_that_calls_without_end_is_bounded():
    script = Script({"replies.max_calls": 2}).types().calls("c1").calls("c2").calls("c3")
    assert [start.call_id for start in script.all(d.ToolStart)] == ["c1", "c2"]
    assert script.one(d.Complaint).code == "limit.calls"


# ── devices that lost their commands ─────────────────────────────────────────────────────


def test_side_effects_are_held_while_no_device_could_stop_them():
    script = Script()
    script.post(e.DeviceLink(device_id="d1", control=False))
    script.says("set a timer").wait(500).calls("c1", "write")
    assert script.none(d.ActionProposed, d.ActionStarted)
    script.post(e.DeviceLink(device_id="d1", control=True))
    assert [decision.type for decision in script.step] == COMMIT_POINTS


def test_a_second_device_that_could_stop_them_is_enough():
    script = Script()
    script.post(e.DeviceJoined(device_id="d2", transport="test"))
    script.post(e.DeviceLink(device_id="d1", control=False))
    assert script.types().calls("c1", "write").one(d.ActionStarted)


def test_one_that_only_watches_could_not_stop_them():
    script = Script()
    script.post(e.DeviceJoined(device_id="wall", transport="test", microphone=False, speaker=False, steers=False))
    script.post(e.DeviceLink(device_id="d1", control=False))
    script.types().calls("c1", "write")
    assert script.none(d.ActionProposed, d.ActionStarted)
    script.post(e.DeviceJoined(device_id="terminal", transport="test", microphone=False, speaker=False))
    assert script.one(d.ActionStarted)


def test_what_is_held_ends_with_an_interruption_by_voice():
    script = Script()
    script.post(e.DeviceLink(device_id="d1", control=False))
    script.says("set a timer").wait(500).token("Well now. ").calls("c1", "write").synthesised().plays(1)
    script.starts().partial("no wait stop").voiced(400)
    assert script.one(d.ActionRejected).reason == "interrupted"


# ── restarts, and tools that cannot tell ─────────────────────────────────────────────────


def test_after_a_restart_an_idempotent_action_is_started_again_under_its_key():
    script = Script().types().calls("c1", "write", idempotent=True)
    first = script.one(d.ActionStarted)
    script.post(e.SessionResumed())
    again = script.all(d.ActionStarted)[1]
    assert (again.action_id, again.idempotency_key, again.arguments) == (
        first.action_id, first.idempotency_key, first.arguments,
    )  # fmt: skip
    assert script.none(d.ActionUnknown)
    script.post(e.DeviceJoined(device_id="d1", transport="test"))
    script.result("c1", reply_id="r1")
    assert script.one(d.ActionCommitted).late
    assert script.texts == ["a tool is done after all."]


def test_after_a_restart_another_action_is_unknown_and_the_user_is_told():
    script = Script().types().calls("c1", "write")
    script.post(e.SessionResumed())
    script.post(e.DeviceJoined(device_id="d1", transport="test"))
    assert script.one(d.ActionStarted)
    assert script.one(d.ActionUnknown).action_id == "r1:c1"
    assert script.texts == ["I was restarted and don't know whether this was done: a tool."]


def test_a_tool_that_cannot_tell_whether_it_was_done_makes_the_action_unknown():
    script = Script().types().calls("c1", "write").done().result("c1", ok=False, error_class="unknown")
    assert script.one(d.ActionUnknown).action_id == "r1:c1"
    assert script.none(d.ActionFailed, d.ActionCommitted)
    assert script.model.step == 2, "the brain says so"


# ── progress ─────────────────────────────────────────────────────────────────────────────


def test_a_tool_that_says_how_far_it_is_is_shown_and_waited_for_as_long_again():
    script = Script({"replies.tool_timeout_ms": 2_000}).types().calls("c1", name="fetch_all").done().wait(1_500)
    script.post(r.ToolProgress(reply_id="r1", call_id="c1", message="page two", share=0.25))
    status = script.last(d.AgentStatus)
    assert (status.status, status.detail) == ("working", "fetch all 25% page two")
    script.wait(1_900)
    assert script.none(d.Complaint)
    script.wait(200)
    assert script.one(d.Complaint).code == "tool.timeout"
    script.post(r.ToolProgress(reply_id="r1", call_id="c1"))
    assert script.step == [], "nobody waits for it any more"


def test_what_a_read_says_while_the_user_still_speaks_is_not_shown():
    script = Script().says("what time is it").calls("c1")
    script.post(r.ToolProgress(reply_id="r1", call_id="c1", share=0.5))
    assert script.step == []
