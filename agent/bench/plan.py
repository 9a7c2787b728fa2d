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
class Plan:
    """`reference_s`: how much of the story is heard undisturbed, to compare with. `crowd_s`: how long
    `crowd` sessions listen to it at once. `page_s`: how long the page is barged into, 0 for never."""

    asks: int
    barges: int
    stories: int
    bursts_per_story: int
    reference_s: float
    crowd: int
    crowd_s: float
    appends: int
    page_s: float

    @property
    def steps(self) -> int:
        """Steps of the progress bar."""
        return 6 + self.asks + self.barges + self.stories * self.bursts_per_story


QUICK = Plan(
    asks=3, barges=1, stories=1, bursts_per_story=2, reference_s=7.5, crowd=4, crowd_s=3.0, appends=200, page_s=6.0
)
FULL = Plan(
    asks=20, barges=10, stories=5, bursts_per_story=4, reference_s=18.0, crowd=4, crowd_s=20.0, appends=1_000,
    page_s=40.0,
)  # fmt: skip
