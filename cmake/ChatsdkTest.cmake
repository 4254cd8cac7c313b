# SPDX-License-Identifier: Apache-2.0
# chatsdk_test(<name> SOURCES ... LIBRARIES ... [THREADS] [LABELS ...] [TIMEOUT seconds]): one GoogleTest program.
#
# Every case in it is a ctest of its own, named <Suite>.<Case>; under a sanitizer, where a process is slow to start, the
# program is one ctest. THREADS: its cases run on several threads; only such programs are built for ThreadSanitizer, the
# others have one thread and nothing to show there.
#
# Tests of the client link protobuf-lite, tests of the server full protobuf: one of chatsdk_protobuf_lite and
# chatsdk_protobuf_full stands among LIBRARIES when messages are used.

find_package(GTest REQUIRED)
include(GoogleTest)

# What nearly every test file includes, compiled once: GoogleTest's headers are most of the time that a small test file
# takes. The files include what they use all the same.
file(CONFIGURE OUTPUT ${PROJECT_BINARY_DIR}/test_headers.cpp CONTENT "")
add_library(chatsdk_test_headers OBJECT ${PROJECT_BINARY_DIR}/test_headers.cpp)
target_link_libraries(chatsdk_test_headers PRIVATE chatsdk_build GTest::gmock)
target_precompile_headers(chatsdk_test_headers PRIVATE
  <gmock/gmock.h> <gtest/gtest.h> <chrono> <filesystem> <functional> <map> <memory> <optional> <string> <vector>)

# What is watched is the product; GoogleTest's headers, watched in every file, take a third of the set's building.
if(CHATSDK_SANITIZE MATCHES "undefined")
  set(CHATSDK_TEST_OPTIONS -fno-sanitize=undefined)
endif()
# GCC 12 sees overruns in its own std::string where a precompiled header has hidden that it is a system header. The
# product's files are compiled without such a header and with these warnings.
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
  list(APPEND CHATSDK_TEST_OPTIONS -Wno-array-bounds -Wno-stringop-overread -Wno-stringop-overflow -Wno-restrict)
endif()
target_compile_options(chatsdk_test_headers PRIVATE ${CHATSDK_TEST_OPTIONS})

function(chatsdk_test name)
  cmake_parse_arguments(PARSE_ARGV 1 ARG "THREADS" "TIMEOUT" "SOURCES;LIBRARIES;LABELS")
  if(CHATSDK_SANITIZE STREQUAL "thread" AND NOT ARG_THREADS)
    return()
  endif()
  if(NOT ARG_TIMEOUT)
    set(ARG_TIMEOUT 120)
  endif()
  add_executable(${name} ${ARG_SOURCES})
  target_compile_options(${name} PRIVATE ${CHATSDK_TEST_OPTIONS})
  target_precompile_headers(${name} REUSE_FROM chatsdk_test_headers)
  target_include_directories(${name} PRIVATE ${PROJECT_SOURCE_DIR}/tests)
  target_link_libraries(${name} PRIVATE ${ARG_LIBRARIES} chatsdk_build GTest::gmock GTest::gtest_main)
  if(CHATSDK_SANITIZE)
    add_test(NAME ${name} COMMAND ${name} --gtest_brief=1)
    set_tests_properties(${name} PROPERTIES TIMEOUT 900 LABELS "${ARG_LABELS}")
  else()
    gtest_discover_tests(${name} DISCOVERY_TIMEOUT 60 PROPERTIES TIMEOUT ${ARG_TIMEOUT} LABELS "${ARG_LABELS}")
  endif()
endfunction()
