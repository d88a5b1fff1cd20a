# ratchet_test(name SOURCES a.cc … LIBS lib …): one GoogleTest program, run by ctest as one test per case.
find_package(GTest REQUIRED)
include(GoogleTest)
function(ratchet_test name)
  cmake_parse_arguments(arg "TORCH" "" "SOURCES;LIBS" ${ARGN})
  add_executable(${name} ${arg_SOURCES})
  set_target_properties(${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_CURRENT_BINARY_DIR})
  target_link_libraries(${name} PRIVATE ${arg_LIBS} GTest::gmock GTest::gtest_main)
  if(arg_TORCH)
    ratchet_use_torch(${name})
  endif()
  # NO_PRETTY_VALUES: a case goes by the name that its table gives it, not by the bytes of its value.
  gtest_discover_tests(${name} DISCOVERY_MODE PRE_TEST NO_PRETTY_VALUES PROPERTIES TIMEOUT 300 LABELS unit)
endfunction()
