#!/usr/bin/env bash
# Runs the walk-through against the binary, with buf curl on SQLite and on PostgreSQL and with grpcurl on SQLite, or with
# buf curl on the empty database of a URL (`tests/walkthrough.sh postgres://…`). tests/install.sh installs the tools.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
tools="${XDG_CACHE_HOME:-$HOME/.cache}/outflow/tools"
[ -n "${BINARY:-}" ] || cargo build --locked --quiet
PATH="$tools/venv/bin:$tools/bin:$PATH" python3 -B tests/clients/walkthrough.py "$@"
