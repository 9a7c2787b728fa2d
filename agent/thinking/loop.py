"""The thinking loop of a session: brain steps and tools as tasks, their outcome as facts.

`apply` carries out a decision at once and never blocks. Each task belongs to a target (`model`,
`tool:<call_id>`) that can be cancelled: from the ack on nothing of it is posted, whatever it still
computes. Actions, which are tools with side effects, are never cancelled.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

from agent.conversation.decisions import ActionStarted, CancelRequested, ModelStart, ReplyDone, ToolStart
from agent.conversation.events import (
    CancelAck,
    CancelFreed,
    Event,
    Fault,
    Json,
    ModelDone,
    ModelToken,
    ToolCall,
    ToolResult,
    ToolUnavailable,
)
from agent.conversation.reports import ToolProgress, ToolReport
from agent.errors import BrainError, ToolError
from agent.thinking.pace import Pace
from agent.thinking.port import (
    Brain,
    Call,
    Delta,
    Message,
    Prompt,
    Proposal,
    Proposing,
    Tool,
    ToolContext,
    ToolSource,
    Usage,
    UserContext,
)
from agent.thinking.tokens import TokenFeed

MAX_TASKS = 16
"""Brain steps and tools at once in a session; a further one fails."""
PREFLIGHT_TIMEOUT_S = 2.0
PROPOSAL_TIMEOUT_S = 2.0
ACTION_GRACE_S = 2.0
"""How long actions may go on when the session ends."""
CLOSED = "the session closed before it began"
CLOSE_TIMEOUT_S = 1.0


@dataclass(slots=True, eq=False)
class _Job:
    """A task and whom it works for. Nothing is posted for a `dead` one."""

    reply_id: str
    target: str
    work: Callable[[_Job], Awaitable[None]]
    dead: bool = False
    task: asyncio.Task[None] | None = None

    @property
    def action(self) -> bool:
        return self.target.startswith("action:")


class ThinkingLoop:
    """Thinks for one session. `resolve` gives the prompt messages of timeline events.

    `fallback` answers a step in place of a brain that fails before it has said anything. The user hears so
    once, and again only after the brain had been back.
    """

    def __init__(
        self,
        brain: Brain,
        tools: Sequence[Tool],
        post: Callable[[Event], None],
        resolve: Callable[[tuple[str, ...]], list[Message]],
        user: Callable[[], UserContext],
        fallback: Brain | None = None,
        session_id: str = "",
        instructions: str = "",
        sources: Sequence[ToolSource] = (),
    ) -> None:
        self._brain = brain
        self._fallback = fallback
        self._own_tools = tools
        self._sources = sources
        self._post = post
        self._resolve = resolve
        self._user = user
        self._session_id = session_id
        self._instructions = instructions
        self._unavailable: dict[str, str] = {}
        self._jobs: list[_Job] = []
        self._call_ids: dict[str, set[str]] = {}
        self._refused: dict[str, dict[str, ToolResult]] = {}
        """By reply and call: why a write cannot be proposed."""
        self._told_by = ""
        """The reply in which the user heard that the brain is away, while it is."""
        self._running = False
        self._closing = False
        self._grace_s = ACTION_GRACE_S

    def apply(self, decision: Event) -> None:
        """Carry out a decision; those of other loops are ignored. Facts may be posted meanwhile."""
        match decision:
            case ModelStart():
                self._start_model(decision)
            case ToolStart():
                self._start_tool(decision, decision.call_id, "tool:", "")
            case ActionStarted():
                self._call_ids.setdefault(decision.reply_id, set()).add(decision.call_id)
                self._start_tool(decision, decision.call_id, "action:", decision.idempotency_key)
            case CancelRequested() if decision.target == "model" or decision.target.startswith("tool:"):
                self._cancel(decision)
            case ReplyDone():
                if decision.outcome == "discarded" and decision.reply_id == self._told_by:
                    self._told_by = ""
                self._call_ids.pop(decision.reply_id, None)
                self._refused.pop(decision.reply_id, None)
            case _:
                pass

    async def run(self) -> None:
        """Own all tasks until cancelled. They are then cancelled and awaited, within a deadline.

        A `TaskGroup` would wait for ever for a tool that ignores its cancellation.
        """
        self._running = True
        for job in self._jobs:
            self._begin(job)
        for tool in self._own_tools:
            self._launch(_Job("", "preflight", partial(self._preflight, tool)))
        for source in self._sources:
            self._launch(_Job("", "preflight", partial(self._watch, source)))
        try:
            await asyncio.Event().wait()
        finally:
            await self._wind_up()

    # ── tasks ────────────────────────────────────────────────────────────────────────────

    def _launch(self, job: _Job) -> None:
        self._jobs.append(job)
        if self._running:
            self._begin(job)

    def _begin(self, job: _Job) -> None:
        async def work() -> None:
            await job.work(job)

        job.task = asyncio.get_running_loop().create_task(work(), name=f"{job.reply_id} {job.target}")
        job.task.add_done_callback(lambda task: self._ended(job, task))

    def _ended(self, job: _Job, task: asyncio.Task[None] | None) -> None:
        self._jobs.remove(job)
        if task is not None and not task.cancelled() and (error := task.exception()) is not None:
            self._post(Fault(code="thinking", message=f"{job.target} of reply {job.reply_id} broke: {error!r}"))
        if job.dead and not self._closing and not self._dying(job.reply_id, job.target):
            self._post(CancelFreed(reply_id=job.reply_id, target=job.target))

    def _dying(self, reply_id: str, target: str) -> bool:
        return any(job.dead and (job.reply_id, job.target) == (reply_id, target) for job in self._jobs)

    def _full(self) -> bool:
        return sum(job.target != "preflight" for job in self._jobs) >= MAX_TASKS

    def _cancel(self, request: CancelRequested) -> None:
        ids = {"reply_id": request.reply_id, "target": request.target}
        acting = f"action:{request.target.removeprefix('tool:')}"
        if any((job.reply_id, job.target) == (request.reply_id, acting) for job in self._jobs):
            message = f"{request.target} of reply {request.reply_id} is an action that has started; it is not cancelled"
            self._post(Fault(code="tool", message=message))
            return
        hit = [job for job in self._jobs if (job.reply_id, job.target) == (request.reply_id, request.target)]
        fresh = [job for job in hit if not job.dead]
        for job in fresh:
            job.dead = True
        self._post(CancelAck(**ids))
        for job in fresh:
            if job.task is not None:
                job.task.cancel()
            else:
                self._ended(job, None)
        if not hit:
            self._post(CancelFreed(**ids))

    def close(self) -> None:
        """Begin nothing more, and cancel everything but actions: an action that comes now has failed."""
        self._closing = True
        for job in self._jobs:
            if not job.action and job.task is not None:
                job.dead = True
                job.task.cancel()

    async def finish(self) -> None:
        """Close, and let the actions that have started end; those that do not within `ACTION_GRACE_S` are cancelled.

        They are given that time once, whoever asks.
        """
        self.close()
        grace_s, self._grace_s = self._grace_s, 0.0
        await self._ending([job for job in self._jobs if job.action], grace_s)

    async def _wind_up(self) -> None:
        await self.finish()
        await self._ending(self._jobs, CLOSE_TIMEOUT_S)
        for job in self._jobs:
            self._post(Fault(code="thinking", message=f"{job.target} of reply {job.reply_id} does not stop"))

    async def _ending(self, jobs: Sequence[_Job], timeout_s: float) -> None:
        """Wait for the end of these, and cancel what is late."""
        tasks = {job.task for job in jobs if job.task is not None}
        if tasks:
            _, late = await asyncio.wait(tasks, timeout=timeout_s)
            for task in late:
                task.cancel()

    # ── the brain ────────────────────────────────────────────────────────────────────────

    def _start_model(self, start: ModelStart) -> None:
        if self._closing:
            return
        if self._full():
            error = f"{MAX_TASKS} tasks of this session are running already"
            self._post(ModelDone(reply_id=start.reply_id, step=start.step, error=error))
            return
        self._launch(_Job(start.reply_id, "model", partial(self._think, start)))

    async def _think(self, start: ModelStart, job: _Job) -> None:
        step = _Step(self, job, start)
        error = await self._respond(step, self._brain)
        if error is None:
            self._told_by = ""
        elif self._fallback is not None and not step.emitted:
            spare = self._fallback
            self.emit(job, Fault(code="brain", message=f"{self._brain.name} failed, {spare.name} answers: {error}"))
            step = _Step(self, job, start)
            if error.apology and not self._told_by:
                self._told_by = start.reply_id
                step.say(f"{error.apology} ")
            error = await self._respond(step, spare)
        done = ModelDone(reply_id=start.reply_id, step=start.step, usage=step.usage)
        self.emit(job, done if error is None else replace(done, error=str(error), apology=error.apology))

    async def _respond(self, step: _Step, brain: Brain) -> BrainError | None:
        """One step of one brain. Returns how it failed, if it did."""
        try:
            await step.run(brain, self._prompt(step.start))
        except BrainError as error:
            return error if str(error) else BrainError(brain.name, error.apology)
        except Exception as error:
            # The boundary to a plugged-in brain, which may raise anything: the session goes on.
            self.emit(step.job, Fault(code="brain", message=f"{brain.name} broke: {error!r}"))
            return BrainError(f"{brain.name} broke")
        except asyncio.CancelledError:
            if _cancelled():
                raise
            return BrainError(f"{brain.name} gave up")
        finally:
            step.close()
        return None

    def _prompt(self, start: ModelStart) -> Prompt:
        said = Message(role="user", text=start.text, understood=start.understood)
        messages = (*self._resolve(start.context), said, *self._resolve(start.results))
        specs = tuple(tool.spec for tool in self._tools.values())
        return Prompt(messages, specs, self._user(), self._instructions)

    async def call_fact(self, start: ModelStart, call: Call) -> ToolCall:
        """A brain's call with what its tool declares and proposes. A tool that does not exist, arguments that cannot
        be read, and a write that cannot even be proposed, are a read that will fail: the brain hears of it
        like of any other result, and the user is asked nothing."""
        used = self._call_ids.setdefault(start.reply_id, set())
        call_id = call.call_id
        if not call_id or call_id in used:
            call_id = f"{call_id or 'call'}.{start.step}.{len(used)}"
        used.add(call_id)
        tool = self._tools.get(call.name)
        if call.problem:
            found: Proposal | ToolResult | None = _failed(start.reply_id, call_id, "input", call.problem)
        else:
            found = await self._proposal(tool, start.reply_id, call_id, call) if tool else None
        if isinstance(found, ToolResult):
            self._refused.setdefault(start.reply_id, {})[call_id] = found
        fact = ToolCall(
            reply_id=start.reply_id,
            step=start.step,
            call_id=call_id,
            name=call.name,
            arguments=dict(call.arguments),
            effect="read",
        )
        if tool is None or not isinstance(found, Proposal):
            return fact
        spec = tool.spec
        return replace(
            fact,
            arguments=dict(found.arguments),
            effect=spec.effect,
            risk=spec.risk,
            idempotent=spec.idempotent,
            reversible=spec.reversible,
            confirm=spec.confirm,
            proposal=found.text,
            reverts=found.reverts,
        )

    async def _proposal(self, tool: Tool, reply_id: str, call_id: str, call: Call) -> Proposal | ToolResult:
        """What a tool would do, exactly; or how it would fail."""
        if tool.spec.effect == "read" or not isinstance(tool, Proposing):
            return Proposal(call.arguments)
        if call.name in self._unavailable:
            return _failed(reply_id, call_id, "unreachable", self._unavailable[call.name])
        try:
            async with asyncio.timeout(PROPOSAL_TIMEOUT_S):
                return await tool.propose(call.arguments, self._user())
        except ToolError as error:
            return _failed(reply_id, call_id, error.error_class, str(error))
        except TimeoutError:
            return _failed(reply_id, call_id, "timeout", f"{call.name} took too long")
        except Exception as error:
            # The boundary to a plugged-in tool, which may raise anything: the session goes on.
            self._post(Fault(code="tool", message=f"{call.name} broke: {error!r}"))
            return _failed(reply_id, call_id, "crash", f"{call.name} broke")

    def emit(self, job: _Job, fact: Event) -> None:
        """Post a fact of a task, unless it was cancelled."""
        if not job.dead:
            self._post(fact)

    # ── tools ────────────────────────────────────────────────────────────────────────────

    @property
    def _tools(self) -> dict[str, Tool]:
        """Those that there are at this moment, by name; ours come before those of a source."""
        found = {tool.spec.name: tool for tool in self._own_tools}
        for source in self._sources:
            for tool in source.tools:
                found.setdefault(tool.spec.name, tool)
        return found

    async def _watch(self, source: ToolSource, job: _Job) -> None:
        """Say whenever a source of tools fails, or fails otherwise than before."""
        problem = ""
        while True:
            problem = await source.problem_other_than(problem)
            if problem:
                self.emit(job, ToolUnavailable(name=source.name, reason=problem))

    async def _preflight(self, tool: Tool, job: _Job) -> None:
        name = tool.spec.name
        try:
            async with asyncio.timeout(PREFLIGHT_TIMEOUT_S):
                reason = await tool.preflight()
        except TimeoutError:
            reason = f"it did not answer within {PREFLIGHT_TIMEOUT_S:g} s"
        except Exception as error:
            # The boundary to a plugged-in tool: one that cannot even be asked cannot be used.
            reason = str(error) or repr(error)
        if reason:
            self._unavailable[name] = reason
            self.emit(job, ToolUnavailable(name=name, reason=reason))

    def _start_tool(self, start: ToolStart | ActionStarted, call_id: str, kind: str, key: str) -> None:
        tool = self._tools.get(start.name)
        if refused := self._refused.get(start.reply_id, {}).get(call_id):
            self._post(refused)
            return
        if tool is None:
            refusal = "not_found", f"there is no tool {start.name}"
        elif tool.spec.effect == "write" and not key:
            refusal = "permission", f"{start.name} changes something and was not confirmed"
        elif start.name in self._unavailable:
            refusal = "unreachable", self._unavailable[start.name]
        elif self._closing:
            refusal = "unreachable", CLOSED
        elif self._full():
            refusal = "limit", f"{MAX_TASKS} tasks of this session are running already"
        else:
            work = partial(self._use, tool, call_id, start.arguments, key)
            self._launch(_Job(start.reply_id, kind + call_id, work))
            return
        self._post(_failed(start.reply_id, call_id, *refusal))

    async def _use(self, tool: Tool, call_id: str, arguments: Mapping[str, Json], key: str, job: _Job) -> None:
        name = tool.spec.name
        pace = Pace(partial(self.emit, job))

        def report(fact: ToolReport) -> None:
            fact = replace(fact, reply_id=job.reply_id, call_id=call_id)
            if isinstance(fact, ToolProgress):
                pace.push(fact)
            else:
                self.emit(job, fact)

        try:
            content = await tool.run(arguments, ToolContext(self._user(), key, self._session_id, report))
            result = ToolResult(reply_id=job.reply_id, call_id=call_id, ok=True, content=content)
        except ToolError as error:
            result = _failed(job.reply_id, call_id, error.error_class, str(error))
        except TimeoutError:
            result = _failed(job.reply_id, call_id, "timeout", f"{name} took too long")
        except Exception as error:
            # The boundary to a plugged-in tool, which may raise anything: the session goes on.
            self.emit(job, Fault(code="tool", message=f"{name} broke: {error!r}"))
            result = _failed(job.reply_id, call_id, "crash", f"{name} broke")
        except asyncio.CancelledError:
            if _cancelled():
                raise
            result = _failed(job.reply_id, call_id, "crash", f"{name} gave up")
        finally:
            pace.close()
        self.emit(job, result)


class _Step:
    """The stream of one brain step, turned into facts."""

    def __init__(self, loop: ThinkingLoop, job: _Job, start: ModelStart) -> None:
        self.job = job
        self.start = start
        self.emitted = False
        self.usage: Usage | None = None
        self._loop = loop
        self._feed = TokenFeed(self._token)

    async def run(self, brain: Brain, prompt: Prompt) -> None:
        stream = brain.respond(prompt)
        try:
            async for part in stream:
                if self.job.dead:
                    break  # a brain that does not notice its cancellation
                self.emitted = True
                match part:
                    case Delta():
                        self._feed.add(part.text)
                    case Usage():
                        self.usage = part
                    case Call():
                        self._feed.flush()
                        self._loop.emit(self.job, await self._loop.call_fact(self.start, part))
            self._feed.flush()
        finally:
            if (aclose := getattr(stream, "aclose", None)) is not None:
                async with asyncio.timeout(CLOSE_TIMEOUT_S):
                    await aclose()

    def say(self, text: str) -> None:
        self._feed.add(text)

    def close(self) -> None:
        self._feed.flush()
        self._feed.close()

    def _token(self, text: str) -> None:
        self._loop.emit(self.job, ModelToken(reply_id=self.start.reply_id, step=self.start.step, text=text))


def _cancelled() -> bool:
    """Whether this task itself was cancelled, and not just something that it waited for."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


def _failed(reply_id: str, call_id: str, error_class: str, message: str) -> ToolResult:
    return ToolResult(reply_id=reply_id, call_id=call_id, ok=False, error_class=error_class, message=message)
