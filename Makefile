# make demo: set up and convert a real clip.   make test: set up and run the tests.
SHELL := /bin/bash
VENV := .venv
BIN := $(VENV)/bin
PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11; do \
	$$p -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' 2>/dev/null && { command -v $$p; break; }; done)
PIP := $(BIN)/python -m pip --disable-pip-version-check install --quiet --constraint constraints.txt
export STEREO_SPOT_HOME ?= $(CURDIR)/data

.PHONY: demo test test-fast test-fleet test-ffmpeg dev lint format types imports check bench synth lock clean

demo: $(VENV)/.installed
	$(BIN)/stereo-spot demo demo-output

# Files of tests side by side: much of their time is waiting for daemons. One thread each for torch, or they fight.
PYTEST := OMP_NUM_THREADS=1 $(BIN)/pytest --numprocesses 2 --dist loadfile

test: $(VENV)/.installed-dev
	$(PYTEST)

test-fast: $(VENV)/.installed-dev
	$(PYTEST) -m "not slow"

# Dagster's services, a real Postgres and simulated AWS: videos into a bucket, runs as tasks, results out of it.
test-fleet: $(VENV)/.installed-dev
	OMP_NUM_THREADS=1 $(BIN)/pytest stereo_spot_dagster_tests/fleet

# What depends on ffmpeg, once more with another one: make test-ffmpeg FFMPEG=/usr/bin/ffmpeg
FFMPEG ?= $(shell command -v ffmpeg)
test-ffmpeg: $(VENV)/.installed-dev
	@test -x "$(FFMPEG)" || { echo "No ffmpeg found. Say: make test-ffmpeg FFMPEG=/path/to/ffmpeg"; exit 1; }
	STEREO_SPOT_FFMPEG="$(FFMPEG)" $(PYTEST) -m other_ffmpeg

# One worker for each GPU; one for a machine without.
GPUS = $$(n=$$(nvidia-smi -L 2>/dev/null | wc -l); echo $$((n > 1 ? n : 1)))

# The UI on http://localhost:3000, the sensors, and the drop folder $(STEREO_SPOT_HOME)/drop.
dev: $(VENV)/.installed
	mkdir -p "$(STEREO_SPOT_HOME)/dagster" "$(STEREO_SPOT_HOME)/drop"
	cp dagster.yaml "$(STEREO_SPOT_HOME)/dagster/dagster.yaml"
	DAGSTER_HOME="$(STEREO_SPOT_HOME)/dagster" $(BIN)/dagster instance concurrency set gpu $(GPUS)
	DAGSTER_HOME="$(STEREO_SPOT_HOME)/dagster" $(BIN)/dagster dev -w workspace.yaml

lint: $(VENV)/.installed-dev
	$(BIN)/ruff check --output-format concise .
	$(BIN)/ruff format --check .

format: $(VENV)/.installed-dev
	$(BIN)/ruff check --fix --output-format concise .
	$(BIN)/ruff format .

types: $(VENV)/.installed-dev
	$(BIN)/pyright

imports: $(VENV)/.installed-dev
	$(BIN)/lint-imports

check: lint types imports

bench: $(VENV)/.installed-dev
	$(BIN)/python -m stereo_spot_dagster_tests.benchmarks bench-output

# The CloudFormation templates of infra/, checked by cdk-nag. Needs node, but no account.
synth: $(VENV)/.installed-infra
	cd infra && npx --yes aws-cdk@2.1148.1 synth --quiet --app "$(abspath $(BIN))/python app.py"

# Run on the oldest Python we support: what resolves there has wheels for the others too.
lock: $(VENV)/.installed-dev
	$(BIN)/python -m pip freeze --exclude-editable --exclude torch --exclude sympy --exclude mpmath | sed '/^#/d' > constraints.txt

$(VENV)/bin/python:
	@test -n "$(PYTHON)" || { echo "Python 3.11, 3.12 or 3.13 is needed. Install one, or say: make PYTHON=/path/to/python"; exit 1; }
	$(PYTHON) -m venv $(VENV)

$(VENV)/.installed: pyproject.toml constraints.txt | $(VENV)/bin/python
	$(PIP) --editable .
	touch $@

$(VENV)/.installed-dev: pyproject.toml constraints.txt | $(VENV)/bin/python
	$(PIP) --editable ".[dev,models,aws,infra]"
	touch $@ $(VENV)/.installed

$(VENV)/.installed-infra: pyproject.toml constraints.txt infra/requirements.txt | $(VENV)/bin/python
	$(PIP) --editable ".[infra]"
	touch $@

clean:
	rm -rf $(VENV) demo-output bench-output
