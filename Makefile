# spot-training-operator: `make help` lists the targets.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.ONESHELL:

# Nothing run on this machine may ask a cloud's metadata service or a model hub.
export AWS_EC2_METADATA_DISABLED := true
export HF_HUB_OFFLINE := 1
# uv trusts what this machine trusts (a company's own authority, say), as pip and apt do.
export UV_SYSTEM_CERTS := 1
# One BLAS thread: the demo's arithmetic is compared bit for bit.
export OPENBLAS_NUM_THREADS := 1
export OMP_NUM_THREADS := 1

PYTHON ?= python3
BIN := .venv/bin
# Processes that share the tests out by file; those of the local cluster stay in one of them, the
# first, so that what waits for kubelets runs beside what computes.
WORKERS ?= 2
# Sockets' paths may have 108 bytes: the tests' folders have a short name of this checkout.
FOLDERS := /tmp/st-$(shell echo $(CURDIR) | cksum | cut -c1-6)
PYTEST := $(BIN)/pytest -n $(WORKERS) --dist loadscope --no-loadscope-reorder --basetemp=$(FOLDERS)
SPOT_CACHE ?= $(HOME)/.cache/spot-training-operator
export SPOT_CACHE
# What a checkout imports; a change of any of these makes the environment again.
LOCKS := requirements/dev.txt pyproject.toml operator/pyproject.toml trainer-sidecar/pyproject.toml trainer-sdk/pyproject.toml

##@ Use
.PHONY: help
help: ## list the targets
	@awk 'BEGIN {FS = ":.*## "} /^##@/ {printf "\n%s\n", substr($$0, 5)} /^[a-zA-Z0-9_-]+:.*## / {printf "  %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: demo
demo: env images ## a training job loses its nodes on a real local cluster, and finishes exactly (cold < 30 min, warm < 6 min)
	$(BIN)/python hack/demo

.PHONY: doctor
doctor: ## say what this machine lacks
	$(PYTHON) hack/toolchain doctor

##@ Develop
.PHONY: env
env: .venv/.locked ## the Python environment, from hash-pinned requirements

.venv/.locked: $(LOCKS)
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv || { \
	  echo "python3-venv is missing; installing what the toolchain needs"; \
	  $(PYTHON) hack/toolchain packages; rm -rf .venv; $(PYTHON) -m venv .venv; }
	@test -x $(BIN)/uv || $(BIN)/pip install -q --require-hashes --no-deps -r requirements/uv.txt
	$(BIN)/uv pip sync -q requirements/dev.txt
	$(BIN)/uv pip install -q --no-deps --no-build-isolation -e operator -e trainer-sidecar -e trainer-sdk
	touch $@

.PHONY: env-torch
env-torch: .venv/.torch ## torch, transformers and lightning on top of it (5.4 GB; only the tests of trainers need them)

# `uv pip sync` above takes them away again, so this stamp is older than the other one then.
.venv/.torch: .venv/.locked requirements/torch.txt
	$(BIN)/uv pip install -q --require-hashes -r requirements/torch.txt
	touch $@

.PHONY: fmt
fmt: env ## format and fix what can be fixed
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

.PHONY: gen
gen: env ## write the generated files (CRDs, docs/endings.md, docs/values.md)
	$(BIN)/python hack/gen_crds.py
	$(BIN)/python hack/gen_endings.py
	$(BIN)/python hack/gen_values.py

.PHONY: lock
lock: env ## resolve the dependencies again into requirements/
	$(BIN)/python hack/lock.py

##@ Test
.PHONY: static
static: env ## format, lint, types, layers
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache

.PHONY: check
check: static ## static checks, unit and property tests (< 2 min)
	$(PYTEST) -q tests/unit tests/properties

.PHONY: test
test: env-torch toolchain images static ## every tier, on real parts (warm < 45 min, cold < 75 min)
	$(PYTEST) tests/e2e tests/integration tests/frameworks tests/simulation tests/campaigns tests/benchmarks tests/unit tests/properties

.PHONY: frameworks
frameworks: env-torch toolchain ## training with torch, Hugging Face, Lightning: interrupted equals uninterrupted, bit for bit (< 4 min)
	$(PYTEST) -q tests/frameworks

.PHONY: simulation
simulation: env ## the operator's code on one clock and one seed, crashed after every write
	$(PYTEST) -q tests/simulation

.PHONY: integration
integration: env toolchain ## a real API server and a real object store, no kubelets
	$(PYTEST) -q tests/integration

.PHONY: e2e
e2e: env-torch images ## the scenarios on the local cluster
	$(BIN)/pytest -q tests/e2e

.PHONY: campaign
campaign: env toolchain ## NAME=kill, outage, corruption, machine or simulation: the full campaign or what is left of it; the report goes to campaigns/$(NAME)
	nice -n 10 $(BIN)/python hack/campaign $(NAME) $(ARGS)

.PHONY: bench
bench: env-torch toolchain ## NAME=checkpoint: measures; the report goes to benchmarks/$(NAME) (< 20 min, on a quiet machine)
	$(BIN)/python hack/bench $(NAME) $(ARGS)

##@ Local cluster
.PHONY: toolchain
toolchain: ## build what the local cluster is made of, once, into $(SPOT_CACHE)
	$(PYTHON) hack/toolchain all

.PHONY: images
images: toolchain ## build the operator, sidecar and example images, when their inputs changed
	$(PYTHON) hack/toolchain images

.PHONY: cluster-up
cluster-up: env toolchain ## start the local cluster; NODES="spot=2,uml=1": with a node that has its own kernel
	$(BIN)/python hack/cluster up $(if $(NODES),--nodes $(NODES))

.PHONY: cluster-down
cluster-down: env ## end the local cluster and all it left
	$(BIN)/python hack/cluster down
