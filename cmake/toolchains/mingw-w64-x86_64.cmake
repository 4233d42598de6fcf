# Windows programs from Linux: MinGW-w64's GCC with the posix thread model
# (std::thread, std::mutex), everything linked statically, and run under Wine.
# Debian: g++-mingw-w64-x86-64-posix, wine, wine64.
set(CMAKE_SYSTEM_NAME Windows)
set(CMAKE_SYSTEM_PROCESSOR x86_64)
set(_weir_triple x86_64-w64-mingw32)
set(CMAKE_C_COMPILER ${_weir_triple}-gcc-posix)
set(CMAKE_CXX_COMPILER ${_weir_triple}-g++-posix)
set(CMAKE_RC_COMPILER ${_weir_triple}-windres)

set(CMAKE_FIND_ROOT_PATH /usr/${_weir_triple})
set(CMAKE_FIND_ROOT_PATH_MODE_PROGRAM NEVER)
set(CMAKE_FIND_ROOT_PATH_MODE_LIBRARY ONLY)
set(CMAKE_FIND_ROOT_PATH_MODE_INCLUDE ONLY)
set(CMAKE_FIND_ROOT_PATH_MODE_PACKAGE ONLY)

# No DLL of libstdc++, libgcc or winpthread beside the programs.
set(CMAKE_EXE_LINKER_FLAGS_INIT "-static")

set(CMAKE_CROSSCOMPILING_EMULATOR "${CMAKE_CURRENT_LIST_DIR}/../wine.sh")
