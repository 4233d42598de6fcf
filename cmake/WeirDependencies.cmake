# Abseil, GoogleTest, Google Benchmark and liburing: the installed package
# first, else the release pinned here, fetched and built.
#
# FETCHCONTENT_SOURCE_DIR_<ABSL|GOOGLETEST|BENCHMARK|LIBURING> names an unpacked
# source tree to use instead of a download. Where that is not given, what the
# distribution has is used: /usr/src/googletest, and build/deps/abseil, which
# cmake/test.sh makes from the distribution's source package.

include(FetchContent)
find_package(Threads REQUIRED)

FetchContent_Declare(absl SYSTEM
  URL https://github.com/abseil/abseil-cpp/releases/download/20240722.0/abseil-cpp-20240722.0.tar.gz
  URL_HASH SHA256=f50e5ac311a81382da7fa75b97310e4b9006474f9560ac46f54a9967f07d4ae3
  DOWNLOAD_EXTRACT_TIMESTAMP FALSE
  SOURCE_SUBDIR populate-only)
FetchContent_Declare(googletest SYSTEM
  URL https://github.com/google/googletest/releases/download/v1.15.2/googletest-1.15.2.tar.gz
  URL_HASH SHA256=7b42b4d6ed48810c5362c265a17faebe90dc2373c885e5216439d37927f02926
  DOWNLOAD_EXTRACT_TIMESTAMP FALSE
  SOURCE_SUBDIR populate-only)
FetchContent_Declare(benchmark SYSTEM
  URL https://github.com/google/benchmark/archive/refs/tags/v1.9.1.tar.gz
  URL_HASH SHA256=32131c08ee31eeff2c8968d7e874f3cb648034377dfc32a4c377fa8796d84981
  DOWNLOAD_EXTRACT_TIMESTAMP FALSE
  SOURCE_SUBDIR populate-only)
FetchContent_Declare(liburing SYSTEM
  URL https://github.com/axboe/liburing/archive/refs/tags/liburing-2.9.tar.gz
  URL_HASH SHA256=897b1153b55543e8b92a5a3eb9b906537a5fedcf8afaf241f8b8787940c79f8d
  DOWNLOAD_EXTRACT_TIMESTAMP FALSE
  SOURCE_SUBDIR populate-only)

# weir_add_from_source(NAME DIRECTORY): the targets of a declared dependency.
# DIRECTORY is used instead of a download if it is there and nothing else was
# asked for. Only what is linked gets built (SOURCE_SUBDIR above names no
# directory, so that FetchContent itself adds nothing: it could not exclude the
# dependency's targets from `all` before CMake 3.28).
macro(weir_add_from_source name directory)
  string(TOUPPER "${name}" _weir_upper)
  if(NOT FETCHCONTENT_SOURCE_DIR_${_weir_upper} AND EXISTS "${directory}")
    set(FETCHCONTENT_SOURCE_DIR_${_weir_upper} "${directory}")
  endif()
  set(CMAKE_CXX_STANDARD 20)
  set(CMAKE_CXX_STANDARD_REQUIRED ON)
  set(CMAKE_POLICY_DEFAULT_CMP0077 NEW)  # Its options take plain variables.
  FetchContent_MakeAvailable(${name})
  message(STATUS "${name}: built from ${${name}_SOURCE_DIR}")
  if(EXISTS "${${name}_SOURCE_DIR}/CMakeLists.txt")
    add_subdirectory("${${name}_SOURCE_DIR}" "${${name}_BINARY_DIR}"
      EXCLUDE_FROM_ALL SYSTEM)
  endif()
endmacro()

# What is linked of Windows itself.
set(WEIR_WINDOWS_LIBRARIES ws2_32 mswsock iphlpapi ntdll)

# Dependencies that were built here, which an installed Weir could not name.
set(WEIR_UNINSTALLED_DEPENDENCIES "")

# Abseil: what the public headers and the library use.
set(WEIR_ABSL_COMPONENTS
  any_invocable cleanup cord core_headers flat_hash_map flat_hash_set
  function_ref hash inlined_vector span status statusor str_format strings
  synchronization time)
list(TRANSFORM WEIR_ABSL_COMPONENTS PREPEND "absl::"
  OUTPUT_VARIABLE WEIR_ABSL_TARGETS)
if(NOT TARGET absl::status)
  set(_weir_absl_installed FALSE)
  if(WEIR_ABSEIL STREQUAL "system")
    find_package(absl CONFIG REQUIRED)
    set(_weir_absl_installed TRUE)
  elseif(WEIR_ABSEIL STREQUAL "auto")
    find_package(absl CONFIG QUIET)
    set(_weir_absl_installed ${absl_FOUND})
  endif()
  if(_weir_absl_installed AND NOT TARGET absl::any_invocable)
    message(FATAL_ERROR
      "The Abseil in ${absl_DIR} is older than 20220623, the first that Weir "
      "can use; WEIR_ABSEIL=source builds one.")
  endif()
  if(NOT _weir_absl_installed)
    set(ABSL_PROPAGATE_CXX_STD ON)
    weir_add_from_source(absl "${PROJECT_SOURCE_DIR}/build/deps/abseil")
    list(APPEND WEIR_UNINSTALLED_DEPENDENCIES Abseil)
  endif()
endif()

# GoogleTest: instrumented or not like Abseil.
if(WEIR_BUILD_TESTS AND NOT TARGET GTest::gtest)
  set(_weir_gtest_installed FALSE)
  if(WEIR_ABSEIL STREQUAL "system")
    find_package(GTest REQUIRED)
    set(_weir_gtest_installed TRUE)
  elseif(WEIR_ABSEIL STREQUAL "auto")
    find_package(GTest QUIET)
    set(_weir_gtest_installed ${GTest_FOUND})
  endif()
  if(NOT _weir_gtest_installed)
    set(INSTALL_GTEST OFF)
    set(gtest_force_shared_crt ON)  # Microsoft's compiler: as everything else.
    weir_add_from_source(googletest "/usr/src/googletest")
  endif()
endif()

# Google Benchmark. What Weir is measured beside, and with, is Linux's.
if(NOT CMAKE_SYSTEM_NAME STREQUAL "Linux")
  set(WEIR_BUILD_BENCHMARKS OFF)
endif()
if(WEIR_BUILD_BENCHMARKS AND NOT TARGET benchmark::benchmark)
  find_package(benchmark CONFIG QUIET)
  if(NOT benchmark_FOUND)
    set(BENCHMARK_ENABLE_TESTING OFF)
    set(BENCHMARK_ENABLE_WERROR OFF)
    set(BENCHMARK_ENABLE_INSTALL OFF)
    weir_add_from_source(benchmark "")
  endif()
endif()

# liburing: its own build is a shell script and a makefile.
set(WEIR_LIBURING_TARGET "")
if("io_uring" IN_LIST WEIR_ENABLED_BACKENDS)
  set(WEIR_LIBURING_TARGET PkgConfig::WEIR_LIBURING)
  find_package(PkgConfig QUIET)
  if(PkgConfig_FOUND)
    pkg_check_modules(WEIR_LIBURING QUIET IMPORTED_TARGET GLOBAL liburing>=2.3)
  endif()
  if(NOT TARGET PkgConfig::WEIR_LIBURING)
    include(WeirLiburing)
    list(APPEND WEIR_UNINSTALLED_DEPENDENCIES liburing)
  endif()
endif()

# An installed Weir finds its dependencies as installed packages.
set(_weir_install_default ${PROJECT_IS_TOP_LEVEL})
if(WEIR_UNINSTALLED_DEPENDENCIES)
  set(_weir_install_default OFF)
endif()
option(WEIR_INSTALL "Install rules, and the tests of an installed Weir"
  ${_weir_install_default})
if(WEIR_INSTALL AND WEIR_UNINSTALLED_DEPENDENCIES)
  list(JOIN WEIR_UNINSTALLED_DEPENDENCIES " and " _weir_uninstalled)
  message(FATAL_ERROR
    "WEIR_INSTALL: \"ON\" is not possible when this build makes its own "
    "${_weir_uninstalled}, which an installed Weir could not find; install "
    "the development packages (Debian: libabsl-dev, liburing-dev, pkg-config), "
    "or use the possible value: OFF.")
endif()
