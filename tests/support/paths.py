"""Where tests find what they read."""

from __future__ import annotations

from pathlib import Path
from typing import Final

TESTS: Final = Path(__file__).parents[1]
ROOT: Final = TESTS.parent
SOLUTION: Final = ROOT / "solutions" / "llm-methods"
STARTER: Final = ROOT / "starter"
DATASETS: Final = ROOT / "datasets"
CORPUS: Final = TESTS / "corpus"
"""Training files and what is wrong with each."""

PROGRAMS: Final = TESTS / "support" / "programs"
"""Programs that tests start in processes of their own."""

EXPERTS: Final = TESTS / "experts"
"""Assignments and submissions that experts have judged."""
