# Functions shared by the scripts that check a change. Sourced by bash in the clone's root, with
# this variable set:
#
#   log         a file for the output of a command, which is printed only if the command fails

cache="${XDG_CACHE_HOME:-$HOME/.cache}/tidemark"
tools="$cache/tools"
export CARGO_TARGET_DIR="${CARGO_TARGET_DIR:-$cache/target}"
export CARGO_TERM_COLOR=never PYTHONDONTWRITEBYTECODE=1

# Runs a command silently. If it fails, prints its output without the lines that report success.
quietly() {
  local status=0
  "$@" >"$log" 2>&1 </dev/null || status=$?
  if ((status != 0)); then
    grep -vE '^ +(Updating|Locking|Adding|Downloading|Downloaded|Compiling|Checking) |^test .* ok$' "$log" || true
    echo "failed with status $status: $*"
  fi
  return "$status"
}

# Installs one version of a cargo tool next to other versions.
cargo_tool() {
  local name="$1" version="$2" root="$tools/$1-$2"
  if [[ ! -x "$root/bin/$name" ]]; then
    # A separate temporary target folder: sharing one would rebuild both when flags change.
    quietly env -u CARGO_TARGET_DIR cargo install "$name@$version" --locked --root "$root"
  fi
}

# Installs what is needed to build and run arm64 binaries: nothing on ARM, otherwise a user-mode
# emulator, exported as `TIDEMARK_BINARIES_RUNNER`. It emulates the oldest processor of Lambda
# (Graviton2), so that an instruction which that processor lacks terminates the process here, too.
# apt offers one version of a package, so the packages are not pinned.
emulator() {
  case "$(uname -m)" in aarch64 | arm64) return 0 ;; esac
  quietly rustup target add aarch64-unknown-linux-gnu
  local root=/usr/aarch64-linux-gnu as_root=()
  if ! command -v qemu-aarch64 >/dev/null || [[ ! -e "$root/lib/libc.so.6" || ! -e "$root/lib/libgcc_s.so.1" ]]; then
    if [[ "$(id -u)" != 0 ]]; then as_root=(sudo -n); fi
    quietly "${as_root[@]}" apt-get update
    quietly "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive \
      apt-get install --yes --no-install-recommends qemu-user libc6-arm64-cross libgcc-s1-arm64-cross
  fi
  TIDEMARK_BINARIES_RUNNER="$(command -v qemu-aarch64) -cpu neoverse-n1 -L $root"
  export TIDEMARK_BINARIES_RUNNER
}

python() {
  if command -v python3.11 >/dev/null; then python3.11 "$@"; else python3 "$@"; fi
}

# Creates a Python environment with exactly the listed packages, and sets `python_bin` to its folder
# of programs. Its name contains the list's checksum, so that a changed list creates a new one. The
# marker file is written last, so that an interrupted installation is repeated.
python_tools() {
  local name="$1" list="$2" venv
  venv="$tools/$name-$(cksum <"$list" | cut -d ' ' -f 1)"
  if [[ ! -e "$venv/complete" ]]; then
    rm -rf "$venv"
    quietly python -m venv "$venv"
    quietly "$venv/bin/python" -m pip install --disable-pip-version-check --no-deps -r "$list"
    quietly "$venv/bin/python" -m pip check
    touch "$venv/complete"
  fi
  python_bin="$venv/bin"
}

# Installs the npm packages of a folder's lock file into the cache and sets `node_modules` to their
# folder. Installed once for each lock file, like the Python environments. No package may run a
# script.
node_tools() {
  local name="$1" folder="$2" root
  root="$tools/$name-npm-$(cat "$folder/package.json" "$folder/package-lock.json" | cksum | cut -d ' ' -f 1)"
  if [[ ! -e "$root/complete" ]]; then
    rm -rf "$root"
    mkdir -p "$root"
    cp "$folder/package.json" "$folder/package-lock.json" "$root"
    quietly npm ci --prefix "$root" --ignore-scripts --no-audit --no-fund
    touch "$root/complete"
  fi
  node_modules="$root/node_modules"
}
