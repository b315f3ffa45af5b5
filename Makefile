# Tallygate's commands: `make help` lists them.
PYTHON ?= python3
# The dev container has its environment outside of the workspace, which it shares with the host.
VENV ?= .venv
BIN := $(VENV)/bin
UV := $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
	--custom-compile-command 'make lock'
ARGS ?=
JOBS ?=
VERSION = $(shell sed -n 's/^__version__ = "\(.*\)"$$/\1/p' app/__init__.py)

.PHONY: help install run dev test test-all test-clients test-containers test-kubernetes check faults format bench lock kind docs messages clean
.DEFAULT_GOAL := help

help: ## List these commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-15s %s\n", $$1, $$2}' Makefile

install: $(VENV)/dev.done ## Install what the other commands need; each of them does it by itself

run: $(VENV)/run.done ## Run the service at http://127.0.0.1:8000, on its own Valkey, data in ./data
	@exec $(BIN)/python -m app $(ARGS)

dev: $(VENV)/dev.done ## Run it with reload; PROVIDERS=1: with an OpenID provider and a WeChat to sign in with
	@exec $(if $(PROVIDERS),$(BIN)/python -m dev) $(BIN)/uvicorn app.main:app --reload --reload-dir app --reload-include '*.html' \
		--reload-include '*.css' --reload-include '*.js' --reload-include '*.mo' --reload-include '*.svg' \
		--reload-include '*.txt' --no-access-log --no-proxy-headers --timeout-graceful-shutdown 5 $(ARGS)

# Empty is off: without cached bytecode pytest rewrites all tests in each worker, and each start compiles the application.
test test-all faults: export PYTHONDONTWRITEBYTECODE =

# Half of a test's time is waiting: four processes keep two cores busy.
test: $(VENV)/dev.done ## Run the tests but the slow ones; ARGS=tests/counter: some of them; JOBS=0: in one process
	@$(BIN)/pytest --numprocesses $(or $(JOBS),4) -m "not slow" $(ARGS)

# A test that waits for a browser or a process may miss its deadline on a busy machine: it is repeated once, and named.
test-all: $(VENV)/dev.done ## Run all tests, with coverage: what CI runs
	@$(BIN)/coverage erase
	@$(BIN)/coverage run -m pytest --reruns 1 -raR --numprocesses $(or $(JOBS),auto) --maxprocesses 4 $(ARGS)
	@$(BIN)/coverage combine --quiet && $(BIN)/coverage report $(if $(ARGS),--fail-under=0)

test-clients: $(VENV)/dev.done ## Sign in to relying parties as they are (npm, Go, Apache, Chromium; KUBE_BIN: an API server)
	@$(BIN)/pytest tests/relying_parties tests/browser/test_single_page_app.py $(ARGS)

faults: $(VENV)/dev.done ## Run the fault tests in full: kill, cut, fail over, for some ten minutes
	@TALLYGATE_TEST_FAULTS=full $(BIN)/pytest -m faults -o faulthandler_timeout=1800 $(ARGS)

test-containers: $(VENV)/dev.done ## Build and run the images, the compose file and the dev container (needs an engine)
	@TALLYGATE_TEST_CONTAINERS=1 $(BIN)/pytest -o faulthandler_timeout=1800 tests/containers $(ARGS)

test-kubernetes: $(VENV)/dev.done ## Apply manifests and chart to a real API server (KUBE_BIN: a folder with kube-apiserver and etcd)
	@$(BIN)/pytest tests/kubernetes $(ARGS)

check: $(VENV)/dev.done ## Check style, types, the floors, dependencies, scripts, Dockerfile, Compose, workflows
	$(BIN)/ruff format --check
	$(BIN)/ruff check
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/deptry .
	$(firstword $(wildcard $(BIN)/shellcheck) shellcheck) .ci/run deploy/*.sh
	$(BIN)/hadolint Dockerfile
	$(BIN)/check-jsonschema --builtin-schema vendor.compose-spec compose.yaml deploy/compose.sentinel.yaml .devcontainer/compose.yaml
	$(BIN)/check-jsonschema --builtin-schema vendor.github-workflows .github/workflows/*.yml

format: $(VENV)/dev.done ## Put the code into its form
	$(BIN)/ruff format
	$(BIN)/ruff check --fix

bench: $(VENV)/dev.done .venv-bench/done ## Measure the service beside its peers, and write docs/benchmarks.md (needs wrk)
	@$(BIN)/python -m bench $(ARGS)

lock: $(VENV)/dev.done ## Lock the dependencies anew (UPGRADE=1: to their newest versions)
	$(UV) $(if $(UPGRADE),--upgrade) pyproject.toml --output-file requirements/run.txt
	$(UV) $(if $(UPGRADE),--upgrade) --extra tracing --constraints requirements/run.txt pyproject.toml --output-file requirements/tracing.txt
	$(UV) $(if $(UPGRADE),--upgrade) requirements/dev.in --output-file requirements/dev.txt
	$(UV) $(if $(UPGRADE),--upgrade) requirements/bench.in --output-file requirements/bench.txt

kind: ## Run the overlay dev in a cluster of its own on this machine (needs docker, kind, kubectl)
	docker build --tag tallygate:$(VERSION) .
	kind get clusters | grep -qx tallygate || kind create cluster --name tallygate
	kind load docker-image --name tallygate tallygate:$(VERSION)
	kubectl --context kind-tallygate apply --kustomize k8s/overlays/dev
	kubectl --context kind-tallygate --namespace tallygate rollout status deployment/tallygate --timeout 180s
	@echo "kubectl --context kind-tallygate --namespace tallygate port-forward service/tallygate 8000:80"

docs: $(VENV)/dev.done ## Write docs/settings.md from the settings
	$(BIN)/python -m app settings > docs/settings.md

messages: $(VENV)/dev.done ## Collect the sentences of the pages, and compile the translations
	$(BIN)/pybabel --quiet extract --mapping babel.cfg --keywords N_ --no-location --omit-header --output $(VENV)/messages.pot .
	$(BIN)/pybabel --quiet update --input-file $(VENV)/messages.pot --output-dir app/locale --no-fuzzy-matching --ignore-obsolete --ignore-pot-creation-date
	$(BIN)/pybabel --quiet compile --directory app/locale

clean: ## Remove the environments and what tools left (never ./data)
	rm -rf .venv .venv-bench dev/oidc_provider/node_modules .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache .coverage*

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "Tallygate needs Python 3.11 or newer: make PYTHON=python3.13 $(MAKECMDGOALS)" >&2; exit 2; }
	@$(PYTHON) -m venv $(VENV) || \
		{ rm -rf $(VENV); echo "Python's venv module is missing: apt-get install python3-venv" >&2; exit 2; }

# pip's words, shortened: a line for every ten packages. Its errors are shown whole.
define install
	@echo "Installing some $$(grep -c '==' $<) packages into $(VENV), once. This takes a minute or two."
	@{ $(BIN)/python -m pip install --disable-pip-version-check --require-hashes --progress-bar off -r $< || \
		touch $(VENV)/failed; } | awk '/^Collecting/ && ++n % 10 == 0 { print "  " n " found"; fflush() } \
		/^Installing/ { print "  unpacking them"; fflush() }'
	@! rm $(VENV)/failed 2>/dev/null
	@touch $@
endef

$(VENV)/run.done: requirements/run.txt | $(VENV)/bin/python
	$(install)

$(VENV)/dev.done: requirements/dev.txt | $(VENV)/bin/python
	$(install)
	@touch $(VENV)/run.done

.venv-bench/done: requirements/bench.txt
	@$(PYTHON) -m venv .venv-bench
	@.venv-bench/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/bench.txt
	@touch $@
