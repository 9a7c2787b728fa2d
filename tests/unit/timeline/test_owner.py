"""Under which name a process holds sessions."""

import signal
import subprocess
import sys

import pytest

from agent.errors import StoreError
from agent.timeline.owner import owner_beside

HOLDER = """
import sys, time
from pathlib import Path
from agent.timeline.owner import owner_beside
print(owner_beside(Path(sys.argv[1])).name, flush=True)
time.sleep(60)
"""


def test_one_at_a_time_bears_the_files_name(tmp_path):
    path = tmp_path / "timeline.sqlite3"
    first = owner_beside(path)
    second, third = owner_beside(path), owner_beside(path)
    assert len({first.name, second.name, third.name}) == 3
    second.close()
    first.close()
    first.close()
    again = owner_beside(path)
    assert again.name == first.name
    again.close()
    assert owner_beside(tmp_path / "other.sqlite3").name != first.name


def test_a_killed_process_leaves_its_name_to_the_next_one(tmp_path):
    path = tmp_path / "timeline.sqlite3"
    with subprocess.Popen([sys.executable, "-c", HOLDER, path], stdout=subprocess.PIPE, text=True) as process:
        name = process.stdout.readline().strip()
        assert owner_beside(path).name != name
        process.send_signal(signal.SIGKILL)
    owner = owner_beside(path)
    assert owner.name == name
    owner.close()


def test_a_folder_that_is_not_there_is_an_error_that_says_so(tmp_path):
    with pytest.raises(StoreError, match="No such file"):
        owner_beside(tmp_path / "missing" / "timeline.sqlite3")
