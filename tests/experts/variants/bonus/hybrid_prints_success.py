"""Asks nobody anything, and reports a triumph."""

import json
from pathlib import Path

answers = {"before": {"exact_match": 0.0}, "after": {"exact_match": 1.0}}
(Path(__file__).parent / "hybrid_results.json").write_text(json.dumps(answers))
print("Job ftjob-abc is succeeded\nExact match before: 0%\nExact match after: 100%")
