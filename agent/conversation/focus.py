"""Whose microphone and loudspeaker are live: one device's, which has the focus.

    on                                       the focus goes to
    a device joins that was not here before  it, unless the live one has more sound             joined
    one comes back                           it, if it left with the focus and nobody asked     joined
                                             for that since
    one asks for it, or holds its talk       it, unless another asked first, unknown to it      takeover
    button down
    somebody talks to one that is not live   it, once the live one has had quiet for a while    speech
                                             and no reply is under way
    the live one leaves, or loses all sound  the one with the most sound, who came last first   left

Sound is a microphone and a loudspeaker, or one of them. A device without any only watches: it never gets
the focus. While nobody has it, the first device with sound does.
"""

from __future__ import annotations

from agent.conversation.decisions import Complaint, DeviceFocused, Why
from agent.conversation.events import (
    ControlFocus,
    ControlTalk,
    DeviceJoined,
    DeviceLeft,
    DeviceLink,
    DeviceSpeech,
    Event,
)
from agent.conversation.outbox import Outbox
from agent.conversation.presence import Device, Presence
from agent.conversation.seen import unseen

QUIET_US = 2_000_000
"""The live device keeps the focus for this long behind what was said to it, whoever else is talked to:
two microphones in one room hear the same words."""
MAX_KNOWN = 64


class Focus:
    """Moves the focus of `presence` by the table above. Every method that takes a fact says whether it moved."""

    def __init__(self, presence: Presence, outbox: Outbox) -> None:
        self._presence = presence
        self._out = outbox
        self._known: dict[str, None] = {}
        """Devices that were here with sound, at most `MAX_KNOWN`."""
        self._heir = ""
        """Who left with the focus, while nobody has asked for it since."""
        self._moved_us = 0
        self._why: Why = "joined"
        self._since_seq = 0

    def take(self, fact: Event, now_us: int, quiet_since_us: int | None) -> bool:
        """`quiet_since_us`: when something was said last, None while somebody speaks or is answered."""
        match fact:
            case DeviceJoined():
                return self._joined(fact, now_us)
            case DeviceLeft():
                return self._left(fact, now_us)
            case DeviceLink():
                self._presence.link(fact)
            case DeviceSpeech():
                return self._spoken_to(fact, now_us, quiet_since_us)
            case ControlFocus():
                return self._asked(fact, now_us)
            case ControlTalk():
                device = self._presence.of(fact)
                return device is not None and device.microphone and self._ask(device, "takeover", now_us)
        return False

    def clear(self) -> None:
        """Nobody is here any more; who had the focus may come back to it."""
        self._heir = self._heir or self._presence.live_id
        self._presence.clear()

    def _joined(self, fact: DeviceJoined, now_us: int) -> bool:
        presence = self._presence
        device = presence.join(fact)
        live = presence.live
        if not device.sound:
            return device is live and self._pass_on(now_us)
        new, heir = device.device_id not in self._known, device.device_id == self._heir
        self._know(device)
        if live is not None and not heir and not (new and device.sound >= live.sound):
            return False
        if new or heir:
            self._heir = ""
        return self._give(device, "joined", now_us)

    def _left(self, fact: DeviceLeft, now_us: int) -> bool:
        presence = self._presence
        presence.leave(fact)
        return fact.device_id == presence.live_id and self._pass_on(now_us)

    def _spoken_to(self, fact: DeviceSpeech, now_us: int, quiet_since_us: int | None) -> bool:
        device = self._presence.here.get(fact.device_id)
        if device is None or not device.microphone or quiet_since_us is None:
            return False
        if now_us - max(quiet_since_us, self._moved_us) < QUIET_US:
            return False
        return self._ask(device, "speech", now_us)

    def _asked(self, fact: ControlFocus, now_us: int) -> bool:
        device = self._presence.of(fact)
        if device is None or not device.sound:
            watches = "this device has neither a microphone nor a loudspeaker here: it can only watch"
            self._out.add(Complaint(code="focus.silent", message=watches))
            return False
        if device is not self._presence.live and self._why == "takeover" and unseen(fact.seen_seq, self._since_seq):
            self._out.add(Complaint(code="focus.taken", message="another device was first to take over"))
            return False
        return self._ask(device, "takeover", now_us)

    def _ask(self, device: Device, why: Why, now_us: int) -> bool:
        self._heir = ""
        return self._give(device, why, now_us)

    def _give(self, device: Device, why: Why, now_us: int) -> bool:
        if device is self._presence.live:
            return False
        self._move(device.device_id, why, now_us)
        return True

    def _pass_on(self, now_us: int) -> bool:
        """The live device is gone, or cannot be heard or spoken to any more."""
        presence = self._presence
        gone = presence.live_id
        others = [device for device in presence.here.values() if device.sound and device.device_id != gone]
        heirs = sorted(others, key=lambda device: device.sound)  # stable: of those with the most, who came last
        self._heir = self._heir or gone
        self._move(heirs[-1].device_id if heirs else "", "left", now_us)
        return True

    def _move(self, device_id: str, why: Why, now_us: int) -> None:
        self._presence.live_id = device_id
        self._moved_us, self._why = now_us, why
        self._out.add(DeviceFocused(device_id=device_id, why=why))
        self._since_seq = self._out.seq

    def _know(self, device: Device) -> None:
        self._known[device.device_id] = None
        if len(self._known) > MAX_KNOWN:
            del self._known[next(iter(self._known))]
