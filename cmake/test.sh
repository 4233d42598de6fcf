#!/usr/bin/env bash
# The whole test suite: every test in `release`, every test under
# AddressSanitizer, LeakSanitizer and UndefinedBehaviorSanitizer (`asan`), the
# threaded ones under ThreadSanitizer (`tsan`). Installs what it needs (Debian,
# as root) and asks nothing. Fails if a test fails or a part cannot be run.
source "$(dirname "${BASH_SOURCE[0]}")/setup.sh"

PRESETS=(release asan tsan)

packages=(g++ cmake ninja-build pkg-config libabsl-dev liburing-dev
  libgtest-dev libgmock-dev googletest libbenchmark-dev)
[[ -z $(find tests -name '*.py' -print -quit) ]] || packages+=(python3)
install_packages "${packages[@]}"
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

failed=()
for preset in "${PRESETS[@]}"; do
  rm -f "$LOGS/$preset-test.log"
  run_preset "$preset" || failed+=("$preset")
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
done
if ((${#failed[@]} > 0)); then
  say "test: failed: ${failed[*]}"
  exit 1
fi
say "test: everything passed"
