#!/usr/bin/env bash
# Run the tests with the lowest and the newest versions that pyproject.toml admits, each in a fresh environment.
#
#   scripts/test_versions.sh [lowest-direct|highest ...] [-- PYTEST ARGUMENTS]
#
# Needs uv. Versions come from the package index that uv is set up with; UV_TORCH_BACKEND=cpu saves downloads.
set -euo pipefail
cd "$(dirname "$0")/.."

resolutions=()
while (($#)) && [[ $1 != -- ]]; do
    resolutions+=("$1")
    shift
done
(($#)) && shift
((${#resolutions[@]})) || resolutions=(lowest-direct highest)

for resolution in "${resolutions[@]}"; do
    environment=$(mktemp -d)
    trap 'rm -rf "$environment"' EXIT
    uv venv --quiet --seed "$environment" # the tests build a wheel with pip
    VIRTUAL_ENV=$environment uv pip install --quiet --resolution "$resolution" -e ".[dev]"
    echo "== $resolution"
    VIRTUAL_ENV=$environment uv pip freeze
    PATH="$environment/bin:$PATH" pytest -p no:cacheprovider "$@"
    rm -rf "$environment"
done
