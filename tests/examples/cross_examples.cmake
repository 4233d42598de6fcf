# The drivers of the examples, built for this machine, and tests in which they
# drive the programs of a cross build through its emulator.
include(ExternalProject)

set(drivers_dir "${CMAKE_CURRENT_BINARY_DIR}/drivers")
set(has_http_server 0)
if(TARGET http_server)
  set(has_http_server 1)
endif()
ExternalProject_Add(weir_examples_drivers
  SOURCE_DIR "${CMAKE_CURRENT_SOURCE_DIR}"
  BINARY_DIR "${drivers_dir}"
  PREFIX "${drivers_dir}-work"
  CMAKE_ARGS
    "-DCMAKE_BUILD_TYPE=Release"
    "-DCMAKE_EXPORT_COMPILE_COMMANDS=ON"
    "-DWEIR_HAS_HTTP_SERVER=${has_http_server}"
  BUILD_ALWAYS ON
  INSTALL_COMMAND ""
  DEPENDS weir_examples)

list(JOIN WEIR_ENABLED_BACKENDS "," backends)
# weir_cross_driver(NAME SHARDS)
function(weir_cross_driver name shards)
  foreach(index RANGE 1 ${shards})
    math(EXPR zero_based "${index} - 1")
    set(test "${name}")
    if(shards GREATER 1)
      set(test "${name}/${index}_of_${shards}")
    endif()
    add_test(NAME "${test}" COMMAND "${drivers_dir}/${name}")
    set_tests_properties("${test}" PROPERTIES
      ENVIRONMENT "GTEST_TOTAL_SHARDS=${shards};GTEST_SHARD_INDEX=${zero_based};WEIR_TEST_EXAMPLES_RUNNER=${CMAKE_CROSSCOMPILING_EMULATOR};WEIR_TEST_EXAMPLES_DIR=$<TARGET_FILE_DIR:echo_server>;WEIR_TEST_EXAMPLES_BACKENDS=${backends}"
      FIXTURES_REQUIRED wine
      LABELS examples
      TIMEOUT 300)
  endforeach()
endfunction()

weir_cross_driver(examples_command_line_test 2)
weir_cross_driver(examples_echo_load_test 1)
weir_cross_driver(examples_tcp_echo_test 4)
weir_cross_driver(examples_tcp_proxy_test 2)
weir_cross_driver(examples_udp_echo_test 1)
if(has_http_server)
  weir_cross_driver(examples_http_server_test 2)
endif()
