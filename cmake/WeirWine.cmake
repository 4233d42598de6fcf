# Running Windows programs of a cross build: the Wine prefix, made with the rest
# of the build, and tests by the program instead of by the case.

if(NOT CMAKE_CROSSCOMPILING OR NOT WIN32)
  return()
endif()

if(WEIR_BUILD_TESTS)
  # Says what is missing now, and not by every test.
  find_program(WEIR_WINE NAMES wine NO_CMAKE_FIND_ROOT_PATH)
  if(NOT WEIR_WINE)
    message(FATAL_ERROR
      "WEIR_BUILD_TESTS: the tests of a Windows build run under Wine, which was "
      "not found (Debian: wine, wine64); without it, the possible value is: OFF.")
  endif()
  add_custom_target(weir_wine_prefix ALL
    COMMAND "${PROJECT_SOURCE_DIR}/cmake/wine.sh" --make
    COMMENT "Making the Wine prefix"
    VERBATIM)
endif()

# weir_add_wine_fixture(): the tests that start and end the prefix's server, in
# whose lifetime all others run.
function(weir_add_wine_fixture)
  add_test(NAME Wine.ServerStarts
    COMMAND "${PROJECT_SOURCE_DIR}/cmake/wine.sh" --start)
  add_test(NAME Wine.ServerStops
    COMMAND "${PROJECT_SOURCE_DIR}/cmake/wine.sh" --stop)
  set_tests_properties(Wine.ServerStarts PROPERTIES
    FIXTURES_SETUP wine TIMEOUT 120)
  set_tests_properties(Wine.ServerStops PROPERTIES
    FIXTURES_CLEANUP wine TIMEOUT 60)
endfunction()

# weir_add_shards(PROGRAM SHARDS LABELS TIMEOUT): the cases of a GoogleTest
# program, shared out between SHARDS processes.
function(weir_add_shards program shards labels timeout)
  foreach(index RANGE 1 ${shards})
    set(name "${program}")
    math(EXPR zero_based "${index} - 1")
    if(shards GREATER 1)
      set(name "${program}/${index}_of_${shards}")
    endif()
    add_test(NAME "${name}" COMMAND ${program})
    set_tests_properties("${name}" PROPERTIES
      ENVIRONMENT
        "GTEST_TOTAL_SHARDS=${shards};GTEST_SHARD_INDEX=${zero_based}"
      FIXTURES_REQUIRED wine
      LABELS "${labels}"
      TIMEOUT ${timeout})
  endforeach()
endfunction()
