# The verbs people type. `make help` lists them.

NAME ?= quick
# What carries the nodes: netns (the default) or docker.
RUNTIME ?=
# One of the scales that the experiment's file names; without it, the file as it stands.
SCALE ?=
ARGS ?=

HOST   := $(shell rustc -vV | sed -n 's/^host: //p')
BIN    := target/$(HOST)/release
# The programs are started from there, wherever cargo is configured to build.
export CARGO_TARGET_DIR := $(CURDIR)/target
# Nodes and harness are static, so that they run in any container and start fast.
HOSTUP := $(shell echo $(HOST) | tr 'a-z-' 'A-Z_')
STATIC := CARGO_TARGET_$(HOSTUP)_RUSTFLAGS="-C target-feature=+crt-static -C relocation-model=static"
CARGO  ?= cargo

.DEFAULT_GOAL := help
.PHONY: help build experiment compare nightly paper test test-kernel fuzz check bench fmt lint doc deny clean doctor

help: ## this list
	@awk -F':.*## ' '/^[a-z-]+:.*## / {sub(/\$$\(BIN\)/, "$(BIN)"); printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

build: ## the harness and the three nodes, static, in $(BIN)
	@$(STATIC) $(CARGO) build --release --locked --target $(HOST) -p peerbed -p peerbed-edge -p peerbed-control -p peerbed-peer

experiment: build ## run experiments/NAME.yaml: make experiment NAME=quick (RUNTIME=docker: in containers; SCALE=ci: small)
	@$(BIN)/peerbed run '$(subst ','\'',$(NAME))' $(if $(RUNTIME),--runtime $(RUNTIME)) $(if $(SCALE),--scale $(SCALE)) $(ARGS)

# Two versions of the nodes: commits, or `.` for the files as they are.
BASE ?=
HEAD ?= .
ARM  ?=

compare: build ## two commits by pairs of runs: make compare NAME=quick ARM=hybrid BASE=main HEAD=.
	@$(BIN)/peerbed compare '$(BASE)' '$(HEAD)' --experiment '$(subst ','\'',$(NAME))' $(if $(ARM),--arm '$(ARM)') \
	  $(if $(SCALE),--scale $(SCALE)) $(if $(RUNTIME),--runtime $(RUNTIME)) $(ARGS)

SUITE ?= nightly

nightly: build ## the suite of a night against its pinned reference, with controls; history and page in results/history/ (SUITE=…)
	@$(BIN)/peerbed nightly '$(subst ','\'',$(SUITE))' $(if $(RUNTIME),--runtime $(RUNTIME)) $(ARGS)

# The experiments that are named after the paper's measurements.
PAPER := speed-by-source efficiency-by-copies efficiency-by-peers-returned pause-by-size providers regions lan-copies as-balance

paper: build ## the paper's measurements, all of them (a quarter of an hour), then docs/paper.md from their claims
	@for name in $(PAPER); do $(BIN)/peerbed run $$name $(if $(SCALE),--scale $(SCALE)) $(ARGS) || test $$? = 1 || exit 1; done
	@$(BIN)/peerbed claims $(PAPER) --output docs/paper.md

doctor: build ## what this machine can do, and what is missing (RUNTIME=docker: of a Docker engine)
	@$(BIN)/peerbed doctor $(if $(RUNTIME),--runtime $(RUNTIME))

# Ends well if Python has what the tests of the tables need.
HAS_PYTHON := "$${PEERBED_PYTHON:-python3}" -c 'import importlib.util as u; \
  raise SystemExit(not all(u.find_spec(m) for m in ("duckdb", "pandas", "polars", "pyarrow")))' 2>/dev/null

test: build ## every test; those in containers where a Docker engine answers, those of tables where Python has DuckDB, pandas and Polars, of pages where there is Chromium
	@$(BIN)/peerbed doctor --runtime docker >/dev/null 2>&1 || echo "NOT RUN: the tests in containers, as no Docker engine can \
	carry them: \`make doctor RUNTIME=docker\` says why, PEERBED_REQUIRE_DOCKER=1 makes it an error"
	@$(HAS_PYTHON) || echo "NOT RUN: the tests of tables in DuckDB, pandas and Polars, as Python lacks them: README.md says \
	how to install them, PEERBED_REQUIRE_PYTHON=1 makes it an error"
	@command -v "$${PEERBED_BROWSER:-chromium}" >/dev/null || echo "NOT RUN: the tests of reports in a browser, as there is no chromium; \
	PEERBED_BROWSER names another, PEERBED_REQUIRE_BROWSER=1 makes it an error"
	@if $(CARGO) nextest --version >/dev/null 2>&1; then \
	  PEERBED_BIN="$(CURDIR)/$(BIN)" $(CARGO) nextest run --workspace --locked $(ARGS); \
	else \
	  PEERBED_BIN="$(CURDIR)/$(BIN)" $(CARGO) test --workspace --locked $(ARGS); \
	fi

test-kernel: build ## the tests of link engines on Debian's kernel, which has netem, in an emulated machine (some minutes)
	@harness/engines/kernel/run "$(BIN)" "$$($(STATIC) $(CARGO) build --release --locked --target $(HOST) -p peerbed-engines --test engines \
	  --message-format json 2>/dev/null | sed -n 's/.*"executable":"\([^"]*engines[^"]*\)".*/\1/p' | tail -n 1)" $(or $(ARGS),tc::)

SECONDS ?= 10
fuzz: ## every decoder and machine, fed what nobody expects, each for SECONDS (10) seconds; stable compiler, a C++ compiler
	@fuzz/run $(SECONDS) $(ARGS)

bench: build ## the figures of docs/figures.md, measured here and now; table in results/bench/
	@$(BIN)/peerbed bench $(ARGS)

check: fmt lint doc deny ## format, clippy, rustdoc, licences

fmt:
	@$(CARGO) fmt --all --check

lint:
	@$(CARGO) clippy --workspace --all-targets --locked -- -D warnings

doc:
	@RUSTDOCFLAGS="-D warnings" $(CARGO) doc --workspace --no-deps --document-private-items --locked --quiet

deny:
	@if $(CARGO) deny --version >/dev/null 2>&1; then $(CARGO) deny --all-features --locked check bans licenses sources; \
	else echo "cargo-deny is not installed: licences and sources were not checked"; fi

clean: ## what was built (results stay; peerbed clean removes those)
	@$(CARGO) clean
