# Installs Weir, or builds and runs the consumer project in the way that USE
# names. Anything that fails ends the script with an error.

# Runs a command; ends the script with its output if it fails.
function(run)
  execute_process(COMMAND ${ARGV}
    RESULT_VARIABLE result OUTPUT_VARIABLE output ERROR_VARIABLE output)
  if(NOT result EQUAL 0)
    list(JOIN ARGV " " command)
    message(FATAL_ERROR "${command}\nfailed (${result}):\n${output}")
  endif()
  set(output "${output}" PARENT_SCOPE)
endfunction()

# Runs the built consumer: it must name a backend.
function(run_consumer program)
  run("${program}")
  if(NOT output MATCHES "^backend: [a-z_-]+\n$")
    message(FATAL_ERROR "${program} printed: ${output}")
  endif()
  message(STATUS "${output}")
endfunction()

# Configures, builds and runs the consumer as a CMake project.
function(build_consumer)
  set(build_dir "${WORK_DIR}/${USE}")
  run("${CMAKE_COMMAND}" -S "${SOURCE_DIR}" -B "${build_dir}"
    -G "${GENERATOR}" "-DCMAKE_CXX_COMPILER=${CXX_COMPILER}"
    "-DCMAKE_CXX_FLAGS=${CXX_FLAGS}" ${ARGV})
  run("${CMAKE_COMMAND}" --build "${build_dir}")
  run_consumer("${build_dir}/consumer")
endfunction()

set(prefix "${WORK_DIR}/prefix")
if(USE STREQUAL "Install")
  file(REMOVE_RECURSE "${prefix}")
  run("${CMAKE_COMMAND}" --install "${WEIR_BINARY_DIR}" --prefix "${prefix}")
elseif(USE STREQUAL "FindPackage")
  build_consumer("-DCMAKE_PREFIX_PATH=${prefix}")
elseif(USE STREQUAL "AddSubdirectory")
  build_consumer("-DWEIR_SOURCE_DIR=${WEIR_SOURCE_DIR}" -DWEIR_PRECOMPILE=ON)
elseif(USE STREQUAL "PkgConfig")
  set(ENV{PKG_CONFIG_PATH} "${prefix}/${LIBDIR}/pkgconfig")
  run(pkg-config --cflags --libs --static weir)
  separate_arguments(flags UNIX_COMMAND "${output}")
  file(MAKE_DIRECTORY "${WORK_DIR}/${USE}")
  run("${CXX_COMPILER}" -std=c++20 "${SOURCE_DIR}/consumer.cc"
    -o "${WORK_DIR}/${USE}/consumer" ${flags})
  run_consumer("${WORK_DIR}/${USE}/consumer")
else()
  message(FATAL_ERROR "USE: \"${USE}\" is unknown")
endif()
