"""A PulseAudio of the tests' own, whose loudspeaker leads nowhere but keeps time: for machines without a sound card."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import time
from pathlib import Path

PULSEAUDIO = shutil.which("pulseaudio")
START_S = 10.0
STOP_S = 10.0


class SoundServer:
    """Runs until it is closed; `address` is for PULSE_SERVER."""

    def __init__(self) -> None:
        if PULSEAUDIO is None:
            raise FileNotFoundError("PulseAudio is not installed (apt-get install pulseaudio)")
        self.folder = Path(tempfile.mkdtemp(prefix="sound-"))
        socket = self.folder / "socket"
        self.address = f"unix:{socket}"
        modules = ("module-null-sink rate=48000", f"module-native-protocol-unix auth-anonymous=1 socket={socket}")
        command = [PULSEAUDIO, "-n", "-F", os.devnull, "--daemonize=no", "--use-pid-file=no", "--exit-idle-time=-1",
                   *(f"--load={module}" for module in modules)]  # fmt: skip
        environment = {**os.environ, "HOME": str(self.folder), "XDG_RUNTIME_DIR": str(self.folder)}
        with (self.folder / "log").open("wb") as file:
            self.process = subprocess.Popen(command, env=environment, stdout=file, stderr=subprocess.STDOUT)
        end = time.monotonic() + START_S
        while not socket.exists():
            if time.monotonic() > end or self.process.poll() is not None:
                printed = (self.folder / "log").read_text(errors="replace")
                self.close()
                raise AssertionError(f"PulseAudio did not start within {START_S} s: {printed}")
            time.sleep(0.02)

    def close(self) -> None:
        self.process.terminate()
        try:
            self.process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait(STOP_S)
        shutil.rmtree(self.folder, ignore_errors=True)
