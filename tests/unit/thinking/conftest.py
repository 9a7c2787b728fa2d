from collections.abc import Iterator

import pytest

from agent.clock import run_virtual
from tests.unit.thinking.session_talk import BRAIN


@pytest.fixture(scope="session", autouse=True)
def _shared_brain_closed_in_the_end() -> Iterator[None]:
    yield
    run_virtual(BRAIN.close())
