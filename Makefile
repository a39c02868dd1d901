# Each target sets up what it needs; PYTHON may name another interpreter (3.11 or newer).
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
# Stages call `tropho` and `python` by name, so the environment's own come first.
export PATH := $(abspath $(BIN)):$(PATH)

.DEFAULT_GOAL := help
.PHONY: help setup repository demo test test-slow lint docs pages pictures bench notebooks mutants reliability soak

help: ## Show this list
	@awk -F':.*## ' '/^[a-z-]+:.*## /{printf "  make %-11s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(READY) ## Create .venv and install Tropho with exact versions

# grad-cam asks for opencv-python, which overwrites the files of opencv-python-headless: all else that it needs is there.
# Gradio asks for an older pillow and tomlkit than constraints.txt has, and works with these.
GRADIO := gradio gradio_client groovy hf-gradio safehttpx semantic-version brotli pydub python-multipart httpx httpcore pytz
$(READY): pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Tropho needs Python 3.11 or newer; set PYTHON=python3.12, say.")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --constraint constraints.txt torch torchvision
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dev]'
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --no-deps grad-cam ttach
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --no-deps $(GRADIO) 'audioop-lts; python_version >= "3.13"'
	@touch $@

# DVC works in git repositories alone, and a project unpacked from a ZIP is none.
repository:
	@[ -e .git ] || git rev-parse --git-dir > /dev/null 2>&1 || { echo "make: this folder is no git repository, which DVC\
 needs; run \`git init && git add -A && git commit -m start\`, then make again." >&2; exit 1; }

demo: repository $(READY) ## Run both demo tasks from raw files to submission and report (about 4 minutes on 2 cores)
	$(BIN)/dvc repro
	@$(BIN)/tropho status

# One thread a process: torch's threads wait for each other by spinning when there are more of them than cores.
# A file's tests go to one worker, which makes what they share once; conftest.py puts the longest files first.
PYTEST := OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n logical --dist loadfile --no-loadscope-reorder

test: $(READY) ## Run the tests, on all cores
	$(PYTEST)

test-slow: $(READY) ## Run the tests marked slow, which `make test` leaves out
	$(PYTEST) -m slow

lint: $(READY) ## Check format, style, docstrings, complexity, words and types
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/python -m pytest -q tests/test_words.py tests/test_docs.py tests/test_structure.py
	$(BIN)/mypy

# The site's theme prints that it gets no fixes after May 2027; docs/design.md says so, too.
docs: $(READY) ## Build the documentation site into site/
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict
	@echo "Open site/index.html in a browser."

pages: $(READY) ## Write docs/settings.md and docs/messages.md from the code
	$(BIN)/python tools/reference_pages.py

pictures: docs ## Take the pictures of docs/pictures from the finished demo, by Chromium
	$(BIN)/python tools/pictures.py

bench: $(READY) ## Measure speed (see benchmarks/)
	for script in benchmarks/*_speed.py; do echo "== $$script"; $(BIN)/python $$script || exit 1; done

notebooks: $(READY) ## Run the notebooks and store their outputs
	OMP_NUM_THREADS=1 $(BIN)/python notebooks/store_outputs.py

mutants: $(READY) ## Change 60 operators, one at a time, and count how many the unit tests notice
	$(BIN)/python benchmarks/mutants.py --seed $(or $(SEED),commit)

reliability: $(READY) ## Run the tests that plant faults, and write what came of them to docs/reliability.md
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n logical -m fault --junitxml=.cache/faults.xml
	$(BIN)/python benchmarks/reliability_page.py .cache/faults.xml

soak: $(READY) ## Kill the demos at random moments and compare (up to 2 hours; a rerun goes on where it stopped)
	$(BIN)/python benchmarks/soak.py run .cache/soak
	$(BIN)/python benchmarks/soak.py page .cache/soak
