"""Makes the helpers under tests/ importable as `tests.…` whatever directory pytest runs in."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
