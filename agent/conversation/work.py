"""What the loops report of the agent's own work, to the side of the core that it is for."""

from __future__ import annotations

from agent.conversation import events as e
from agent.conversation import reports as r
from agent.conversation.answering import Answering


def on_work(agent: Answering, fact: e.Event, now_us: int) -> None:
    match fact:
        case e.ModelToken():
            agent.on_token(fact, now_us)
        case e.ToolCall():
            agent.on_call(fact, now_us)
        case e.ModelDone():
            agent.on_model_done(fact, now_us)
        case e.ToolResult():
            agent.on_result(fact, now_us)
        case r.ToolProgress() if agent.reply is not None:
            agent.acting.progressed(agent.reply, fact, now_us)
        case r.RetrieveDone() if agent.reply is not None and agent.reply.reply_id == fact.reply_id:
            agent.reply.grounds.found(fact)
        case e.TtsChunk():
            agent.on_chunk(fact, now_us)
        case e.TtsFailed():
            agent.on_tts_failed(fact, now_us)
        case e.PlaybackStarted():
            agent.on_started(fact)
        case e.PlaybackMark():
            agent.on_mark(fact, now_us)
        case e.CancelAck():
            agent.on_ack(fact)
