# claim: reads the grader's own source, its hidden questions' code among it
# expect: ok
# isolation: full
import importlib
import os
import sys

from attack import T, attempt, read

attempt("by its path", os.listdir, T["source"])
attempt("one file", read, T["source"] + "/hidden.py")
for name in ("grader", "grader.hidden", "grader.sandbox.escapes.table"):
    attempt(f"import {name}", lambda name=name: importlib.import_module(name).__file__ or "")
for folder in sys.path:
    attempt(f"in {folder}", lambda folder=folder: [
        found
        for name in ("grader", "finegrade")
        if os.path.isdir(f"{folder}/{name}")
        for found in os.listdir(f"{folder}/{name}")
    ])  # fmt: skip
