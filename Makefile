# Two commands do everything: make book, make test.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: book published teach labs pdf test install lock lint format clean

book: install ## train the demo, execute every notebook, render, print the path of the first page
	$(BIN)/gazebook book

published: install ## render the published results (real images), without data and without training
	$(BIN)/gazebook book --profile published

teach: published ## slides, labs and the cheat sheet, from the published results; prints their folder
	$(BIN)/python book/course.py all

labs: install ## the labs alone: with gaps for students, solved for the teacher
	$(BIN)/python book/course.py labs

pdf: published ## the whole book as one PDF; prints its path
	$(BIN)/python book/course.py pdf

test: install ## all tests, on three processes: many of them wait for others
	$(BIN)/python -m pytest --numprocesses 3

install: .venv/installed ## the locked environment in .venv

.venv/installed: requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; v = sys.version_info[:2]; sys.exit(0 if (3, 11) <= v < (3, 14) else "gazebook needs Python 3.11 to 3.13, this is %d.%d; run: make PYTHON=python3.12 ..." % v)'
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@echo "installing the locked environment (the first time about 3 GB are downloaded)"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check uv
	@$(BIN)/uv pip install --python $(BIN)/python --require-hashes --requirement requirements.lock
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --editable .
	@touch $@

lock: install ## resolve the newest versions that pyproject.toml allows into requirements.lock
	$(BIN)/uv pip compile --universal --python-version 3.11 --extra dev --extra pretrained --extra runtimes --upgrade --generate-hashes --quiet \
		--no-header --no-annotate --no-emit-index-url pyproject.toml --output-file requirements.lock

lint: install
	$(BIN)/ruff check . && $(BIN)/ruff format --check .

format: install
	$(BIN)/ruff check --fix . && $(BIN)/ruff format .

clean: ## remove what is generated; the working ledger in results/ stays
	rm -rf book/_build book/chapters book/_static/mathjax
