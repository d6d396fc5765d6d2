# Bellwire's chores. `make` alone tells what there is.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.ONESHELL:
.DEFAULT_GOAL := help

CARGO ?= cargo
BUILT = $(or $(CARGO_TARGET_DIR),target)/release
# Simulated histories, the fuzz target and its seconds, cases of a property.
SEEDS ?= 1000
TARGET ?= sip_message
SECONDS_MAX ?= 60
CASES ?= 20000

.PHONY: help demo test check sim soak fuzz bench load sound setups mutate gen run setup

help: ## tells what there is
	@sed -nE 's/^([a-z]+):.*## /\1|/p' $(MAKEFILE_LIST) | while IFS='|' read -r name what; do
		printf '  make %-7s %s\n' "$$name" "$$what"; done

demo: ## four real calls on this machine: demo/out has what they sounded like
	@.ci/setup demo
	# One build for both: the example's dependencies would otherwise be compiled twice.
	$(CARGO) build --release --bin bellwire --example demo
	$(BUILT)/examples/demo

test: ## every test; installs what they need
	@.ci/setup test
	.ci/test

check: ## what a change must pass: format, lints, tests, docs, licences
	$(CARGO) fmt --check
	$(CARGO) clippy --all-targets -- -D warnings
	features=$$(.ci/features)
	$(CARGO) clippy --all-targets --features "$$features" -- -D warnings
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --no-deps --document-private-items --features "$$features"
	$(CARGO) test --features "$$features"
	if command -v cargo-deny >/dev/null; then $(CARGO) deny check; else
		echo "SKIPPED: cargo-deny is not installed (cargo install cargo-deny)"; fi

sim: ## SEEDS=1000: random call histories; 100,000 calls at 20 % loss among them
	SEEDS=$(SEEDS) $(CARGO) test --release --test sim

soak: ## CASES=20000: the property tests with that many cases, new ones at each run
	PROPTEST_CASES=$(CASES) $(CARGO) test --lib --test sim

fuzz: ## TARGET=sip_message SECONDS_MAX=60: needs a nightly toolchain and cargo-fuzz
	$(CARGO) +nightly fuzz run $(TARGET) -- -max_total_time=$(SECONDS_MAX)

bench: ## one benchmark per hop, octets of each dialect, memory of 1,000 idle streams
	$(CARGO) bench
	$(CARGO) run --release --example idle

load: ## what calls cost beside the floor, 8 min: target/load/report.md; N=200: only so many stream calls
	$(CARGO) build --release --bin bellwire --example load
	$(BUILT)/examples/load $(if $(N),--calls $(N),--suite)

sound: ## SEEDS=2: what loss, delay, drift and resampling do to speech, in target/sound
	@.ci/setup test
	tests/audio/setup.sh
	$(CARGO) build --release --example sound
	# SEEDS and FILES of the command line stand in the environment of recipes.
	$(BUILT)/examples/sound

setups: ## calls a second that are set up, and what each costs, beside SIPp as callee
	$(CARGO) build --release --bin bellwire --example setups
	$(BUILT)/examples/setups

mutate: ## N=1000000: mutated messages against the SIP core
	$(CARGO) build --release --example mutate
	$(BUILT)/examples/mutate --messages $(or $(N),1000000)

gen: ## writes the pages and files that follow from declarations
	$(CARGO) run --quiet -- gen --write

run: ## the gateway with built-in settings
	$(CARGO) run --release -- serve

setup: ## installs the Debian packages that tests need
	@.ci/setup test
