# The verbs of the project; the same ones run in continuous integration. `make help` lists them.
PYTHON ?= python3
DEMO := .venv/demo
DEV := .venv/dev
# A variable of its own, because commas would end an argument of $(or).
EIGHT_PAIRS := --pairs deploy/local/footage --limit 8 --out runs/evaluate --systems proposed-1,proposed-2,proposed-absent,baseline,dsin-capacity,dwsic-capacity,bpg-capacity,jpeg2000-capacity,bpg-ldpc
# What `make bench` runs where ARGS name no other.
BENCHES := "engine --rounds 20" "live" "agree" "stale" "load --rate 5" "load --rigs 8 --rate 5" "load --rigs 64 --rate 1"
PAGE_TESTS := $(shell find tests -name '*.test.js' -o -name '*.test.mjs')
PIP_FLAGS := --disable-pip-version-check --progress-bar on

.DEFAULT_GOAL := help
.PHONY: help demo secure test lint audit page extras newest oldest proto metrics kitti train evaluate bench bench-peers fuzz clean install-edge install-emulator install-center

help: ## list the verbs
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 20

demo: $(DEMO)/.ready ## two cameras, two noisy links, one center, one page (Ctrl-C stops everything)
	@exec $(DEMO)/bin/vergence demo $(ARGS)

secure: $(DEMO)/.ready ## the demo in compose over mutual TLS and tokens, by certificates in deploy/certs
	@test -d deploy/certs || $(DEMO)/bin/vergence certs deploy/certs
	@VERGENCE_USER=$$(id -u):$$(id -g) docker compose -f compose.yaml -f deploy/compose.mtls.yaml up $(ARGS)

test: lint ## lint, types and every test
	$(DEV)/bin/python -m pytest -n 2 --dist loadfile $(ARGS)

lint: $(DEV)/.ready ## ruff, mypy --strict, bandit, buf lint and buf breaking against the newest tag
	$(DEV)/bin/ruff check .
	$(DEV)/bin/ruff format --check .
	$(DEV)/bin/mypy
	$(DEV)/bin/bandit --quiet --configfile pyproject.toml --recursive .
	$(DEV)/bin/buf lint proto
	.ci/breaking

audit: $(DEV)/.ready ## known vulnerabilities of the libraries in the development environment
	$(DEV)/bin/python .ci/audit

page: ## the tests of the page's scripts, in node
	@if [ -z "$(PAGE_TESTS)" ]; then echo "the page's scripts have no tests"; \
	elif ! command -v node >/dev/null; then echo "node is not installed: the page's scripts stay untested"; \
	else node --test $(PAGE_TESTS); fi

extras: $(DEV)/.ready ## each extra, installed from a wheel into an environment of its own
	.ci/extras

newest: $(DEV)/.ready ## the services' tests under the newest Python at hand
	@newest=$$(.ci/newest); if [ -n "$$newest" ]; then .ci/suites "$$newest"; else echo "no newer Python is at hand"; fi

oldest: $(DEV)/.ready ## the services' tests with the oldest libraries that pyproject.toml allows
	.ci/suites $(DEV)/bin/python --oldest

proto: $(DEV)/.ready ## generate the Python side of the contract
	$(DEV)/bin/python proto/generate.py

metrics: $(DEV)/.ready ## docs/metrics.md, docs/limits.md, Grafana's dashboards and the table of SECURITY.md, from the code
	$(DEV)/bin/python -m deploy.observe.catalogue
	$(DEV)/bin/python -m deploy.observe.boards
	$(DEV)/bin/python -m deploy.observe.limits
	$(DEV)/bin/python -m deploy.observe.doors

kitti: $(DEV)/.ready ## KITTI Stereo as the paper split it: make kitti ARGS="--archives DOWNLOADS --out kitti"
	$(DEV)/bin/python -m jscc.kitti $(ARGS)

train: $(DEV)/.ready ## train a codec: make train ARGS="--pairs FOLDER --out runs/first"
	$(DEV)/bin/python -m jscc.train $(ARGS)

evaluate: $(DEV)/.ready ## every system side by side: make evaluate ARGS="--pairs FOLDER --out DIR"
	$(DEV)/bin/python -m jscc.evaluate $(or $(ARGS),$(EIGHT_PAIRS))

fuzz: $(DEV)/.ready ## a million inputs for every parser of outside bytes: make fuzz ARGS="hello --seconds 60"
	nice $(DEV)/bin/python -m tests.fuzz $(ARGS)

bench: $(DEMO)/.ready ## speed, latency and memory of the whole system on this machine, in ten minutes
ifdef ARGS
	$(DEMO)/bin/vergence bench $(ARGS)
else
	@for words in $(BENCHES); do echo; echo "vergence bench $$words"; \
	$(DEMO)/bin/vergence bench $$words || failed=1; done; exit $${failed:-0}
endif

bench-peers: $(DEV)/.ready ## the center beside Triton, Ray Serve, LitServe, BentoML and plain gRPC, same decoder and cores
	$(DEV)/bin/python -m benchmarks.peers $(ARGS)

install-edge: ## a camera of this host as a systemd service, as root: make install-edge VIEW=left
	@PYTHON=$(PYTHON) deploy/systemd/install.sh edge $(VIEW)

install-emulator: ## the channel emulator as a systemd service, as root
	@PYTHON=$(PYTHON) deploy/systemd/install.sh emulator

install-center: ## the center as a systemd service, as root
	@PYTHON=$(PYTHON) deploy/systemd/install.sh center

clean: ## remove the virtual environments
	rm -rf .venv

# The demo needs no torch; it installs in well under a minute.
$(DEMO)/.ready: pyproject.toml
	@echo "installing the services into $(DEMO) (no torch)"
	@$(PYTHON) -m venv $(DEMO)
	@$(DEMO)/bin/pip install $(PIP_FLAGS) --editable '.[edge,emulator,center,certs]'
	@touch $@

$(DEV)/.ready: pyproject.toml constraints.txt
	@echo "installing the development environment into $(DEV)"
	@$(PYTHON) -m venv $(DEV)
	@$(DEV)/bin/pip install $(PIP_FLAGS) --constraint constraints.txt --editable '.[dev]'
	@touch $@
