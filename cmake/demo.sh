#!/usr/bin/env bash
# Builds Weir and shows it at work: the echo server on every backend of this
# machine, under a real load over loopback. Installs what it needs (Debian, as
# root), asks nothing, and fails if any round trip does.
source "$(dirname "${BASH_SOURCE[0]}")/setup.sh"

BACKENDS=(epoll io_uring)
APIS=(readiness completion stream)
CONNECTIONS=64 SECONDS_OF_LOAD=2 SIZE=64
EXAMPLES=build/release/examples

install_packages g++ cmake ninja-build pkg-config libabsl-dev liburing-dev \
  libgtest-dev libgmock-dev googletest libbenchmark-dev
run_step "release: configure" demo-configure.log cmake --preset release
run_step "release: build the examples" demo-build.log \
  cmake --build --preset release -j "$JOBS" --target weir_examples

scratch=$(mktemp -d)
server=
finish() {
  [[ -z $server ]] || kill -TERM "$server" 2>/dev/null || true
  rm -rf "$scratch"
}
trap finish EXIT

# serve BACKEND API: one row of the table in $row. Status 0: it served; 1: it
# failed; 2: this machine does not offer the backend.
serve() {
  local backend=$1 api=$2 line="" status=0 address result pattern
  row=
  rm -f "$scratch/out"
  mkfifo "$scratch/out"
  # timeout(1) passes SIGTERM on, once, and exits as the server does.
  timeout --foreground -k 10 "$((SECONDS_OF_LOAD + 120))" "$EXAMPLES/echo_server" \
    --backend="$backend" --api="$api" --listen=127.0.0.1:0 \
    >"$scratch/out" 2>"$scratch/err" &
  server=$!
  exec {out}<"$scratch/out"
  read -r -t 30 line <&"$out" || true
  if [[ $line != "listening on "* ]]; then
    kill -TERM "$server" 2>/dev/null || true
    wait "$server" || status=$?
    server=
    exec {out}<&-
    row="$(tr '\n' ' ' <"$scratch/err")"
    ((status != 0)) && grep -qi 'unavailable' "$scratch/err" && return 2
    row="exit status $status before it listened: $line $row"
    return 1
  fi
  address=${line#listening on }

  result=$(timeout -k 10 "$((SECONDS_OF_LOAD + 60))" \
    "$EXAMPLES/echo_load" --connect="$address" --connections="$CONNECTIONS" \
    --seconds="$SECONDS_OF_LOAD" --size="$SIZE" 2>"$scratch/load-err") ||
    status=$?
  kill -TERM "$server" 2>/dev/null || true
  local stopped=0
  wait "$server" || stopped=$?
  server=
  exec {out}<&-
  pattern='round_trips=([0-9]+) seconds=([0-9.]+) errors=([0-9]+)'
  if [[ ! $result =~ $pattern ]]; then
    row="the load failed with status $status: $result"
    row+=" $(tr '\n' ' ' <"$scratch/load-err")"
    return 1
  fi
  local trips=${BASH_REMATCH[1]} seconds=${BASH_REMATCH[2]}
  local errors=${BASH_REMATCH[3]}
  row=$(awk -v n="$trips" -v s="$seconds" -v e="$errors" \
    'BEGIN { printf "%15.0f  %6d", (s > 0 ? n / s : 0), e }') || return 1
  ((stopped == 0)) || {
    row+="  SIGTERM: exit status $stopped $(tr '\n' ' ' <"$scratch/err")"
    return 1
  }
  ((status == 0 && trips > 0 && errors == 0))
}

say "-- $CONNECTIONS connections, $SIZE bytes each way, $SECONDS_OF_LOAD s" \
  "per backend and API"
table=$(printf '%-9s %-10s %15s  %6s' backend API "round trips/s" errors)
served=0 failed=0
for backend in "${BACKENDS[@]}"; do
  for api in "${APIS[@]}"; do
    status=0
    serve "$backend" "$api" || status=$?
    case $status in
      0) served=$((served + 1)) ;;
      2) row="  not usable on this machine: $row" ;;
      *) failed=$((failed + 1)) row+="  FAILED" ;;
    esac
    table+=$(printf '\n%-9s %-10s %s' "$backend" "$api" "$row")
  done
done
say ""
say "$table"
if ((failed > 0 || served == 0)); then
  say "demo: failed" >&2
  exit 1
fi
