# The calls that others rely on; `make help` lists them.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

BIN := .venv/bin
PINNED := requirements.txt requirements-dev.txt
DEBIAN := debian-packages.txt debian-packages.sh
NPM_CLIENT := tests/clients/package.json tests/clients/package-lock.json tests/clients/.npmrc
STAMP := .venv/.made-from
PORT ?= 8080
ONLY ?=

.PHONY: help setup run test lint types layers docs web tables package conformance bench e2e screenshots fresh lock

help: ## list these targets
	@sed -nE 's/^([a-z0-9]+):.*## (.*)/\1\t\2/p' Makefile | expand -t 14

setup: ## make .venv/ with all that running and testing need; instant when nothing changed
	@digest=$$(cat $(PINNED) $(NPM_CLIENT) $(DEBIAN) pyproject.toml | sha256sum); \
	if [ "$$digest" = "$$(cat $(STAMP) 2>/dev/null || true)" ]; then exit 0; fi; \
	[ -x $(BIN)/pip ] || bash setup.sh; \
	$(BIN)/pip install --quiet --disable-pip-version-check --requirement requirements.txt --requirement requirements-dev.txt; \
	$(BIN)/pip install --quiet --disable-pip-version-check --no-build-isolation --no-deps --editable .; \
	mkdir -p build/clients; cp $(NPM_CLIENT) build/clients; \
	npm ci --prefix build/clients --silent --no-audit --no-fund || echo "npm is missing or failed: the test of the npm client will skip."; \
	bash debian-packages.sh; \
	echo "$$digest" > $(STAMP)
	@bash web/build.sh

run: setup ## start the server on this machine (PORT=8080) and say what to open
	@$(BIN)/nhipcau demo --data build/demo --port $(PORT)

test: setup lint types layers docs web ## lint and all tests; the closing line is pytest's
	@$(BIN)/python -m pytest -n auto --maxprocesses 4 --dist loadfile

lint: setup ## code style
	@$(BIN)/ruff check
	@$(BIN)/ruff format --check

types: setup ## static types
	@$(BIN)/mypy

layers: setup ## who may import whom
	@$(BIN)/lint-imports

web: setup ## style, types and tests of the app in the browser
	@if [ -d web/node_modules ]; then cd web && npm run --silent lint && npm run --silent test; else echo "The app's own tests skip: there is no npm."; fi

docs: setup ## build the documentation into build/docs, warnings are errors
	@$(BIN)/sphinx-build --quiet --fail-on-warning --keep-going docs build/docs

tables: setup ## compile the tables of FHIR R4 again from the official package
	@$(BIN)/python -m profiles.compile

package: setup ## make the FHIR package of the telehealth profiles in build/
	@$(BIN)/nhipcau package build profiles/telehealth --output build/nhipcau.telehealth.tgz

conformance: setup ## print `suite: passed/total` for each public suite
	@$(BIN)/python -m tests.conformance

bench: setup ## print `name: value unit` for each benchmark (ONLY=name for one)
	@$(BIN)/python -m bench $(ONLY)

e2e: setup ## the browser tests alone
	@$(BIN)/python -m pytest tests/e2e

screenshots: setup ## pictures of every page of the app, into docs/screenshots
	@$(BIN)/python -m tests.e2e.screenshots

fresh: ## clone HEAD into a temporary folder and test there, as a newcomer would
	@folder=$$(mktemp -d); trap 'rm -rf "$$folder"' EXIT; \
	shared="$${NHIPCAU_SHARED:-$$(realpath ../shared)}"; \
	git clone --quiet . "$$folder/nhipcau"; \
	NHIPCAU_SHARED="$$shared" $(MAKE) -C "$$folder/nhipcau" test

LOCK := $(BIN)/pip-compile --quiet --allow-unsafe --generate-hashes --strip-extras \
	--no-emit-index-url --no-emit-find-links --no-emit-trusted-host

lock: setup ## pin the newest releases again, on the oldest Python supported (that of Debian 12)
	@$(BIN)/pip install --quiet --disable-pip-version-check pip-tools
	@export CUSTOM_COMPILE_COMMAND="make lock"; \
	$(LOCK) --upgrade --output-file requirements.txt pyproject.toml; \
	$(LOCK) --upgrade --output-file requirements-dev.txt requirements-dev.in
