# The front door. `make help` says what there is; CMake and Ninja do the work.
BUILD ?= build
ARGS ?=
JOBS ?= $(shell nproc)
SEEDS ?= $(if $(SEED),$(SEED)-$(SEED),1-500)
UNTIL ?= 60s

.PHONY: build run test sim fuzz mutants chaos bench tidy clean help setup
.DEFAULT_GOAL := build

setup:
	@tools/setup.sh

build: setup
	@test -f $(BUILD)/build.ninja || cmake -S . -B $(BUILD) -G Ninja
	@ninja -C $(BUILD) quorate

run: build
	@$(BUILD)/quorate demo $(ARGS)

# All suites, or some: make test SUITES="unit golden"
test: setup
	@BUILD=$(BUILD) tests/run.sh $(SUITES)

# make sim SEEDS=1-100 UNTIL=30s; make sim SEED=42
sim: build
	@$(BUILD)/quorate sim --seeds $(SEEDS) --until $(UNTIL) --jobs $(JOBS) $(ARGS)

# Each fuzzer, five minutes; make fuzz FUZZ_SECONDS=20
fuzz: setup
	@FUZZ_SECONDS=$${FUZZ_SECONDS:-300} tests/fuzz/run.sh

# Each row of src/sim/mutants.def must be found by the simulator's checkers, each of src/core by a unit test.
mutants: setup
	@tools/mutants.py $(ARGS)
	@ninja -C build-mutants core_mutants_test >/dev/null && build-mutants/core_mutants_test

# Kills, pauses and cuts of real processes, the long version of what `make test` samples.
chaos: build
	@LONG=1 BUILD=$(BUILD) tests/run.sh chaos

bench: build
	@QUORATE_BIN=$(BUILD)/quorate bench/run.py $(ARGS)
	@echo && QUORATE_BIN=$(BUILD)/quorate bench/idle.py --groups 2000

tidy: setup
	@test -f $(BUILD)/build.ninja || cmake -S . -B $(BUILD) -G Ninja >/dev/null
	@tools/tidy.py $(BUILD)

clean:
	rm -rf build build-*

help:
	@echo "make build     build/quorate"
	@echo "make run       build, then a local cluster of three nodes (quorate demo; ARGS=... adds flags)"
	@echo "make test      every suite; the last line counts (SUITES=\"unit ...\" for some)"
	@echo "make sim       the simulator (SEEDS=1-500 UNTIL=60s, or SEED=n)"
	@echo "make fuzz      every fuzzer, five minutes each (FUZZ_SECONDS=n)"
	@echo "make mutants   do the checkers find every planted mistake?"
	@echo "make chaos     kills, pauses and cuts of real processes, long"
	@echo "make bench     against one Redis on this machine; then three nodes at rest, with 2,000 groups"
	@echo "make tidy      house rules"
	@echo "make clean     remove what was built"
