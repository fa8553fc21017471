# What developers run; `just` lists it.
_:
    @just --list

# Format the code.
fmt:
    cargo fmt --all

# Formatting and lints, as CI asks for them.
lint:
    cargo fmt --all -- --check
    cargo clippy --workspace --all-targets --features real-servers -- -D warnings

# The quick loop: no server, no root.
test:
    cargo test

# Everything, on real servers.
it:
    tests/run

# F1 to F6 beside their baselines, as one table: docs/performance.md. BENCH_SCALE=0.1 runs a tenth.
bench:
    cargo bench --package plumbline-e2e --bench figures

# What CI runs.
ci:
    .ci/run

# Lab and operator in one program: the README's first command.
quickstart *arguments:
    cargo quickstart {{arguments}}

# Regenerate the CRDs and their reference pages from the Rust types, and the chart's copies.
crds:
    cargo run --quiet --package plumbline-crds --example generate
    cp crds/*.yaml charts/plumbline/files/crds/

# Read the documentation of the crates.
docs:
    cargo doc --workspace --no-deps --open

# Check the chart and show what it renders.
chart *arguments:
    `tests/control-plane/control-plane bin`/helm lint --strict charts/plumbline
    `tests/control-plane/control-plane bin`/helm template plumbline charts/plumbline {{arguments}}

# Build the operator's image.
image tag="plumbline":
    docker build --tag {{tag}} .

# Licences, bans, advisories and sources of the dependencies.
deny:
    cargo deny check
