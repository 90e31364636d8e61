# The commands a person types. `make help` lists them.
SHELL := /bin/bash
.DEFAULT_GOAL := help
.PHONY: help demo test dev web build fmt lint bench bench-store soak release python

help: ## this list
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | sort | column -t -s "$$(printf '\t')"

demo: ## build everything and start a living site with invented clusters, users and jobs
	@integration-tests/demo

# The suites' conductor is Python (standard library only); everything else it installs itself.
python:
	@command -v python3 >/dev/null || { [ "$$(id -u)" = 0 ] && apt-get update -qq && apt-get install -y -qq python3; } \
		|| { echo "needed: apt-get install -y python3"; exit 1; }

test: python ## install what the suites need, then format, lint, type-check and test everything
	@integration-tests/suite

web: ## build the UI (web/dist), which the binaries embed
	@cd web && npm ci --no-audit --no-fund --loglevel=error && npm run --silent build

build: web ## build the UI and all binaries (dev profile)
	cargo build --workspace --bins

dev: build ## build, then say how to start
	@echo "target/debug/cc-backend -init && target/debug/cc-backend -add-user admin:admin:secret -server"

fmt: ## format Rust and web sources
	cargo fmt --all
	cd web && npm run --silent format

lint: ## lint Rust and web sources, warnings are errors
	cargo clippy --workspace --all-targets -- -D warnings
	cd web && npm run --silent check

bench: web ## print speed and memory figures of this machine
	@integration-tests/bench

bench-store: ## drive the metric store from outside, print its figures beside reference and target
	@integration-tests/bench-store

soak: ## repeat the scenario of a job's life (N=20) and its kills (KILLS=100), print the log
	@integration-tests/soak $(or $(N),20) $(or $(KILLS),100)

release: web ## the binaries that ship
	cargo build --workspace --bins --release
