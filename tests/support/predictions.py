"""Evidence in tests: predictions with a chosen number of right answers."""

from __future__ import annotations

from grader.core.nouns import Evidence

N = 100


def evidence(
    right: int, *, guessable: int = 0, wrong: str = "no idea", loglik_wrong: float = -5.0
) -> Evidence:
    """N answers, the first `right` of them right; the last `guessable` are what guessing says."""
    rows = [
        {
            "id": f"q{i}",
            "question": f"question {i}",
            "text": f"answer {i}" if i < right else wrong,
            "reference": f"answer {i}",
            "guess": f"answer {i}" if i >= N - guessable else "a guess",
            "loglik": -1.0 if i < right else loglik_wrong,
        }
        for i in range(N)
    ]
    cost = {"generate_seconds": 2.0, "generated_tokens": 300.0, "peak_memory_mib": 400.0}
    return Evidence("predictions", "k", {"answers": rows}, cost)
