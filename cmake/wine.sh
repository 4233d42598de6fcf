#!/usr/bin/env bash
# Runs a Windows program under Wine, without a display, in a prefix of this
# tree's own: build/wineprefix, or where WEIR_WINEPREFIX says.
#
#   wine.sh PROGRAM ARGUMENT...
#   wine.sh --make    makes the prefix, if it is not there
#   wine.sh --start   the same, and starts its server, which makes a program's
#                     start ten times faster; it ends by itself some minutes
#                     after the last program. A program that finds no server
#                     starts it like this.
#   wine.sh --stop    ends the server, and all that still runs in the prefix
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
export WINEPREFIX=${WEIR_WINEPREFIX:-$root/build/wineprefix}
export WINEDEBUG=${WEIR_WINEDEBUG:--all}
# Neither .NET nor HTML is there, nor wanted; nor entries in the user's menus.
export WINEDLLOVERRIDES="mscoree,mshtml,winemenubuilder.exe="
unset DISPLAY WAYLAND_DISPLAY

readonly LINGER_SECONDS=300

make_prefix() {
  [[ ! -e $WINEPREFIX/system.reg ]] || return 0
  # Made under another name: what has this one is complete.
  local part=$WINEPREFIX.part
  rm -rf "$part"
  WINEPREFIX=$part wineboot -i
  WINEPREFIX=$part wineserver -w
  [[ -e $part/system.reg ]]
  mv "$part" "$WINEPREFIX"
}

# Unless it runs, which is an error to wineserver. It stays, and so do processes
# that the first program starts: they must not keep the caller's output open.
start_server() {
  wineserver "-p$LINGER_SECONDS" </dev/null >/dev/null 2>&1 || return 0
  wineboot </dev/null >/dev/null 2>&1
}

# One at a time; a server must not inherit the lock.
prepare() {
  mkdir -p "$(dirname "$WINEPREFIX")"
  exec 9>"$WINEPREFIX.lock"
  flock 9
  make_prefix >&2 9>&-
  [[ $1 == --make ]] || start_server 9>&-
  exec 9>&-
}

case ${1:-} in
  --make | --start)
    prepare "$1"
    ;;
  --stop)
    # Status 1: there was none.
    wineserver -k || true
    ;;
  *)
    prepare --start
    exec wine "$@"
    ;;
esac
