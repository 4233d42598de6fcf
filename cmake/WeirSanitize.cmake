# WEIR_SANITIZE, for everything that is configured below this directory:
# dependencies built from source are instrumented like Weir itself.
set(WEIR_SANITIZE_FLAGS "")
if(WEIR_SANITIZE STREQUAL "address")
  set(WEIR_SANITIZE_FLAGS
    -fsanitize=address,undefined -fno-sanitize-recover=all
    # The vptr check reads memory through a pipe of its own, and reports
    # nonsense where a test has used up the descriptors.
    -fno-sanitize=vptr)
  if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
    # With any of these checks, GCC does not take the address of a function for
    # a constant that differs from null (GCC bug 71962), and Abseil's hash
    # tables since 2024 do not compile. Clang keeps them.
    list(APPEND WEIR_SANITIZE_FLAGS
      -fno-sanitize=null,nonnull-attribute,returns-nonnull-attribute)
  endif()
elseif(WEIR_SANITIZE STREQUAL "thread")
  set(WEIR_SANITIZE_FLAGS -fsanitize=thread)
endif()
if(WEIR_BUILD_FUZZERS)
  # The coverage that libFuzzer is guided by.
  list(APPEND WEIR_SANITIZE_FLAGS -fsanitize=fuzzer-no-link)
endif()
if(WEIR_SANITIZE_FLAGS)
  add_compile_options(${WEIR_SANITIZE_FLAGS} -fno-omit-frame-pointer)
  add_link_options(${WEIR_SANITIZE_FLAGS})
endif()
