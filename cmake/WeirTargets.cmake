# How Weir's own targets are declared. One call per test, example or benchmark,
# each in its directory's CMakeLists.txt.

# weir_compile_settings(TARGET): language, warnings and include root of Weir's
# own code. Files name each other from the root: "core/timer_wheel.h".
function(weir_compile_settings target)
  target_compile_features(${target} PUBLIC cxx_std_20)
  set_target_properties(${target} PROPERTIES CXX_EXTENSIONS OFF)
  target_include_directories(${target} PRIVATE "${PROJECT_SOURCE_DIR}")
  if(MSVC)
    # clang-cl understands these too. C4324: a structure was padded because of
    # its alignas. C4996: a function of the C library has a successor.
    target_compile_options(${target} PRIVATE
      /W4 /wd4324 /wd4996 /permissive- /bigobj /utf-8 /Zc:__cplusplus
      /Zc:preprocessor
      $<$<BOOL:${WEIR_WARNINGS_AS_ERRORS}>:/WX>)
  else()
    target_compile_options(${target} PRIVATE
      -Wall -Wextra -Wconversion -Wshadow
      $<$<BOOL:${WEIR_WARNINGS_AS_ERRORS}>:-Werror>)
  endif()
  if(WIN32)
    # Windows 10's interfaces; and <windows.h> without the old <winsock.h>, and
    # without macros called min and max.
    target_compile_definitions(${target} PRIVATE
      _WIN32_WINNT=0x0A00 WINVER=0x0A00 WIN32_LEAN_AND_MEAN NOMINMAX)
  endif()
endfunction()

# weir_precompile(TARGET SET HEADER...): with headers that take longer to read than
# most of its files. A SET is compiled for the first of its targets alone.
function(weir_precompile target set)
  get_property(first GLOBAL PROPERTY WEIR_PRECOMPILED_${set})
  if(first)
    target_precompile_headers(${target} REUSE_FROM ${first})
  else()
    target_precompile_headers(${target} PRIVATE ${ARGN})
    set_property(GLOBAL PROPERTY WEIR_PRECOMPILED_${set} ${target})
  endif()
endfunction()

# weir_precompile_suite(TARGET): with the conformance suite's headers.
function(weir_precompile_suite target)
  weir_precompile(${target} suite
    <gmock/gmock.h> "${PROJECT_SOURCE_DIR}/tests/conformance/conformance.h")
endfunction()

# weir_test(NAME name SOURCES file... [LIBRARIES target...]
#           [THREADED] [CONFORMANCE] [TIMEOUT seconds] [SHARDS number])
#
# A GoogleTest program. CTest runs each case by itself, under GoogleTest's own
# name for it ("Conformance.R05_EdgeIsNeverLost/io_uring"); cross-compiled, where
# a program's start takes longer than most cases, SHARDS processes run a share of
# the cases each (default: one runs all). THREADED: uses more than one thread, and
# therefore also runs under ThreadSanitizer. CONFORMANCE: part of the suite that
# every backend must pass. Both become CTest labels.
function(weir_test)
  cmake_parse_arguments(PARSE_ARGV 0 arg
    "THREADED;CONFORMANCE" "NAME;TIMEOUT;SHARDS" "SOURCES;LIBRARIES")
  if(arg_UNPARSED_ARGUMENTS OR NOT arg_NAME OR NOT arg_SOURCES)
    message(FATAL_ERROR "weir_test: bad arguments: ${ARGV}")
  endif()
  if(NOT arg_TIMEOUT)
    set(arg_TIMEOUT 60)
  endif()
  add_executable(${arg_NAME} ${arg_SOURCES})
  weir_compile_settings(${arg_NAME})
  target_link_libraries(${arg_NAME} PRIVATE
    weir::weir ${arg_LIBRARIES} GTest::gtest GTest::gtest_main)
  if(weir_conformance IN_LIST arg_LIBRARIES OR WEIR_PRECOMPILE)
    weir_precompile_suite(${arg_NAME})
  endif()
  set(labels "")
  if(arg_THREADED)
    list(APPEND labels threaded)
    if(NOT TARGET weir_threaded_tests)
      add_custom_target(weir_threaded_tests)
    endif()
    add_dependencies(weir_threaded_tests ${arg_NAME})
  endif()
  if(arg_CONFORMANCE)
    list(APPEND labels conformance)
  endif()
  if(CMAKE_CROSSCOMPILING)
    if(NOT arg_SHARDS)
      set(arg_SHARDS 1)
    endif()
    weir_add_shards(${arg_NAME} ${arg_SHARDS} "${labels}" 300)
    return()
  endif()
  gtest_discover_tests(${arg_NAME}
    NO_PRETTY_VALUES
    DISCOVERY_MODE PRE_TEST
    DISCOVERY_TIMEOUT 60
    PROPERTIES TIMEOUT ${arg_TIMEOUT})
  # gtest_discover_tests() cannot pass a list as the value of a property, so
  # the labels are set by a script that CTest reads after the discovered cases.
  set(script "${CMAKE_CURRENT_BINARY_DIR}/${arg_NAME}_labels.cmake")
  file(CONFIGURE OUTPUT "${script}" CONTENT [[
if(@arg_NAME@_TESTS)
  set_tests_properties(${@arg_NAME@_TESTS} PROPERTIES LABELS "@labels@")
endif()
]] @ONLY)
  set_property(DIRECTORY APPEND PROPERTY TEST_INCLUDE_FILES "${script}")
endfunction()

# weir_example(NAME SOURCES...): a program in build/<preset>/examples/.
function(weir_example name)
  add_executable(${name} ${ARGN})
  weir_compile_settings(${name})
  target_link_libraries(${name} PRIVATE
    weir::weir absl::flags absl::flags_parse absl::flags_usage)
  if(WEIR_PRECOMPILE)
    weir_precompile(${name} examples
      "${PROJECT_SOURCE_DIR}/examples/example_main.h"
      "${PROJECT_SOURCE_DIR}/examples/tcp_echo.h"
      <absl/flags/flag.h>)
  endif()
  add_dependencies(weir_examples ${name})
endfunction()

# weir_benchmark(NAME SOURCES...): a program in build/<preset>/benchmarks/.
function(weir_benchmark name)
  add_executable(${name} ${ARGN})
  weir_compile_settings(${name})
  target_link_libraries(${name} PRIVATE weir::weir benchmark::benchmark)
endfunction()
