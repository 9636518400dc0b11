#!/bin/sh
# Makes the checkout ready to run: checks the tools, installs from the lock file, builds. Skips what is already done.
set -eu
cd "$(dirname "$0")/../.."

fail() {
  echo "gfs: $1" >&2
  exit 1
}

command -v node >/dev/null || fail "Node.js 20.20 or newer is missing: install it from your distribution or nodejs.org"
node -e 'const [a,b]=process.versions.node.split(".").map(Number);process.exit(a>20||(a===20&&b>=20)?0:1)' ||
  fail "Node.js 20.20 or newer is needed, this is $(node --version)"

compiler=""
for candidate in "${CXX:-}" c++ g++ clang++; do
  if [ -n "$candidate" ] && command -v "$candidate" >/dev/null; then compiler=$candidate && break; fi
done
[ -n "$compiler" ] || fail "a C++ compiler is missing: install g++ (Debian, Ubuntu: apt install g++; Fedora: dnf install gcc-c++)"

# npm writes this file last, so it tells which lock file node_modules was installed from.
if [ ! -f node_modules/.package-lock.json ] || ! cmp -s package-lock.json node_modules/.gfs-installed-lock.json; then
  npm ci --ignore-scripts --no-audit --no-fund
  cp package-lock.json node_modules/.gfs-installed-lock.json
fi

CXX=$compiler exec node src/tools/build.mjs "$@"
