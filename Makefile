# Each target is one script, so a machine without make runs `sh scripts/NAME`.
# Arguments: make demo ARGS="--help"
.DEFAULT_GOAL := help
.PHONY: help demo demo-real test lint unit acceptance test-engines bench lock clean

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "make %-12s %s\n", $$1, $$2}' Makefile

demo: ## the tour, with simulated upstreams: no key, no account, no cost
	@sh scripts/demo $(ARGS)

demo-real: ## the tour, with a real small model on this machine's CPU
	@sh scripts/demo-real $(ARGS)

test: ## everything the continuous integration checks
	@sh scripts/test

lint: ## only what is checked without running the project
	@sh scripts/lint

unit: ## the tests of single modules, or ARGS="tests/geo -k china"
	@sh scripts/unit $(ARGS)

acceptance: ## what it must survive, in full: an hour, or ARGS="B1 R5"
	@sh scripts/acceptance $(ARGS)

test-engines: ## with real engines on the CPU, vLLM and llama.cpp: 2.5 GB to install, ARGS="-k vllm"
	@sh scripts/test-engines $(ARGS)

bench: ## hybridproxy beside other proxies, ARGS="--rounds 5"
	@sh scripts/bench $(ARGS)

lock: ## new versions of all dependencies into requirements/
	@sh scripts/lock

clean: ## remove environments, caches and builds
	@sh scripts/clean
