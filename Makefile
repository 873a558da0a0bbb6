# Each verb brings what it needs: nothing has to be run before it. scripts/setup.py does nothing when nothing changed.
PYTHON ?= python3
READY := @$(PYTHON) scripts/setup.py
BIN := .venv/bin

.DEFAULT_GOAL := help
.PHONY: help setup demo test test-platforms check docs bench lock release

help:
	@echo "make setup   prepare this checkout: .venv, the console's files, the client's calls, what the tests need (a browser, Java)"
	@echo "make demo    a running marketplace on this machine"
	@echo "make test    everything that must hold, except what needs another system"
	@echo "make test-platforms  refunds on a real Vendure and a real Medusa, which npm brings into a cache"
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

test:
	$(READY) --test-tools=require
	@$(BIN)/pytest -n 2 --dist loadgroup --ignore=tests/platforms/vendure --ignore=tests/platforms/medusa

test-platforms:
	$(READY)
	@$(BIN)/pytest tests/platforms -s --durations=10

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
