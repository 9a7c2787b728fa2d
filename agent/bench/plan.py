"""What a benchmark does, and how often."""

from __future__ import annotations

from dataclasses import dataclass

REQUESTS = ("what time is it in tokyo", "what day is it")
"""Complete requests with a short answer."""
STORY = "tell me a story"
STOP = "stop that please"
HESITATION = "uh"
NOISE_MS = 150
HESITATION_MS = 270


@dataclass(frozen=True, slots=True)
class Stage:
    """So many sessions talk at once for so long."""

    sessions: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Plan:
    """`reference_s`: how much of the story is heard undisturbed, to compare with. `page_s`: how long the
    page is barged into, 0 for never."""

    asks: int
    barges: int
    stories: int
    bursts_per_story: int
    reference_s: float
    crowd: Stage
    appends: int
    page_s: float
    sentences: int = 10
    """How often each voice that is present says its sentences."""

    @property
    def steps(self) -> int:
        """Steps of the progress bar."""
        return 8 + self.asks + self.barges + self.stories * self.bursts_per_story


QUICK = Plan(
    asks=2,
    barges=1,
    stories=1,
    bursts_per_story=2,
    reference_s=7.5,
    crowd=Stage(4, 6.0),
    appends=200,
    page_s=6.0,
    sentences=2,
)
FULL = Plan(
    asks=20, barges=10, stories=5, bursts_per_story=4, reference_s=18.0, crowd=Stage(4, 30.0), appends=1_000,
    page_s=40.0,
)  # fmt: skip

FULL_LOAD = (Stage(1, 90.0), Stage(2, 45.0), Stage(4, 30.0), Stage(8, 30.0), Stage(12, 30.0))
"""Few sessions talk for longer: a 95th percentile needs questions."""
QUICK_LOAD = (Stage(1, 15.0), Stage(2, 10.0), Stage(4, 10.0))
