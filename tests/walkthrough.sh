#!/usr/bin/env bash
# Runs the walk-through with buf curl against the binary, on SQLite and on PostgreSQL, or on the empty database of a URL
# (`tests/walkthrough.sh postgres://…`). tests/install.sh installs the tools that it requires.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
tools="${XDG_CACHE_HOME:-$HOME/.cache}/outflow/tools"
[ -n "${BINARY:-}" ] || cargo build --locked --quiet
PATH="$tools/venv/bin:$PATH" python3 -B tests/clients/walkthrough.py "$@"
