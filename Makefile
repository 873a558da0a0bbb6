# Each verb brings what it needs: nothing has to be run before it. scripts/setup.py does nothing when nothing changed.
PYTHON ?= python3
READY := @$(PYTHON) scripts/setup.py
BIN := .venv/bin

.DEFAULT_GOAL := help
.PHONY: help setup demo test test-platforms test-all check docs bench lock release

help:
	@echo "make setup   prepare this checkout: .venv, the console's files, the client's calls, what the tests need (a browser, Java)"
	@echo "make demo    a running marketplace on this machine"
	@echo "make test    everything that must hold, except what needs another system"
	@echo "make test-platforms  refunds on a real Vendure and a real Medusa, which npm brings into a cache"
	@echo "make test-all   both of them in one run"
	@echo "make check   lint, format, types, contracts between the layers"
	@echo "make docs    the documentation as a site, in build/site; a broken link fails"
	@echo "make bench   speed against its floors and peers"
	@echo "make release the last commit as wheel, sdist and SBOM, in dist"
	@echo "make lock    write requirements.lock and package-lock.json anew (LOCK_OPTIONS=--upgrade for newer releases)"

setup:
	$(READY) --test-tools=offer

demo:
	$(READY)
	@$(BIN)/jitui demo

# Three processes keep two cores busy: many tests wait, for a server to start or a time to pass.
PYTEST := $(BIN)/pytest -n 3 --dist loadgroup

test:
	$(READY) --test-tools=require
	@$(PYTEST) --ignore=tests/platforms/vendure --ignore=tests/platforms/medusa

# JITUI_TEST_ROUNDS=200 races refunds against shipments that often, where a run has twelve. -s prints the outcomes.
test-platforms:
	$(READY)
	@$(BIN)/pytest tests/platforms -s --durations=10

test-all:
	$(READY) --test-tools=require
	@$(PYTEST)

check:
	$(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache --no-logo

docs:
	$(READY)
	@$(BIN)/zensical build --clean --strict

bench:
	$(READY)
	@$(BIN)/jitui bench

lock:
	$(READY)
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header \
	  --no-emit-index-url --no-emit-find-links --group dev $(LOCK_OPTIONS) --output-file requirements.lock pyproject.toml
	npm install --package-lock-only --ignore-scripts

release:
	$(READY)
	$(BIN)/python scripts/release.py
