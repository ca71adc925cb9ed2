# Sourced by bin/up and bin/test: what must be there before Python can take over. Bash.
#
#   require_debian_root           root, on Debian 12 or 13
#   debian_packages FILE...       what the files list, installed when something is missing
#   python_environment DIR LOCK   a private environment that holds exactly what LOCK pins
#
# Long steps go through `step`, which shows seconds on a terminal and shows output when a step fails.

export LC_ALL=C.UTF-8
FIRST_STAGE_LOG=$(mktemp -t berth-first-stage.XXXXXX)
trap 'rm -f "$FIRST_STAGE_LOG"' EXIT

fail() { # fail SUMMARY HINT
  printf 'Error: %s\n  %s\n' "$1" "$2" >&2
  exit 1
}

step() { # step TITLE COMMAND...
  local title=$1 began=$SECONDS status=0 pid
  shift
  "$@" >"$FIRST_STAGE_LOG" 2>&1 </dev/null &
  pid=$!
  while [ -t 1 ] && kill -0 "$pid" 2>/dev/null; do
    printf '\r  … %s  %d s' "$title" $((SECONDS - began))
    sleep 0.2
  done
  wait "$pid" || status=$?
  [ -t 1 ] && printf '\r\033[K'
  if [ "$status" -ne 0 ]; then
    printf '  ✗ %s  %d s\n' "$title" $((SECONDS - began))
    tail -n 40 "$FIRST_STAGE_LOG" >&2
    fail "$title: exit status $status" "The lines above say why. Nothing else was changed; run the command again."
  fi
  printf '  ✓ %s  %d s\n' "$title" $((SECONDS - began))
}

require_debian_root() {
  local ID='' VERSION_ID='' PRETTY_NAME='this system'
  [ -r /etc/os-release ] && . /etc/os-release
  case "$ID $VERSION_ID" in
    'debian 12' | 'debian 13') ;;
    *) fail "Berth runs on Debian 12 and 13, not on $PRETTY_NAME." "Use a Debian 12 machine or virtual machine." ;;
  esac
  [ "$(id -u)" -eq 0 ] || fail "$0 sets up users, mounts and networks, which needs root." "Run: sudo $0"
}

debian_packages() {
  local missing
  missing=$(comm -23 <(sort -u "$@") <(dpkg-query -W -f '${db:Status-Status} ${Package}\n' | sed -n 's/^installed //p' | sort -u))
  [ -z "$missing" ] || step "Debian packages: ${missing//$'\n'/ }" install_debian_packages $missing
}

install_debian_packages() {
  export DEBIAN_FRONTEND=noninteractive
  apt-get -q -o DPkg::Lock::Timeout=300 update
  apt-get -q -y -o DPkg::Lock::Timeout=300 install --no-install-recommends "$@"
}

python_environment() {
  local dir=$1 lock=$2
  # Debian's own Python, never one that happens to come first in the caller's PATH.
  [ "$(cat "$dir/installed" 2>/dev/null)" = "$(environment_stamp "$lock")" ] || step "Python environment" build_environment "$dir" "$lock"
}

environment_stamp() {
  readlink -f /usr/bin/python3
  cat "$1"
}

build_environment() {
  set -e
  local dir=$1 lock=$2 uv_lock
  rm -f "$dir/installed"
  /usr/bin/python3 -m venv "$dir"
  uv_lock=$(mktemp)
  awk '/^uv==/ { on = 1 } on { print; if (!/\\$/) exit }' "$lock" >"$uv_lock"
  "$dir/bin/python" -m pip install -q --disable-pip-version-check --no-deps --require-hashes -r "$uv_lock"
  rm -f "$uv_lock"
  uv_like_pip "$dir"
  "$dir/bin/uv" pip sync -q --python "$dir/bin/python" --compile-bytecode --require-hashes "$lock"
  environment_stamp "$lock" >"$dir/installed"
}

# uv does not read pip's configuration: hand on which index and which CA bundle this host uses.
uv_like_pip() {
  local index extra cert
  index=$(pip_setting "$1" index-url) extra=$(pip_setting "$1" extra-index-url) cert=$(pip_setting "$1" cert)
  export UV_SYSTEM_CERTS=1 UV_LINK_MODE=copy UV_NO_CONFIG=1 UV_INDEX_STRATEGY=unsafe-best-match
  [ -z "$index" ] || export UV_DEFAULT_INDEX=$index
  [ -z "$extra" ] || export UV_INDEX=$extra
  [ -z "$cert" ] || export SSL_CERT_FILE=$cert
}

pip_setting() { # pip_setting DIR NAME
  local variable=${2^^}
  variable=PIP_${variable//-/_}
  echo "${!variable:-$("$1/bin/python" -m pip config get "global.$2" 2>/dev/null || true)}"
}
