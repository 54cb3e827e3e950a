"""What is fixed between OpenAI's clients and a service that speaks as OpenAI's does.

Paths, the states of a job, the purposes of files, and the two variables by which clients find a
service and its key. Source: OpenAI's API reference.
"""

from __future__ import annotations

from typing import Final, Literal

API: Final = "/v1/"
FILES: Final = "/v1/files"
JOBS: Final = "/v1/fine_tuning/jobs"
MODELS: Final = "/v1/models"
CHAT: Final = "/v1/chat/completions"
COMPLETIONS: Final = "/v1/completions"
RESPONSES: Final = "/v1/responses"
EMBEDDINGS: Final = "/v1/embeddings"
GENERATION: Final = frozenset({CHAT, COMPLETIONS, RESPONSES})
"""Where a model is asked for text."""

JobStatus = Literal[
    "validating_files", "queued", "running", "pausing", "paused", "succeeded", "failed", "cancelled"
]
UNDER_WAY: Final[tuple[JobStatus, ...]] = (
    "validating_files",
    "queued",
    "running",
    "pausing",
    "paused",
)
"""States that a job may still leave."""

ENDED: Final[tuple[JobStatus, ...]] = ("succeeded", "failed", "cancelled")
"""States that a job never leaves."""

TRAINING_PURPOSE: Final = "fine-tune"
RESULTS_PURPOSE: Final = "fine-tune-results"
"""Of uploaded files and of those that jobs make."""

URL_VARIABLE: Final = "OPENAI_BASE_URL"
KEY_VARIABLE: Final = "OPENAI_API_KEY"
ANY_KEY: Final = "sk-finegrade-local"
"""What to send to a local service that takes any key, since clients want one."""
