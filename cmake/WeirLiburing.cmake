# liburing from source, as the imported target PkgConfig::WEIR_LIBURING that
# the installed package would give.
include(ExternalProject)

find_program(WEIR_MAKE NAMES gmake make)
find_program(WEIR_SH NAMES sh)
if(NOT WEIR_MAKE OR NOT WEIR_SH)
  message(FATAL_ERROR
    "WEIR_BACKENDS: \"io_uring\" needs liburing 2.3 or newer, found through "
    "pkg-config (Debian: liburing-dev, pkg-config), or sh and make to build it; "
    "without it, the possible value is: epoll.")
endif()
message(STATUS
  "liburing 2.3 or newer is not installed (Debian: liburing-dev, pkg-config); "
  "building its source. Without it, WEIR_BACKENDS can be: epoll")
weir_add_from_source(liburing "")

# `configure` writes into its own tree, so the build works on a copy.
set(_weir_liburing_prefix "${PROJECT_BINARY_DIR}/liburing")
set(_weir_liburing_library "${_weir_liburing_prefix}/lib/liburing.a")
ExternalProject_Add(weir_liburing_build
  PREFIX "${_weir_liburing_prefix}/work"
  DOWNLOAD_COMMAND "${CMAKE_COMMAND}" -E copy_directory
    "${liburing_SOURCE_DIR}" <SOURCE_DIR>
  BUILD_IN_SOURCE ON
  CONFIGURE_COMMAND "${WEIR_SH}" ./configure
    "--prefix=${_weir_liburing_prefix}"
    "--libdir=${_weir_liburing_prefix}/lib"
  BUILD_COMMAND "${WEIR_MAKE}" -C src ENABLE_SHARED=0
  INSTALL_COMMAND "${WEIR_MAKE}" -C src install ENABLE_SHARED=0
  BUILD_BYPRODUCTS "${_weir_liburing_library}"
  EXCLUDE_FROM_ALL ON)

file(MAKE_DIRECTORY "${_weir_liburing_prefix}/include")
add_library(PkgConfig::WEIR_LIBURING STATIC IMPORTED GLOBAL)
set_target_properties(PkgConfig::WEIR_LIBURING PROPERTIES
  IMPORTED_LOCATION "${_weir_liburing_library}"
  INTERFACE_INCLUDE_DIRECTORIES "${_weir_liburing_prefix}/include")
add_dependencies(PkgConfig::WEIR_LIBURING weir_liburing_build)
