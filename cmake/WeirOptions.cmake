# The build's options. A value that is unknown, or impossible on this platform,
# stops the configuration with one sentence that names the possible ones.

# weir_check_choice(NAME VALUE CHOICE...): stops unless VALUE is a CHOICE.
function(weir_check_choice name value)
  if(NOT value IN_LIST ARGN)
    list(JOIN ARGN ", " choices)
    message(FATAL_ERROR
      "${name}: \"${value}\" is not possible on ${CMAKE_SYSTEM_NAME}; "
      "possible values are: ${choices}.")
  endif()
endfunction()

# Which backends a platform has.
if(CMAKE_SYSTEM_NAME STREQUAL "Linux")
  set(WEIR_PLATFORM_BACKENDS epoll io_uring)
elseif(CMAKE_SYSTEM_NAME STREQUAL "Windows")
  set(WEIR_PLATFORM_BACKENDS iocp-overlapped iocp-psn)
else()
  message(FATAL_ERROR
    "Weir has no backend for ${CMAKE_SYSTEM_NAME}; possible systems are: "
    "Linux, Windows.")
endif()

set(WEIR_BACKENDS "" CACHE STRING
  "Backends to compile in, a list; empty: all that the platform has")
set(WEIR_BACKEND "auto" CACHE STRING
  "Default backend: auto, or one of WEIR_BACKENDS")
set(WEIR_SANITIZE "" CACHE STRING
  "Sanitizers: empty, address (with undefined), or thread")
set(WEIR_ABSEIL "auto" CACHE STRING
  "Abseil and GoogleTest: auto (installed, else source), system, or source")
option(WEIR_BUILD_TESTS "Build the tests" ${PROJECT_IS_TOP_LEVEL})
option(WEIR_BUILD_EXAMPLES "Build the examples" ${PROJECT_IS_TOP_LEVEL})
option(WEIR_BUILD_BENCHMARKS "Build the benchmarks" ${PROJECT_IS_TOP_LEVEL})
option(WEIR_BUILD_FUZZERS "Build the fuzz targets, with Clang alone" OFF)
option(WEIR_PRECOMPILE
  "Precompile headers of the library and the examples, as of the tests" OFF)
option(WEIR_WARNINGS_AS_ERRORS "Warnings of Weir's own code are errors" OFF)
# WEIR_INSTALL is an option of WeirDependencies.cmake: its default depends on
# where the dependencies come from.

set_property(CACHE WEIR_BACKEND PROPERTY STRINGS auto ${WEIR_PLATFORM_BACKENDS})
set_property(CACHE WEIR_SANITIZE PROPERTY STRINGS "" address thread)
set_property(CACHE WEIR_ABSEIL PROPERTY STRINGS auto system source)

# The backends that are compiled in.
set(WEIR_ENABLED_BACKENDS ${WEIR_BACKENDS})
if(NOT WEIR_ENABLED_BACKENDS)
  set(WEIR_ENABLED_BACKENDS ${WEIR_PLATFORM_BACKENDS})
endif()
list(REMOVE_DUPLICATES WEIR_ENABLED_BACKENDS)
foreach(_weir_backend IN LISTS WEIR_ENABLED_BACKENDS)
  weir_check_choice(WEIR_BACKENDS "${_weir_backend}" ${WEIR_PLATFORM_BACKENDS})
endforeach()
weir_check_choice(WEIR_BACKEND "${WEIR_BACKEND}" auto ${WEIR_PLATFORM_BACKENDS})
if(NOT WEIR_BACKEND STREQUAL "auto"
   AND NOT WEIR_BACKEND IN_LIST WEIR_ENABLED_BACKENDS)
  list(JOIN WEIR_ENABLED_BACKENDS ", " _weir_enabled)
  message(FATAL_ERROR
    "WEIR_BACKEND: \"${WEIR_BACKEND}\" is not among the backends compiled in "
    "(WEIR_BACKENDS); possible values are: auto, ${_weir_enabled}.")
endif()

if(NOT WEIR_SANITIZE STREQUAL "")
  weir_check_choice(WEIR_SANITIZE "${WEIR_SANITIZE}"
    address thread "or nothing")
endif()
weir_check_choice(WEIR_ABSEIL "${WEIR_ABSEIL}" auto system source)
if(WEIR_BUILD_FUZZERS AND NOT CMAKE_CXX_COMPILER_ID MATCHES "Clang")
  message(FATAL_ERROR
    "WEIR_BUILD_FUZZERS: libFuzzer comes with Clang, and the compiler is "
    "${CMAKE_CXX_COMPILER_ID}; CMAKE_CXX_COMPILER=clang++ chooses it.")
endif()
