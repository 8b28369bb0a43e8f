#!/usr/bin/env bash
# The walk-through with a public client, against the running binary: on SQLite and on PostgreSQL, or on the empty
# database named (`tests/walkthrough.sh postgres://…`). What it needs, tests/install.sh installs.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
tools="${XDG_CACHE_HOME:-$HOME/.cache}/outflow/tools"
[ -n "${BINARY:-}" ] || cargo build --locked --quiet
PATH="$tools/venv/bin:$PATH" python3 -B tests/clients/walkthrough.py "$@"
