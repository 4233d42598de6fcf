#!/usr/bin/env bash
# The whole test suite: every test in `release`, every test under
# AddressSanitizer, LeakSanitizer and UndefinedBehaviorSanitizer (`asan`), the
# threaded ones under ThreadSanitizer (`tsan`), every one of the Windows build
# under Wine (`mingw`), and each fuzz target for a while (`fuzz`). Arguments name
# the parts to run instead of these. Installs what it needs (Debian, as root) and
# asks nothing. Fails if a test fails or a part cannot be run.
source "$(dirname "${BASH_SOURCE[0]}")/setup.sh"

PARTS=(release asan tsan mingw fuzz)
(($# == 0)) || PARTS=("$@")
FUZZERS=(http_request socket_address)
FUZZ_SECONDS=15

# wanted PART: whether it is to be run.
wanted() {
  local part
  for part in "${PARTS[@]}"; do
    [[ $part != "$1" ]] || return 0
  done
  return 1
}

PRESETS=()
for part in "${PARTS[@]}"; do
  case $part in
    release | asan | tsan | mingw) PRESETS+=("$part") ;;
    fuzz) ;;
    *)
      say "test: there is no part $part; there are: release asan tsan mingw fuzz" >&2
      exit 2
      ;;
  esac
done

packages=(g++ cmake ninja-build pkg-config libabsl-dev liburing-dev
  libgtest-dev libgmock-dev googletest libbenchmark-dev libboost-dev clang)
[[ -z $(find tests -name '*.py' -print -quit) ]] || packages+=(python3)
if wanted release; then
  # What counts for expected_counts.
  packages+=(strace valgrind)
fi
if wanted mingw; then
  packages+=(g++-mingw-w64-x86-64-posix wine wine64)
fi
install_packages "${packages[@]}"
# What clang's sanitizers and libFuzzer link to; clang merely recommends it.
install_packages "libclang-rt-$(clang++ -dumpversion | cut -d. -f1)-dev"
fetch_abseil_source

# The sanitizers' shadow memory cannot be placed where the kernel randomises
# addresses in more than 28 bits.
unrandomised=()
if (($(cat /proc/sys/vm/mmap_rnd_bits 2>/dev/null || echo 0) > 28)); then
  if setarch -R true 2>/dev/null; then
    unrandomised=(setarch -R)
  else
    say "-- vm.mmap_rnd_bits is above 28 and cannot be overridden here:" \
      "the sanitizers may refuse to start"
  fi
fi

build_preset() {
  run_step "$1: configure" "$1-configure.log" cmake --preset "$1" &&
    run_step "$1: build" "$1-build.log" \
      nice cmake --build --preset "$1" -j "$JOBS"
}

# A program of hundreds of cases that fails under Wine has a second try, and is
# named: on a loaded machine the emulator has faults of its own, now and then.
test_preset() {
  local prefix=() repeat=()
  case $1 in
    asan | tsan) prefix=("${unrandomised[@]}") ;;
    mingw) repeat=(--repeat until-pass:2) ;;
  esac
  run_step "$1: test" "$1-test.log" \
    "${prefix[@]}" ctest --preset "$1" -j "$JOBS" "${repeat[@]}"
}

# Builds the fuzz targets with Clang and runs each for FUZZ_SECONDS, from the
# same seed; what makes one fail is kept in build/fuzz/, named in its log.
run_fuzzers() {
  local name status=0
  run_step "fuzz: configure" fuzz-configure.log cmake --preset fuzz &&
    run_step "fuzz: build" fuzz-build.log \
      cmake --build --preset fuzz -j "$JOBS" || return
  for name in "${FUZZERS[@]}"; do
    run_step "fuzz: $name" "fuzz-$name.log" \
      "${unrandomised[@]}" "build/fuzz/tests/fuzz/${name}_fuzz" \
      -seed=1 -max_total_time="$FUZZ_SECONDS" -timeout=10 \
      -rss_limit_mb=2048 -dict="tests/fuzz/$name.dict" \
      -artifact_prefix=build/fuzz/ -print_final_stats=1 || status=1
  done
  return "$status"
}

failed=()
rm -f "$LOGS"/fuzz-*.log "$LOGS"/{release,asan,tsan,mingw}-test.log
built=()
emulated=
# Under Wine the tests wait more than they compute: the other presets are built
# meanwhile.
if wanted mingw; then
  if build_preset mingw; then
    test_preset mingw &
    emulated=$!
  else
    failed+=(mingw)
  fi
fi
for preset in "${PRESETS[@]}"; do
  [[ $preset != mingw ]] || continue
  if build_preset "$preset"; then
    built+=("$preset")
  else
    failed+=("$preset")
  fi
done
[[ -z $emulated ]] || wait "$emulated" || failed+=(mingw)
for preset in "${built[@]}"; do
  test_preset "$preset" || failed+=("$preset")
done
if wanted fuzz; then
  run_fuzzers || failed+=(fuzz)
fi

# What the Windows tests left out, and why: a reason, and the cases below it.
list_skipped() {
  local log=build/mingw/Testing/Temporary/LastTest.log
  [[ -e $log ]] || return 0
  tr -d '\r' <"$log" | awk '
    /: Skipped$/ { getline reason }
    /^\[  SKIPPED \] .* \([0-9]+ ms\)$/ {
      sub(/^\[  SKIPPED \] /, ""); sub(/ \([0-9]+ ms\)$/, "")
      sub(/, where .*/, "")
      cases[reason] = cases[reason] "\nmingw:     " $0
    }
    /^\[   NOTE   \]/ { sub(/^\[   NOTE   \] /, ""); notes[$0] = 1 }
    END {
      for (reason in cases) print "mingw: skipped, " reason ":" cases[reason]
      for (note in notes) print "mingw: " note
    }'
}

# What the tests said that failed in LOG, the beginning of it.
show_failures() {
  awk -v most=60 '
    / Test +#[0-9]+: .*\*\*\*(Failed|Timeout|Exception|Not Run)/ {
      left = most
    }
    /^ *(Start +[0-9]+: |[0-9]+\/[0-9]+ Test +#)/ && !/\*\*\*/ { left = 0 }
    /^[0-9]+% tests passed/ { left = 0 }
    left > 0 { print; --left }' "$1"
}

for preset in "${PRESETS[@]}"; do
  log=$LOGS/$preset-test.log
  [[ ! -e $log ]] || show_failures "$log"
done

say ""
say "Summary (full logs in $LOGS)"
for preset in "${PRESETS[@]}"; do
  log=$LOGS/$preset-test.log
  if ! grep -q 'tests passed' "$log" 2>/dev/null; then
    say "$preset: NOT RUN"
    continue
  fi
  say "$preset: $(grep -E '% tests passed' "$log")"
  grep -E '^Total Test time' "$log" | sed "s/^/$preset: /"
  sed -n '/^The following tests/,/^$/p' "$log" |
    sed "/^\$/d;/^Errors while/d;s/^/$preset: /;s/\t/  /g"
  [[ $preset != mingw ]] || list_skipped
  grep -E "^ *Test +#[0-9]+: .*\*\*\*" "$log" | grep -v Skipped |
    sed 's/^ */'"$preset"': had a second try: /' || true
done
wanted fuzz || FUZZERS=()
for name in "${FUZZERS[@]}"; do
  log=$LOGS/fuzz-$name.log
  runs=$(sed -n 's/^stat::number_of_executed_units: *//p' "$log" 2>/dev/null)
  say "fuzz: $name: ${runs:-NO} runs"
done
if ((${#failed[@]} > 0)); then
  say "test: failed: ${failed[*]}"
  exit 1
fi
say "test: everything passed"
