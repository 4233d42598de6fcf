# What `cmake --install` puts in place: headers, library, the CMake package
# `weir` with target weir::weir, and weir.pc (P08).
include(CMakePackageConfigHelpers)

set(_weir_package_dir "${CMAKE_INSTALL_LIBDIR}/cmake/weir")

install(TARGETS weir EXPORT weirTargets
  ARCHIVE DESTINATION "${CMAKE_INSTALL_LIBDIR}")
install(DIRECTORY "${PROJECT_SOURCE_DIR}/core/include/weir"
  DESTINATION "${CMAKE_INSTALL_INCLUDEDIR}" FILES_MATCHING PATTERN "*.h")
install(EXPORT weirTargets NAMESPACE weir::
  DESTINATION "${_weir_package_dir}")

configure_package_config_file(
  "${PROJECT_SOURCE_DIR}/cmake/weirConfig.cmake.in"
  "${PROJECT_BINARY_DIR}/weirConfig.cmake"
  INSTALL_DESTINATION "${_weir_package_dir}")
write_basic_package_version_file(
  "${PROJECT_BINARY_DIR}/weirConfigVersion.cmake"
  COMPATIBILITY SameMinorVersion)
install(FILES
    "${PROJECT_BINARY_DIR}/weirConfig.cmake"
    "${PROJECT_BINARY_DIR}/weirConfigVersion.cmake"
  DESTINATION "${_weir_package_dir}")

# pkg-config: relative to the .pc file, so that the tree can be moved. Names of
# Abseil's .pc files are those of its targets.
set(_weir_pc_dir "${CMAKE_INSTALL_LIBDIR}/pkgconfig")
file(RELATIVE_PATH _weir_pc_prefix
  "${CMAKE_INSTALL_FULL_LIBDIR}/pkgconfig" "${CMAKE_INSTALL_PREFIX}")
list(TRANSFORM WEIR_ABSL_COMPONENTS PREPEND "absl_" OUTPUT_VARIABLE _weir_absl)
list(JOIN _weir_absl ", " WEIR_PC_REQUIRES)
set(WEIR_PC_REQUIRES_PRIVATE "")
if(WEIR_LIBURING_TARGET)
  set(WEIR_PC_REQUIRES_PRIVATE "liburing >= 2.3")
endif()
string(REGEX REPLACE "/$" "" WEIR_PC_PREFIX "\${pcfiledir}/${_weir_pc_prefix}")
list(JOIN WEIR_SANITIZE_FLAGS " " WEIR_PC_SANITIZE_FLAGS)
set(WEIR_PC_SYSTEM_LIBS "-pthread")
if(WIN32)
  list(TRANSFORM WEIR_WINDOWS_LIBRARIES PREPEND "-l"
    OUTPUT_VARIABLE WEIR_PC_SYSTEM_LIBS)
  list(JOIN WEIR_PC_SYSTEM_LIBS " " WEIR_PC_SYSTEM_LIBS)
endif()
configure_file("${PROJECT_SOURCE_DIR}/cmake/weir.pc.in"
  "${PROJECT_BINARY_DIR}/weir.pc" @ONLY)
install(FILES "${PROJECT_BINARY_DIR}/weir.pc" DESTINATION "${_weir_pc_dir}")
