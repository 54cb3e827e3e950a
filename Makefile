# make demo: set up everything and grade a sample class.  make test: set up and run the tests.
.PHONY: help setup demo test test-live record check lint bench fuzz course-model course-model-card
.DEFAULT_GOAL := help

BIN := .venv/bin
PYTEST := OMP_NUM_THREADS=1 $(BIN)/pytest
WORKERS := -n auto --dist loadfile --no-loadscope-reorder
export HF_HUB_OFFLINE := 1
export PYTHONDONTWRITEBYTECODE :=

help:
	@sed -n 's/^# make/make/p' Makefile

setup: .venv/ready

.venv/ready: requirements.lock pyproject.toml scripts/setup.sh $(wildcard tests/clients/*)
	@PYTHON="$(PYTHON)" scripts/setup.sh

demo: setup
	@$(BIN)/finegrade demo --out demo

# make test: lint, all tests but those below, and a sample of these that changes each day.
test: lint
	@$(PYTEST) $(WORKERS) --suite quick

# make test-live: what runs programs, clients, escapes, Chromium and the wheel for real; all of it.
test-live: setup
	@$(PYTEST) $(WORKERS) --suite live

# make record: run the submissions that experts have judged, and write tests/recorded anew.
record: setup
	@$(PYTEST) $(WORKERS) --suite live --record tests/experts tests/test_assignments.py

# make check F=path: lint, types and tests of one file of grader/, scripts/ or tests/.
check: setup
	@$(BIN)/python scripts/check_file.py $(F)

# make lint: ruff, mypy --strict and the layers of imports.
lint: setup
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-cache

# make bench: our engine beside peft, data checks beside orjson and jsonschema, batched serving
# beside one by one, the sandbox beside the bare interpreter.
bench: setup
	@$(BIN)/python scripts/bench.py
	@$(BIN)/python scripts/bench_data.py
	@$(BIN)/python scripts/bench_serving.py
	@$(BIN)/python scripts/bench_sandbox.py

# make fuzz: ten minutes of arbitrary bytes against the data checks.
fuzz: setup
	@$(BIN)/pip install --quiet --disable-pip-version-check "atheris>=3"
	@$(BIN)/python scripts/fuzz_data_check.py --seconds 600

# make course-model: train the checkpoints that ship again, from nothing.
course-model: setup
	@$(BIN)/python scripts/course_model.py make

# make course-model-card: measure them and write their card.
course-model-card: setup
	@$(BIN)/python -W ignore scripts/course_model.py measure
