"""Importing this module registers every check: it imports each module of `grader.checks`."""

from __future__ import annotations

from importlib import import_module
from pkgutil import iter_modules

import grader.checks
from grader.checks.api import grader_faults as _grader_faults  # noqa: F401  (registers its checks)
from grader.checks.api import intake_faults as _intake_faults  # noqa: F401  (the same)

for _module in iter_modules(grader.checks.__path__):
    if not _module.ispkg:
        import_module(f"grader.checks.{_module.name}")
