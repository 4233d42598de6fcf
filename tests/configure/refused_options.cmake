# Configures Weir once per row, and expects a refusal in the row's words.
# Line breaks of CMake's message layout count as spaces.

# Row: settings, separated by spaces | a regular expression.
if(SYSTEM STREQUAL "Windows")
  set(rows
    "WEIR_BACKEND=epoll|WEIR_BACKEND: \"epoll\" is not possible on Windows; possible values are: auto, iocp-overlapped, iocp-psn\\."
    "WEIR_BACKENDS=iocp-psn,io_uring|WEIR_BACKENDS: \"io_uring\" is not possible on Windows; possible values are: iocp-overlapped, iocp-psn\\."
    "WEIR_BACKENDS=iocp-psn WEIR_BACKEND=iocp-overlapped|WEIR_BACKEND: \"iocp-overlapped\" is not among the backends compiled in \\(WEIR_BACKENDS\\); possible values are: auto, iocp-psn\\.")
else()
  set(rows
    "WEIR_BACKEND=kqueue|WEIR_BACKEND: \"kqueue\" is not possible on Linux; possible values are: auto, epoll, io_uring\\."
    "WEIR_BACKEND=iocp-psn|WEIR_BACKEND: \"iocp-psn\" is not possible on Linux; possible values are: auto, epoll, io_uring\\."
    "WEIR_BACKENDS=epoll,iocp-overlapped|WEIR_BACKENDS: \"iocp-overlapped\" is not possible on Linux; possible values are: epoll, io_uring\\."
    "WEIR_BACKENDS=epoll WEIR_BACKEND=io_uring|WEIR_BACKEND: \"io_uring\" is not among the backends compiled in \\(WEIR_BACKENDS\\); possible values are: auto, epoll\\."
    "WEIR_SANITIZE=memory|WEIR_SANITIZE: \"memory\" is not possible on Linux; possible values are: address, thread, or nothing\\."
    "WEIR_ABSEIL=vendored|WEIR_ABSEIL: \"vendored\" is not possible on Linux; possible values are: auto, system, source\\.")
endif()
set(defaults -DWEIR_BACKEND=auto -DWEIR_BACKENDS= -DWEIR_SANITIZE=
  -DWEIR_ABSEIL=auto -DWEIR_BUILD_TESTS=OFF -DWEIR_BUILD_BENCHMARKS=OFF)

# A toolchain file names the compiler.
set(compiler "-DCMAKE_CXX_COMPILER=${CXX_COMPILER}")
if(TOOLCHAIN_FILE)
  set(compiler "-DCMAKE_TOOLCHAIN_FILE=${TOOLCHAIN_FILE}")
endif()

foreach(row IN LISTS rows)
  string(REGEX MATCH "^([^|]*)\\|(.*)$" _ "${row}")
  set(settings "${CMAKE_MATCH_1}")
  set(expected "${CMAKE_MATCH_2}")
  string(REPLACE " " ";-D" arguments "-D${settings}")
  list(TRANSFORM arguments REPLACE "," "\\\\;")
  execute_process(
    COMMAND "${CMAKE_COMMAND}" -S "${SOURCE_DIR}" -B "${BINARY_DIR}"
      -G "${GENERATOR}" ${compiler} ${defaults} ${arguments}
    RESULT_VARIABLE result OUTPUT_VARIABLE output ERROR_VARIABLE output)
  string(REGEX REPLACE "[ \n]+" " " output "${output}")
  if(result EQUAL 0)
    message(SEND_ERROR "${settings}: was accepted")
  elseif(NOT output MATCHES "${expected}")
    message(SEND_ERROR "${settings}: refused, but not with `${expected}`:\n"
      "${output}")
  endif()
endforeach()
