"""Starts the tools of a reply when they may start: reads at once, writes behind their commit point."""

from __future__ import annotations

from agent.conversation.actions import Action
from agent.conversation.deadlines import Deadlines
from agent.conversation.decisions import ActionConfirmed, ActionProposed, AgentStatus, ToolStart
from agent.conversation.outbox import Outbox
from agent.conversation.policy import Replies
from agent.conversation.proposals import Proposals
from agent.conversation.reply import Reply
from agent.conversation.reports import ToolProgress


class Acting:
    def __init__(self, policy: Replies, proposals: Proposals, outbox: Outbox, deadlines: Deadlines) -> None:
        self.policy = policy
        self.session_id = ""
        self._proposals = proposals
        self._out = outbox
        self._deadlines = deadlines

    def advance(self, reply: Reply, now_us: int, *, held: bool) -> list[str]:
        """Start what may start; no write while `held`. Returns the questions that the user must be asked."""
        questions = []
        for call_id in tuple(reply.step_calls):
            action = reply.calls[call_id]
            if action.over or action.state == "started":
                continue
            if not action.write:
                self._start_read(reply, action, now_us)
            elif reply.committed and not held:
                if self._proposals.needs_user(action) or not reply.understood:
                    reply.step_calls.remove(call_id)
                    questions.append(self._proposals.propose(action, reply.reply_id))
                    reply.results.append(action.proposal_id)
                else:
                    self._propose(reply, action)
                    self.start(reply, action, "policy", now_us)
            elif reply.committed:
                self._await(action, now_us)  # it is not held for ever
        return questions

    def start(self, reply: Reply, action: Action, by: str, now_us: int) -> str:
        """It is confirmed: run it. Returns the event id of its start."""
        ids = {"turn_id": reply.turn_id, "reply_id": reply.reply_id}
        confirmation = self._out.add(ActionConfirmed(action_id=action.action_id, by=by, **ids))
        action.state = "started"
        action.idempotency_key = f"{action.action_id}:{self.session_id}:{reply.turn_id}:{confirmation}"
        self._await(action, now_us)
        return self._out.add(action.start())

    def progressed(self, reply: Reply, progress: ToolProgress, now_us: int) -> None:
        """A tool says how far it is: it is waited for as long again, and whoever waits is shown why."""
        action = reply.calls.get(progress.call_id)
        if reply.reply_id != progress.reply_id or action is None or action.state != "started":
            return
        self._await(action, now_us)
        if not reply.committed:
            return
        share = f"{progress.share:.0%}" if progress.share >= 0 else ""
        detail = " ".join(part for part in (action.spoken_name, share, progress.message) if part)
        ids = {"turn_id": reply.turn_id, "reply_id": reply.reply_id}
        self._out.add(AgentStatus(status="working", detail=detail, **ids))

    def _start_read(self, reply: Reply, action: Action, now_us: int) -> None:
        action.state = "started"
        self._await(action, now_us)
        call = action.call
        ids = {"turn_id": reply.turn_id, "reply_id": reply.reply_id}
        self._out.add(ToolStart(call_id=call.call_id, name=call.name, arguments=call.arguments, **ids))

    def _propose(self, reply: Reply, action: Action) -> None:
        self._out.add(
            ActionProposed(
                action_id=action.action_id,
                name=action.call.name,
                arguments=action.call.arguments,
                call_id=action.call.call_id,
                turn_id=reply.turn_id,
                reply_id=reply.reply_id,
            )
        )

    def _await(self, action: Action, now_us: int) -> None:
        self._deadlines.set(action.target, now_us + self.policy.tool_timeout_ms * 1_000)
