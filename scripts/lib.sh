# shellcheck shell=bash
# Shared by quickstart, test, provision and bench, which source it from the top folder of the tree.

export PATH="$PATH:/usr/local/sbin:/usr/local/bin:/usr/sbin:/sbin" DEBIAN_FRONTEND=noninteractive NEEDRESTART_SUSPEND=1

say() { printf '%s\n' "$*" >&2; }
die() { printf '%s: %s\n' "${0##*/}" "$*" >&2; exit 1; }

need_root() {
	if [ "$(id -u)" != 0 ]; then
		if command -v sudo >/dev/null; then
			say "${0##*/}: network namespaces need root: run  sudo $0"
		else
			say "${0##*/}: network namespaces need root, and there is no sudo; as root:  $0"
		fi
		exit 4
	fi
	# sudo may keep the user's HOME; root must not write files there.
	if [ -z "${HOME:-}" ] || [ ! -O "$HOME" ]; then export HOME=/root; fi
	called_by_sudo || return 0
	# What Go and npm need to fetch anything, and sudo removed from the environment.
	local v value environment
	environment=$(as_user env) || true
	for v in GOPROXY GOFLAGS GONOSUMDB GOPRIVATE GOSUMDB npm_config_registry http_proxy https_proxy no_proxy; do
		value=$(sed -n "s/^$v=//p" <<<"$environment")
		if [ -z "${!v:-}" ] && [ -n "$value" ]; then export "$v=$value"; fi
	done
	v=$(user_home)/.config/go/env
	if [ -z "${GOENV:-}" ] && [ -f "$v" ]; then export GOENV=$v; fi
}

called_by_sudo() { [ -n "${SUDO_USER:-}" ] && [ "$SUDO_USER" != root ]; }

user_home() { getent passwd "${SUDO_USER:-root}" | cut -d: -f6; }

# as_user COMMAND runs it in a login shell of the user who called sudo, because sudo hides their PATH.
as_user() { runuser -l "$SUDO_USER" -c "$1" 2>/dev/null </dev/null; }

# first_suitable TEST PROGRAM DIRECTORY... prints the first directory whose program passes the test.
first_suitable() {
	local test=$1 program=$2 dir
	shift 2
	for dir; do
		[ -x "$dir/$program" ] && "$test" "$dir/$program" && { printf '%s\n' "$dir"; return; }
	done
	return 1
}

# usual_places PROGRAM PATTERN... prints the directories where it can be: those of PATH, of the calling user, the given.
usual_places() {
	local program=$1 found
	shift
	found=$(command -v "$program") && dirname "$found"
	if called_by_sudo; then
		found=$(as_user "command -v $program") && [ -x "$found" ] && dirname "$found"
	fi
	for found; do compgen -G "$found" || true; done
}

# go_release prints the release of a Go, for example 1.22.2, without downloading another.
go_release() { (cd / && GOTOOLCHAIN=local "$1" env GOVERSION 2>/dev/null) | sed -n 's/.*go\([0-9][0-9.]*\).*/\1/p'; }

# Go 1.21 is the first that fetches the release that go.mod asks for.
go_suits() { local v; v=$(go_release "$1"); [ -n "$v" ] && dpkg --compare-versions "$v" ge 1.21; }

find_go() {
	local dir places home
	home=$(user_home)
	mapfile -t places < <(usual_places go /usr/local/go/bin "$home/go/bin" "$home/.local/go/bin" "$home/sdk/go*/bin" \
		'/usr/lib/go-*/bin' /snap/bin)
	dir=$(first_suitable go_suits go "${places[@]}") || return 1
	export PATH="$dir:$PATH"
	dpkg --compare-versions "$(go_release go)" ge "$(awk '$1 == "go" { print $2 }' go.mod)" || export GOTOOLCHAIN=auto
}

node_suits() { [ "$("$1" -p 'process.versions.node.split(".")[0]' 2>/dev/null || echo 0)" -ge 18 ]; }

find_node() {
	local dir places home
	home=$(user_home)
	mapfile -t places < <(usual_places node /usr/local/bin "$home/.nvm/versions/node/*/bin" "$home/.local/bin" \
		'/usr/local/node*/bin' /snap/bin)
	dir=$(first_suitable node_suits node "${places[@]}") && [ -x "$dir/npm" ] || return 1
	export PATH="$dir:$PATH"
}

missing=()

# want PROGRAM PACKAGE notes the package if the program is missing.
want() { command -v "$1" >/dev/null || missing+=("$2"); }

# quietly COMMAND... shows the command's output only when it fails.
quietly() {
	local out
	out=$(mktemp)
	if ! "$@" >"$out" 2>&1 </dev/null; then
		cat "$out" >&2
		rm -f "$out"
		return 1
	fi
	rm -f "$out"
}

# again COMMAND... runs it, and retries up to four times: a server on the network may be back soon.
again() {
	local pause
	for pause in 2 5 15 30; do
		quietly "$@" 2>/dev/null && return
		say "That failed; trying again in $pause s"
		sleep $pause
	done
	quietly "$@"
}

apt_get() { LC_ALL=C apt-get -y -q -o DPkg::Lock::Timeout=300 "$@"; }

# unlocked COMMAND... runs apt-get COMMAND and retries for five minutes while another process, for example the updates
# after a boot, has a lock that DPkg::Lock::Timeout doesn't cover.
unlocked() {
	local out deadline=$((SECONDS + 300))
	until out=$(apt_get "$@" 2>&1); do
		if [[ $SECONDS -gt $deadline || $out != *[Cc]"ould not get lock"* ]]; then
			printf '%s\n' "$out"
			return 1
		fi
		sleep 2
	done
}

apt_ready=
apt_update() {
	command -v apt-get >/dev/null ||
		die "this is not a Debian or Ubuntu machine; install by hand: ${missing[*]:-Go 1.21 or later}"
	[ -n "$apt_ready" ] || update || die "apt-get update failed (see above): is the network up?"
	apt_ready=yes
}
# update tries to read all sources. If some can't be read in the end, it leaves them out, as far as apt-get does.
update() { again unlocked -o APT::Update::Error-Mode=any update || quietly unlocked update; }
apt_install() {
	say "Installing: $*"
	again updated_install "$@" || die "apt-get could not install $* (see above)"
}
# updated_install installs packages. If that fails, it updates the lists, which can be out of date.
updated_install() {
	unlocked install --no-install-recommends "$@" || { unlocked update && unlocked install --no-install-recommends "$@"; }
}

# want_postgresql notes the package of the server, and keeps it from starting one.
want_postgresql() {
	compgen -G '/usr/lib/postgresql/*/bin/postgres' >/dev/null && return
	missing+=(postgresql)
	mkdir -p /etc/postgresql-common/createcluster.d
	echo "create_main_cluster = false" >/etc/postgresql-common/createcluster.d/vnetlab.conf
}

install_missing() {
	[ ${#missing[@]} -gt 0 ] || return 0
	apt_update
	apt_install "${missing[@]}"
	missing=()
	hash -r
}

# install_go finds a Go, or installs the one of the distribution, or of its backports if that one is too old.
install_go() {
	find_go && return
	missing+=("Go 1.21 or later")
	apt_update
	local version mirror suite go_by_hand="install Go 1.21 or later from https://go.dev/dl/ to /usr/local/go"
	version=$(best_go)
	if [ -z "$version" ]; then
		suite=$(. /etc/os-release && echo "${VERSION_CODENAME:-}")
		[ "$(. /etc/os-release && echo "$ID")" = debian ] || die "this distribution has no Go 1.21 or later; $go_by_hand"
		mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' "Codename: $suite" | head -1)
		[ -n "$mirror" ] || die "Go of Debian $suite is too old and apt has no mirror of $suite; $go_by_hand"
		say "Go of Debian $suite is too old: adding $suite-backports"
		echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $mirror $suite-backports main" \
			>/etc/apt/sources.list.d/vnetlab-backports.list
		update || {
			rm /etc/apt/sources.list.d/vnetlab-backports.list
			die "$suite-backports can't be read (see above); $go_by_hand"
		}
		version=$(best_go)
		[ -n "$version" ] || die "$suite-backports has no Go 1.21 or later; $go_by_hand"
	fi
	missing=()
	apt_install ca-certificates "golang-go=$version" "golang-src=$version"
	hash -r
	find_go || die "the Go just installed does not run"
}

# best_go prints the highest version of the package golang-go that suits.
best_go() {
	apt-cache madison golang-go | awk '{ print $3 }' | while read -r v; do
		if dpkg --compare-versions "$v" ge '2:1.21~'; then echo "$v"; fi
	done | sort -Vr | head -1
}

build_lab() {
	[ -x bin/lab ] || say "Building bin/lab: the first time takes a minute or two"
	# Download the modules first, because go build doesn't retry.
	again go mod download || true
	# Go reads the version with git, and git doesn't trust the tree of another user: root builds the clone of a user.
	GIT_CONFIG_COUNT=1 GIT_CONFIG_KEY_0=safe.directory GIT_CONFIG_VALUE_0=$PWD \
		CGO_ENABLED=0 go build -buildvcs=auto -trimpath -o bin/lab ./cmd/lab ||
		die "bin/lab could not be built (see above); without a network, or behind a proxy, set GOPROXY"
	chown --reference=. bin bin/lab
}
