#!/bin/sh
# What `lab up --real` needs on the host: PostgreSQL's programs, Node.js, and the web application's packages.
set -eu
cd "$(dirname "$0")"

missing() {
	echo "$1 is missing; install it with: apt-get install $2" >&2
	exit 1
}
ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1 || missing PostgreSQL postgresql
command -v node >/dev/null || missing Node.js nodejs

# npm writes this file last, so the packages are complete when it is there.
test -e web/node_modules/.package-lock.json && exit 0
command -v npm >/dev/null || missing npm npm
exec npm ci --prefix web --ignore-scripts --no-audit --no-fund
