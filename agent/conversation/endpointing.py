"""When does silence mean that the user is done?

Silence alone is weak evidence: people pause inside sentences for longer than between turns.
So the delay depends on what was said. A text that the recogniser understood whole is likely
to be a complete request; one that ends on a conjunction, an article, a preposition or a
filler is not. (The same idea, with a model in place of the word list, is in Ferrer et al.,
"Is the speaker done yet?", ICSLP 2002.)
"""

from __future__ import annotations

from typing import Literal

from agent.conversation.policy import Endpointing

Completeness = Literal["complete", "neutral", "incomplete"]

OPEN_ENDINGS = frozenset(
    (
        "and or but so because if when while then than that which who whose the a an my your his her our their this "
        "to of in on at for from with by about into between plus minus times over per uh um er hmm like is are was "
        "be remind set add what what's how whether"
    ).split()
)
"""English words after which a request goes on. (`what time is it`, on the other hand, may end.)"""

AMBIGUOUS_ENDINGS = frozenset({"that", "this", "her", "on", "in", "over", "about"})
"""Those that end a request as well: `repeat that`, `turn it on`."""

WHOLE_REPLIES = frozenset({"what", "how", "like that", "what is that"})


def completeness(text: str, *, understood: bool) -> Completeness:
    """Judge a hypothesis by its words."""
    words = text.lower().replace(".", " ").replace(",", " ").replace("?", " ").split()
    if not words:
        return "neutral"
    if words[-1] in OPEN_ENDINGS and " ".join(words) not in WHOLE_REPLIES:
        return "neutral" if understood and words[-1] in AMBIGUOUS_ENDINGS else "incomplete"
    return "complete" if understood else "neutral"


def delay_ms(judged: Completeness, policy: Endpointing) -> int:
    """Silence behind the last speech frame that ends the turn."""
    if judged == "complete":
        return policy.floor_ms
    return policy.ceiling_ms if judged == "incomplete" else policy.neutral_ms
