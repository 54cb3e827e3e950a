"""Importing this module registers every check: it imports each family of `grader.checks`."""

from __future__ import annotations

from importlib import import_module
from pkgutil import walk_packages

import grader.checks
from grader.checks.api import grader_faults as _grader_faults  # noqa: F401  (registers its checks)
from grader.checks.api import intake_faults as _intake_faults  # noqa: F401  (the same)

for _module in walk_packages(grader.checks.__path__, "grader.checks."):
    if _module.name.split(".")[2] not in ("api", "views"):
        import_module(_module.name)
