#!/usr/bin/env bash
# The whole test suite: every test in `release`, every test under
# AddressSanitizer, LeakSanitizer and UndefinedBehaviorSanitizer (`asan`), the
# threaded ones under ThreadSanitizer (`tsan`), and each fuzz target for a while
# (`fuzz`). Installs what it needs (Debian, as root) and asks nothing. Fails if a test fails or a part cannot be run.
source "$(dirname "${BASH_SOURCE[0]}")/setup.sh"

PRESETS=(release asan tsan)
FUZZERS=(http_request socket_address)
FUZZ_SECONDS=15

packages=(g++ cmake ninja-build pkg-config libabsl-dev liburing-dev
  libgtest-dev libgmock-dev googletest libbenchmark-dev libboost-dev clang)
[[ -z $(find tests -name '*.py' -print -quit) ]] || packages+=(python3)
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

# run_preset PRESET: configures, builds and tests it.
run_preset() {
  local preset=$1 prefix=()
  [[ $preset == release ]] || prefix=("${unrandomised[@]}")
  run_step "$preset: configure" "$preset-configure.log" \
    cmake --preset "$preset" &&
    run_step "$preset: build" "$preset-build.log" \
      cmake --build --preset "$preset" -j "$JOBS" &&
    run_step "$preset: test" "$preset-test.log" \
      "${prefix[@]}" ctest --preset "$preset" -j "$JOBS"
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
rm -f "$LOGS"/fuzz-*.log
for preset in "${PRESETS[@]}"; do
  rm -f "$LOGS/$preset-test.log"
  run_preset "$preset" || failed+=("$preset")
done
run_fuzzers || failed+=(fuzz)

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
done
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
