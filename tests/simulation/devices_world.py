"""The world of the driver's simulator, with several devices at the table.

Each has a seat, reads the timeline at its own pace and folds it. They come and go, with and without a word, are loaded
again, come back over a new connection before the old one has gone, lose their sound, take over, hold their talk
buttons, and send at once; the user walks from one to the next. In the end all of them must show the same, to the
byte, whatever each of them saw on the way.
"""

from __future__ import annotations

import asyncio
import json
import random
from typing import Any

import numpy as np

from agent.conversation import decisions as d
from agent.conversation import events as e
from agent.hearing.port import Pcm
from agent.seats import Seat, Table
from agent.session import Session
from agent.timeline.entry import Entry
from agent.timeline.projections.figures import Figures
from agent.timeline.projections.intent import Intent
from agent.timeline.projections.latency import Latency
from agent.timeline.projections.playback import Playback
from agent.timeline.projections.presence import Presence
from agent.timeline.projections.transcript import Transcript
from tests.simulation.core_world import PHRASES
from tests.simulation.driver_world import World

SOUNDS = ((True, True), (True, True), (False, True), (True, False), (False, False))
MOVES_A_TICK = 0.02
MS_SAMPLES = 48
LONGEST_WORD = 5 * 4_800
"""Reply samples: what may be said again where a word was cut."""


class View:
    """What a device makes of the timeline."""

    def __init__(self) -> None:
        self.transcript, self.playback, self.presence = Transcript(), Playback(), Presence()
        self.intent, self.latency, self.figures = Intent(), Latency(), Figures()
        self.ids: list[str] = []

    def take(self, entry: Entry) -> None:
        assert entry.seq == len(self.ids) + 1, f"seq {entry.seq} behind {len(self.ids)}"
        self.ids.append(entry.event.event_id)
        for fold in (self.transcript, self.playback, self.presence, self.intent, self.latency, self.figures):
            fold.apply(entry)

    def shown(self) -> str:
        state: dict[str, Any] = {
            "transcript": self.transcript.turns(),
            "playback": self.playback.state(),
            "presence": self.presence.state(),
            "intent": self.intent.state(),
            "latency": self.latency.turns(),
            "figures": self.figures.figures(),
        }
        return json.dumps(state, ensure_ascii=False)


class Page:
    """One device: where it has come to, and its connection while it has one."""

    def __init__(self, device_id: str, dice: random.Random) -> None:
        self.device_id = device_id
        self.source = f"device:{device_id}"
        self.microphone, self.speaker = dice.choice(SOUNDS)
        self.latency_ms = dice.choice((0, 60, 150))
        self.view = View()
        self.epoch = 0
        self.seat: Seat | None = None
        self.reader: asyncio.Task[None] | None = None
        self._dice = dice

    @property
    def seq(self) -> int:
        return len(self.view.ids)

    def behind(self, session: Session) -> int:
        """From where on it reads: as `arrival` has it."""
        if not session.timeline.continues(self.epoch, self.seq):
            self.view = View()
        return self.seq

    def joins(self) -> e.DeviceJoined:
        return e.DeviceJoined(
            source=self.source, device_id=self.device_id, transport="sim", name=f"The {self.device_id}",
            microphone=self.microphone, speaker=self.speaker, output_latency_ms=self.latency_ms,
        )  # fmt: skip

    async def read(self, seat: Seat, after: int) -> None:
        async for entry in seat.entries(after):
            self.view.take(entry)
            if self._dice.random() < 0.05:
                await asyncio.sleep(self._dice.choice((0.0, 0.05, 0.5)))


class DevicesWorld(World):
    """`run` plays the conversation and compares what the devices show."""

    def __init__(self, seed: int) -> None:
        super().__init__(seed)
        self.devices = random.Random(f"devices {seed}")
        """Of their own: the other dice fall as they do without."""
        self.pages = {name: Page(name, self.devices) for name in ("d1", "d2", "d3", "d4")[: self.devices.randint(2, 4)]}
        self.pages["d1"].microphone = self.pages["d1"].speaker = True
        self.near = "d1"
        self.moved = self.second = self.resumed = self.snapshots = 0
        self._table: Table | None = None
        self._spoken: tuple[str, str, int] = ("", "", 0)
        """Who was live, which reply it played, and up to which sample."""

    async def run(self) -> list[Entry]:
        entries = await super().run()
        fresh = View()
        for entry in entries:
            fresh.take(entry)
        assert self.session is not None
        for page in self.pages.values():
            for entry in entries[page.behind(self.session) :]:
                page.view.take(entry)
            assert page.view.ids == fresh.ids, f"{page.device_id} saw something else than was stored"
            assert page.view.shown() == fresh.shown(), f"{page.device_id} shows something else"
        types = [entry.event for entry in entries]
        self.moved = sum(isinstance(event, d.DeviceFocused) for event in types)
        told = ("action.stale", "steering.second", "talk.held", "focus.taken")
        self.second = sum(isinstance(event, d.Complaint) and event.code in told for event in types)
        return entries

    # ── what the driver's world asks for ─────────────────────────────────────────────────

    def _join(self, session: Session) -> None:
        self._table = Table(session)
        self._spoken = ("", "", 0)
        self._connect(self.pages["d1"])

    def _hear(self, session: Session, pcm: Pcm) -> None:
        for page in self.pages.values():
            if page.seat is not None and page.microphone:
                page.seat.hear(pcm if page.device_id == self.near else np.zeros_like(pcm))
        if self.now_ms < self.length_ms and self.devices.random() < MOVES_A_TICK:
            self._something(session)

    def _listen(self) -> None:
        """Each connection takes its frame, and at most one of them has something in it."""
        heard = []
        for page in list(self.pages.values()):
            if page.seat is None:
                continue
            at = page.seat.position()
            if page.seat.next_frame() is not None:
                heard.append((page, at))
        assert len(heard) <= 1, f"heard on {[page.device_id for page, _ in heard]}"
        for page, at in heard:
            assert page.speaker or page.microphone, f"{page.device_id} only watches, and speaks"
            if at is not None:
                self._goes_on(page, *at)

    def _goes_on(self, page: Page, reply_id: str, sample: int) -> None:
        """Where a reply moves on to another device nothing is missing, and hardly anything is said again."""
        before, spoken_id, until = self._spoken
        if reply_id == spoken_id and page.device_id != before:
            assert sample <= until, f"{reply_id}: {until}…{sample} was heard nowhere"
            again = until - sample
            most = LONGEST_WORD + 300 * MS_SAMPLES
            assert again <= most, f"{reply_id}: {again} samples are said again at {page.device_id}"
        self._spoken = (page.device_id, reply_id, sample + 960)

    def _post(self, session: Session, fact: e.Event) -> None:
        page = self.pages.get(fact.source.removeprefix("device:"))
        if isinstance(fact, e.DeviceLeft):
            if page is not None and page.seat is None:
                session.post(fact)  # noticed at last
        elif page is None:
            session.post(fact)
        elif page.seat is not None:
            page.seat.post(fact)

    def _took_leave(self) -> None:
        super()._took_leave()
        for page in self.pages.values():
            self._disconnect(page)

    def _device(self) -> e.Event:
        return e.ControlFocus(source="device:d1", seen_seq=self.pages["d1"].seq)

    # ── what devices do ──────────────────────────────────────────────────────────────────

    def _connect(self, page: Page) -> None:
        assert self._table is not None
        old, session = page.seat, self._table.session
        if page.reader is not None:
            page.reader.cancel()
        seen = page.seq
        after = page.behind(session)
        self.resumed += 0 < after == seen
        self.snapshots += after < seen
        page.seat, page.epoch = self._table.seat(), session.timeline.epoch
        page.seat.post(page.joins())
        page.reader = asyncio.create_task(page.read(page.seat, after))
        if old is not None:
            self._table.leave(old)

    def _disconnect(self, page: Page) -> None:
        if page.reader is not None:
            if page.reader.done() and not page.reader.cancelled():
                page.reader.result()
            page.reader.cancel()
        if page.seat is not None and self._table is not None:
            self._table.leave(page.seat)
        page.seat = page.reader = None

    def _something(self, session: Session) -> None:
        dice = self.devices
        page = dice.choice(list(self.pages.values()))
        if page.seat is None:
            self._connect(page)
            return
        kind = dice.choice(
            ("drop", "drop", "leave", "reload", "again", "sound", "focus", "focus", "talk", "texts", "walk", "walk")
        )
        if kind in ("drop", "leave", "reload"):
            self._goes(page, kind)
        elif kind == "again":
            self._connect(page)
        elif kind == "sound" and page.device_id != "d1":
            page.microphone, page.speaker = dice.choice(SOUNDS)
            page.seat.post(page.joins())
        elif kind == "focus":
            for one in dice.sample(list(self.pages.values()), dice.choice((1, 2))):
                self._post(session, e.ControlFocus(source=one.source, seen_seq=one.seq))
        elif kind == "talk":
            page.seat.post(e.ControlTalk(source=page.source, on=True, seen_seq=page.seq))
            self._planned.append((self.now_ms + dice.randint(100, 2_000), e.ControlTalk(source=page.source, on=False)))
        elif kind == "texts":
            for one in dice.sample(list(self.pages.values()), 2):
                self._post(session, e.TextInput(source=one.source, text=dice.choice(PHRASES), seen_seq=one.seq))
        elif kind == "walk":
            self.near = page.device_id

    def _goes(self, page: Page, how: str) -> None:
        """With a word, or so that it is noticed only later; perhaps to come back as a page that shows nothing yet."""
        left = e.DeviceLeft(source=page.source, device_id=page.device_id, reason=how)
        if how != "drop" and page.seat is not None:
            page.seat.post(left)
        else:
            self._planned.append((self.now_ms + self.devices.randint(100, 3_000), left))
        self._disconnect(page)
        if how == "reload":
            page.view = View()
            self._connect(page)
