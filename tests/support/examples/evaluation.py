"""Examples of EVL: gains of adapters, and extended evaluations."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from grader.core.nouns import Evidence
from support.benchmarks import BENCHMARK, TRUE, answered, tuned
from support.benchmarks import results as benchmark_results
from support.examples.writers import (
    DELIVERABLES,
    Examples,
    Writer,
    with_files,
)
from support.predictions import evidence


def _evaluated(right: int, *, claimed: float = 0.9, loglik_wrong: float = -5.0) -> Writer:
    """A submission whose adapter answered `right` of 100; evidence stands in a dot file."""

    def write(folder: Path) -> Mapping[str, Evidence]:
        with_files("huggingface_custom_lora.py", "inference.py")(folder)
        claims = {"before": {"exact_match": 0.0}, "after": {"exact_match": claimed}}
        (folder / "s01" / "metrics.json").write_text(json.dumps(claims) + "\n")
        return {"before": evidence(0), "after": evidence(right, loglik_wrong=loglik_wrong)}

    return write


def _compared(adapter: float) -> Writer:
    """A submission whose comparison.json gives its adapter this share; it answered 90 of 100."""

    def write(folder: Path) -> Mapping[str, Evidence]:
        found = _evaluated(90)(folder)
        row = {"model": "course-model", "n": 56, "exact_match": adapter}
        claims = {"questions": 56, "approaches": {"lora_adapter": row}}
        (folder / "s01" / "comparison.json").write_text(json.dumps(claims) + "\n")
        return found

    return write


def _benchmark(
    id: str = "",
    run: Evidence | None = None,
    *,
    benchmark: str = BENCHMARK,
    claims: Mapping[str, object] = TRUE,
) -> Writer:
    """A submission of all parts with this benchmark, which one approach answered so."""

    def write(folder: Path) -> Mapping[str, Evidence]:
        with_files(*DELIVERABLES, "extended_evaluation.py", adapter=id == "bench_lora")(folder)
        (folder / "s01" / "benchmark.jsonl").write_text(benchmark)
        (folder / "s01" / "benchmark_results.json").write_text(benchmark_results(claims))
        return {} if run is None else {id: run}

    return write


EXAMPLES: Examples = {
    "EVL001": (_evaluated(90), _evaluated(0)),
    "EVL002": (_evaluated(90), _evaluated(0, loglik_wrong=-6.0)),
    "EVL004": (_evaluated(90), _evaluated(90, claimed=0.5)),
    "EVL005": (_compared(0.93), _compared(0.3)),
    "EVL010": (_benchmark(), _benchmark(benchmark=BENCHMARK.splitlines(keepends=True)[0] * 50)),
    "EVL011": (_benchmark(), _benchmark(claims={})),
    "EVL012": (
        _benchmark("bench_dspy", answered()),
        _benchmark("bench_dspy", answered(), claims={**TRUE, "dspy": 0.4}),
    ),
    "EVL013": (_benchmark("bench_openai", tuned()), _benchmark("bench_openai", tuned(asked=10))),
    "EVL014": (
        _benchmark("bench_lora", answered()),
        _benchmark("bench_lora", answered(), claims={"dspy": 0.8}),
    ),
}
