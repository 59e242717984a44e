#!/usr/bin/env bash
# The tests that need large packages (torch, sbi, pandas, pyarrow, DuckDB, ArviZ 1.x), for a wheel:
#   cargo xtask python && crates/python/tests/large.sh target/wheels/cei-*.whl
# They are installed into a new environment in a temporary folder: some 2 GB. PYTHON names an interpreter; ArviZ 1.x needs 3.12.
set -euo pipefail
wheel=$(realpath "$1")
cd "$(dirname "$0")/../../.."
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder"
"$folder/bin/pip" install --quiet "$wheel" pytest h5py uproot polars matplotlib arviz pandas pyarrow duckdb
"$folder/bin/pip" install --quiet torch --index-url https://download.pytorch.org/whl/cpu ||
    "$folder/bin/pip" install --quiet torch
"$folder/bin/pip" install --quiet sbi zuko
"$folder/bin/python" -m pytest --quiet crates/python "${@:2}"
