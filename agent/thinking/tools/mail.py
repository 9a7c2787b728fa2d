"""E-mail by voice: who, what, corrections before it is confirmed, and the sending.

A correction asks for the tool anew with other arguments: another proposal, which the user has
to confirm again. Spoken texts are those that the recogniser knows (`SAMPLE_BODIES`, in any
mixture of their words); typed ones may be anything.
"""

from __future__ import annotations

from agent.conversation.events import Json
from agent.errors import ToolError
from agent.thinking.port import Proposal, ToolContext, UserContext
from agent.thinking.tools.keys import answer_of
from agent.thinking.tools.letter import composed, drafted, sentence, with_day, with_time
from agent.thinking.tools.lists import said_list
from agent.thinking.tools.skill import (
    STRING,
    STRINGS,
    Answer,
    Arguments,
    Ask,
    Intent,
    Kit,
    Past,
    Say,
    Skill,
    SkillTool,
    Slots,
    fields_of,
    spec,
)

_TOO_LATE = "That e-mail is done already; I can't change it any more."


def _send(slots: Slots, _: Past) -> Answer:
    arguments: dict[str, Json] = {"to": _listed(slots["who"])}
    if slots.get("body"):
        arguments["body"] = str(slots["body"])
    if slots.get("topic"):
        topic = str(slots["topic"])
        arguments["subject"] = topic[:1].upper() + topic[1:]
    return Ask("send_email", arguments)


def _listed(value: object) -> list[Json]:
    return [str(one) for one in value] if isinstance(value, list) else [str(value)]


def _changed(past: Past, **changes: Json) -> Answer | None:
    """The last e-mail with some of its arguments changed, as long as it has not gone out."""
    if past.last is None or past.last.tool != "send_email":
        return None
    if "message_id" in fields_of(past.result):
        return Say(_TOO_LATE)
    kept = {name: value for name, value in past.last.arguments.items() if name not in ("mine", "kind")}
    if "body" in changes:
        kept.pop("subject", None)
    return Ask("send_email", kept | changes)


def _also(slots: Slots, past: Past) -> Answer | None:
    """`and to bob`; of one that has gone out a copy is another e-mail."""
    if past.last is None or past.last.tool != "send_email":
        return None
    before = [] if "message_id" in fields_of(past.result) else past.last.arguments.get("to", [])
    listed = before if isinstance(before, list) else [before]
    return Ask("send_email", {**past.last.arguments, "to": [*listed, *_listed(slots["who"])]})


def _reworded(slots: Slots, past: Past) -> Answer | None:
    """`change it to monday`: another day or time in the text, else it does not apply."""
    body = str(past.last.arguments.get("body", "")) if past.last else ""
    day, time = slots.get("weekday"), slots.get("hour")
    text = with_day(body, str(day)) if day else with_time(body, str(time))
    return None if text is None else _changed(past, body=text)


def _mine(slots: Slots, past: Past) -> Answer | None:
    return _changed(past, mine=str(slots["kind"]))


def _theirs(slots: Slots, past: Past) -> Answer | None:
    return _changed(past, kind=str(slots["kind"]))


def _readdressed(slots: Slots, past: Past) -> Answer | None:
    return _changed(past, to=_listed(slots["who"]))


def _rewritten(slots: Slots, past: Past) -> Answer | None:
    return _changed(past, body=str(slots["body"]))


def _added(slots: Slots, past: Past) -> Answer | None:
    """`also ask about friday`, `also say that i am late`: another sentence of the text."""
    if past.last is None:
        return None
    body = str(past.last.arguments.get("body", "")).strip()
    new = f"what about {slots['topic']}?" if "topic" in slots else str(slots["body"])
    return _changed(past, body=f"{sentence(body)} {sentence(new)}".strip())


def _again(_: Slots, past: Past) -> Answer | None:
    """Proposed once more: it had been withdrawn, or was not heard whole."""
    return _changed(past)


def _tools(kit: Kit) -> list[SkillTool]:
    office = kit.office
    if office is None:
        return []

    async def plan(arguments: Arguments, _: UserContext) -> Proposal:
        draft = drafted(arguments, office.contacts)
        return Proposal(draft.arguments(), draft.said())

    async def send(arguments: Arguments, context: ToolContext) -> Json:
        key = context.idempotency_key
        if not key:
            raise ToolError("An e-mail is sent only when it has been confirmed.", "permission")
        done = await kit.memory.read(lambda db: answer_of(db, key))
        if done is not None:
            return done
        draft = drafted(arguments, office.contacts)
        letter = composed(draft, key, context.user.now)
        sent = await office.outbox.send(letter)
        answer: dict[str, Json] = {
            "message_id": f"<{letter.name}@{draft.sender.domain}>", "sent": sent,
            "to": [address.display_name or address.addr_spec for address in draft.to],
        }  # fmt: skip
        return await kit.memory.write(key, lambda _: answer)

    async def ready() -> str:
        if office.contacts.sender is None:
            return ""  # who never set e-mail up is told so when they ask for it, and not in every call
        return await kit.memory.check() or await office.outbox.check()

    parameters: dict[str, Json] = {"to": STRINGS, "body": STRING, "subject": STRING, "from": STRING}
    return [
        SkillTool(
            spec(
                "send_email",
                "Send an e-mail from the user. `to`: names from the address book, or addresses.",
                {**parameters, "mine": STRING, "kind": STRING},
                required=["to", "body"],
                effect="write",
                risk="high",
                open_world=True,
            ),
            send,
            ready,
            plan,
        )
    ]


def _say_sent(_: Arguments, content: Json, __: UserContext) -> str:
    found = fields_of(content)
    to = found["to"]
    people = said_list([str(one) for one in to] if isinstance(to, list) else [])
    return f"I sent the e-mail to {people}." if found["sent"] else f"The e-mail to {people} is in your outbox."


SKILL = Skill(
    name="mail",
    help="send e-mails",
    # What is taught to the recogniser is little, for the sake of all other skills; more is understood.
    intents=[
        Intent("(send|write) (an email|a message|a mail) to {who} about {topic} (saying|saying that|that says) {body}",
               _send, loose=True),
        Intent("send an email to {who} saying {body}", _send),
        Intent("send a message to {who} saying {body}", _send, limit=8),
        Intent("email {who} that {body}", _send, limit=8),
        Intent("(send|write) (an email|a message|a mail) to {who} (saying|saying that|that says) {body}", _send,
               loose=True),
        Intent("(email|tell) {who} by email [that] {body}", _send, loose=True),
        Intent("email {who} saying {body}", _send, loose=True),
        Intent("(send|write) {who} an email (saying|saying that|that says) {body}", _send, loose=True),
        Intent("send an email to {who}", _send, last=True),
        Intent("(send|write) (an email|a message|a mail) to {who}", _send, loose=True, last=True),
    ],
    follow_ups=[
        Intent("[yes] send it", _again),
        Intent("(do not send it|do not send that|do not send the email)", lambda *_: Say("Okay, I won't send it.")),
        Intent("(read it to me|read it back|what does it say)", _again),
        Intent("(read it back to me|who is it to|what did you write)", _again, loose=True),
        Intent("(my|use my|from my) {kind} (email|address)", _mine),
        Intent("(use my|my|from my|send it from my|to my) {kind} (email|address|account) [instead]", _mine, loose=True),
        Intent("(to|use) (her|his) {kind} email", _theirs),
        Intent("[to|use] (her|his|their) {kind} (email|address|account) [instead]", _theirs, loose=True),
        Intent("(change it to|make it) {weekday}", _reworded),
        Intent("(change it to|make it) {hour}", _reworded, limit=12),
        Intent("(change it to|make it|change that to|i meant) ({weekday}|{hour}) [instead]", _reworded, loose=True),
        Intent("(on|at|for) ({weekday}|{hour}) [instead]", _reworded, loose=True),
        Intent("(also|and) ask [(him|her|them)] about {topic}", _added, loose=True),
        Intent("(also say|and say|also tell (him|her|them)|and tell (him|her|them)|add) [that] {body}", _added,
               loose=True),
        Intent("(also|and) to {who}", _also),
        Intent("(and also to|also send it to) {who}", _also, loose=True),
        Intent("(send it to|to) {who} (too|as well)", _also, loose=True),
        Intent("(to|send it to) {who} [instead]", _readdressed),
        Intent("(make it to|i meant to|i meant) {who} [instead]", _readdressed, loose=True),
        Intent("(say|make it say) {body}", _rewritten, limit=8),
        Intent("(say|make it say|change it to|change the text to|tell (him|her|them) [that]) {body} [instead]",
               _rewritten, loose=True),
    ],
    phrases={"send_email": _say_sent},
    tools=_tools,
)  # fmt: skip
