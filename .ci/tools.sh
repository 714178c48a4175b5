# What the scripts share that check a change: sourced by bash, at the clone's root, with these set beforehand:
#
#   log         a file for what a command says while it is not known whether anybody wants to read it

cache="${XDG_CACHE_HOME:-$HOME/.cache}/tidemark"
tools="$cache/tools"
export CARGO_TARGET_DIR="${CARGO_TARGET_DIR:-$cache/target}"
export CARGO_TERM_COLOR=never PYTHONDONTWRITEBYTECODE=1

# Runs a command without a word. If it fails, shows what it said, but for the lines that say all is well.
quietly() {
  local status=0
  "$@" >"$log" 2>&1 </dev/null || status=$?
  if ((status != 0)); then
    grep -vE '^ +(Updating|Locking|Adding|Downloading|Downloaded|Compiling|Checking) |^test .* ok$' "$log" || true
    echo "failed with status $status: $*"
  fi
  return "$status"
}

# Installs a cargo tool of one version beside, not over, other versions.
cargo_tool() {
  local name="$1" version="$2" root="$tools/$1-$2"
  if [[ ! -x "$root/bin/$name" ]]; then
    # Its own temporary target folder: with ours, a change of flags would rebuild one or the other.
    quietly env -u CARGO_TARGET_DIR cargo install "$name@$version" --locked --root "$root"
  fi
}

# What builds arm64 binaries here, and runs them: on ARM nothing is needed, elsewhere a user-mode emulator, named in
# `TIDEMARK_BINARIES_RUNNER`. It emulates the processor that Lambda has had longest (Graviton2), so that an instruction which that one does
# not know ends the process here as it would there. apt offers one version of a package, so they are not pinned.
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

# A Python environment that holds exactly what the list says, and names its folder of programs in `python_bin`. Its name has the
# list's checksum, so a changed list makes a new one, and the mark inside is set last, so an interrupted installation is begun again.
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

# The npm packages that a folder's lock file names, in a folder of the cache that `node_modules` names afterwards. Installed once for each
# lock file, like the Python environments. No package runs a script.
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
