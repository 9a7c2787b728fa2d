"""What the doctor says of a language model."""

from __future__ import annotations

from typing import Any

import pytest

from agent.clock import Clock
from agent.doctor.check import Check
from agent.doctor.language_model import language_model
from tests.fixtures.chat_server import DONE, ChatServer, Refusal, ended, said, usage, virtually


def check_of(*scripts: Any, fallback: bool = True) -> Check:
    found: Check = virtually(ChatServer(*scripts), lambda brain: language_model(brain, (), Clock(), fallback=fallback))
    return found


def test_its_speed_is_measured_with_and_without_a_prompt_that_it_knows() -> None:
    scripts = [[wait, said("One, "), 2.0, said("ten."), ended(), usage(99, 0, 40), DONE] for wait in (1.5, 0.25)]
    check = check_of(*scripts)
    assert check.ok
    assert check.says == "first words after 1500 ms, then 250 ms, 20 tokens a second"


@pytest.mark.parametrize(("fallback", "ok", "mend"), [(True, None, "skills"), (False, False, "")])
def test_one_that_does_not_answer_is_bad_where_nothing_else_would(fallback: bool, ok: bool | None, mend: str) -> None:
    check = check_of([Refusal(401)], fallback=fallback)
    assert check.ok is ok
    assert "API key" in check.says
    assert mend in check.mend
