# What one does here, by name. `just` lists it.

default:
    @just --list

# A complete local cluster performing duties.
devnet *args:
    cargo run --release -- devnet {{args}}

# What CI runs.
ci:
    bash .ci/run

# All tests, or those whose path contains FILTER.
t filter="":
    cargo test --workspace {{filter}}

# Only the tests against vectors of other implementations.
vectors:
    cargo test --workspace vectors

# COUNT random schedules of the consensus algorithm with villains.
sim-qbft count="100000":
    SIM_SCHEDULES={{count}} cargo test --release -p trireme-qbft --test sim -- --nocapture million

# SEEDS simulated clusters with troubles, from SIM_FIRST_SEED or 0, until one goes wrong; prints what was done and the machine time.
sim seeds="1000":
    #!/usr/bin/env bash
    set -euo pipefail
    cargo test --release -p trireme-node --test sim --no-run
    TIMEFORMAT='machine time: %R s of wall clock, %U s of CPU'
    time SIM_SEEDS={{seeds}} cargo test --quiet --release -p trireme-node --test sim -- --nocapture every_seed

# Kills nodes of a real cluster KILLS times and checks that none contradicts itself (minutes; SEED=… repeats a plan).
kill-test kills="50":
    KILLS={{kills}} cargo test -p trireme-cli --test kill -- --ignored --nocapture

lint:
    cargo fmt --all --check
    cargo clippy --workspace --all-targets -- -D warnings

# Rewrites every checked-in generated file.
generate:
    UPDATE=1 cargo test -p trireme-proto -p trireme-cli -p trireme-cluster

bench:
    cargo bench --workspace

# Runs one fuzz target for SECONDS (needs a nightly toolchain and cargo-fuzz).
fuzz target seconds="600":
    cd fuzz && cargo +nightly fuzz run --sanitizer none {{target}} -- -max_total_time={{seconds}} -rss_limit_mb=4096 -timeout=20

# Makes the first corpus of every fuzz target from the vectors (kept out of git).
fuzz-corpus:
    cargo run -p trireme-vectors --example fuzz_corpus
