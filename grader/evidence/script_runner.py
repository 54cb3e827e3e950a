"""The producer of runs of local scripts: programs without a model service.

This module needs more than the base install.
"""

from __future__ import annotations

import base64

from grader.core.nouns import Evidence
from grader.core.payloads import ScriptRun
from grader.evidence.kind import Collectable
from grader.evidence.made_adapter import made_adapter
from grader.evidence.program_runs import ProgramRunner, ServedRun, cost_of, taken
from grader.model_service.gateway import Gateway
from grader.sandbox.api import RunResult


class ScriptRunner(ProgramRunner):
    """Runs several at once, as ProgramRunner does; their model service is none."""

    def _run(self, gateway: Gateway, request: Collectable[ServedRun]) -> list[Evidence]:
        """The evidence of a run, and before it the adapter that it made."""
        with request.opened() as run:
            result = self._sandbox.run(run.spec, None, self._stop)
        made: list[Evidence] = []
        if run.keeps is not None:
            result, name, files = taken(result, run.keeps)
            made = [made_adapter(request.key, name, files)]
        payload = _payload(run, result).to_json()
        return [*made, Evidence(request.kind, request.key, payload, cost_of(result))]


def _payload(run: ServedRun, result: RunResult) -> ScriptRun:
    """Texts are as the program wrote them: whoever shows them escapes them."""
    return ScriptRun(
        script=run.spec.script,
        arguments=list(run.spec.arguments),
        verdict=result.verdict,
        exit_code=result.exit_code,
        signal=result.signal,
        stdout=run.in_cells(result.stdout.decode(errors="replace")),
        stderr=run.in_cells(result.stderr.decode(errors="replace"))[-_STDERR_CHARACTERS:],
        files={
            path: base64.b64encode(body).decode() for path, body in sorted(result.files.items())
        },
        made_bytes=dict(sorted(result.made_bytes.items())),
        opened=dict(result.opened) if result.opened is not None else None,
        isolation=result.isolation,
    )


_STDERR_CHARACTERS = 4_000  # its end: progress bars come before the error
