# Sourced by demo.sh and test.sh: what both do before and around a build.
# Works from the root of the repository; full logs go to build/logs/.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
export LC_ALL=C.UTF-8
LOGS=build/logs
JOBS=$(nproc)
mkdir -p "$LOGS"

# say TEXT...: one line of progress.
say() { printf '%s\n' "$*"; }

# run_step TITLE LOG COMMAND...: runs COMMAND with all its output in
# build/logs/LOG; prints TITLE with the seconds taken, or the log's end and
# where the rest of it is. Returns COMMAND's exit status.
run_step() {
  local title=$1 log=$LOGS/$2 start=$SECONDS status=0
  shift 2
  "$@" >"$log" 2>&1 </dev/null || status=$?
  if ((status == 0)); then
    say "-- $title: $((SECONDS - start)) s"
  else
    say "-- $title: FAILED with status $status; the end of $log:"
    tail -n 40 "$log"
  fi
  return "$status"
}

# Installs those of the named distribution packages that are not there yet.
install_packages() {
  local package missing=()
  if ! command -v dpkg-query >/dev/null || ! command -v apt-get >/dev/null; then
    say "-- not a Debian system: taking for granted what these packages hold:"
    say "   $*"
    return
  fi
  for package in "$@"; do
    dpkg-query -W -f='${db:Status-Status}\n' "$package" 2>/dev/null |
      grep -qx installed || missing+=("$package")
  done
  ((${#missing[@]} > 0)) || return 0
  if ((EUID != 0)); then
    say "These packages are missing, and only root can install them:" \
      "apt-get install ${missing[*]}" >&2
    return 1
  fi
  run_step "apt-get update" apt-update.log apt_get update &&
    run_step "apt-get install ${missing[*]}" apt-install.log \
      apt_get install -y --no-install-recommends "${missing[@]}"
}

apt_get() {
  DEBIAN_FRONTEND=noninteractive apt-get -q -o Acquire::Retries=3 \
    -o DPkg::Lock::Timeout=300 -o Dpkg::Use-Pty=0 "$@"
}

# Unpacks the distribution's own Abseil sources into build/deps/abseil, where
# the builds that compile Abseil themselves look for them. The sources come
# from wherever this machine's packages come from: its list of package sources
# is read as it is, with "deb" turned into "deb-src", from a copy of its own.
fetch_abseil_source() {
  local deps=build/deps
  [[ ! -e $deps/abseil/CMakeLists.txt ]] || return 0
  if ! command -v apt-get >/dev/null ||
    ! run_step "apt-get source abseil" apt-source.log download_abseil_source
  then
    say "-- the builds will download the Abseil release that CMake pins"
  fi
}

download_abseil_source() {
  local deps=$PWD/build/deps file tarball
  local apt=$deps/apt  # apt's own files, and the download
  rm -rf "$apt" "$deps/abseil" "$deps/abseil.part"
  mkdir -p "$apt/sources.list.d" "$apt/lists/partial" "$deps/abseil.part"
  : >"$apt/sources.list"
  for file in /etc/apt/sources.list /etc/apt/sources.list.d/*.list; do
    [[ ! -e $file ]] || sed -nE 's/^[[:space:]]*deb[[:space:]]/deb-src /p' \
      "$file" >>"$apt/sources.list"
  done
  for file in /etc/apt/sources.list.d/*.sources; do
    [[ ! -e $file ]] || sed -E 's/^Types:.*/Types: deb-src/I' "$file" \
      >"$apt/sources.list.d/${file##*/}"
  done
  local options=(-o "Dir::Etc::sourcelist=$apt/sources.list"
    -o "Dir::Etc::sourceparts=$apt/sources.list.d"
    -o "Dir::State::lists=$apt/lists"
    -o "Dir::Cache::pkgcache=" -o "Dir::Cache::srcpkgcache="
    -o "APT::Sandbox::User=")
  apt_get "${options[@]}" update || return
  (cd "$apt" && apt_get "${options[@]}" source --download-only abseil) || return
  tarball=$(ls "$apt"/abseil_*.orig.tar.*[!c])
  tar -xf "$tarball" -C "$deps/abseil.part" --strip-components=1 || return
  mv "$deps/abseil.part" "$deps/abseil"
}
