# SPDX-License-Identifier: Apache-2.0
# chatsdk_test(<name> [SOURCES ...] [THREADS ...] LIBRARIES ... [LABELS ...] [TIMEOUT seconds]): one GoogleTest program.
#
# Every case in it is a ctest of its own, named <Suite>.<Case>; under a sanitizer, where a process is slow to start, the
# program is one ctest. THREADS names its files whose cases run on several threads, and what these need of the others:
# ThreadSanitizer builds them alone, and no program without any; the cases in SOURCES have one thread and nothing to show
# there.
#
# Tests of the client link protobuf-lite, tests of the server full protobuf: one of chatsdk_protobuf_lite and
# chatsdk_protobuf_full stands among LIBRARIES when messages are used.

find_package(GTest REQUIRED)
include(GoogleTest)

# What is optimised, and what AddressSanitizer and UndefinedBehaviorSanitizer watch, is the product: the tests' own files
# are the larger half of the building. ThreadSanitizer has to see every atomic. Linked behind chatsdk_build, whose options
# this takes back.
add_library(chatsdk_test_build INTERFACE)
target_compile_options(chatsdk_test_build INTERFACE -O0 -U_FORTIFY_SOURCE)
if(CHATSDK_SANITIZE)
  target_compile_definitions(chatsdk_test_build INTERFACE CHATSDK_SANITIZED=1)  # for tests that do less then
endif()
if(CHATSDK_SANITIZE MATCHES "address")
  target_compile_options(chatsdk_test_build INTERFACE -fno-sanitize=all)
endif()

# What nearly every test file includes, compiled once: GoogleTest's headers are most of the time that a small test file
# takes. The files include what they use all the same.
file(CONFIGURE OUTPUT ${PROJECT_BINARY_DIR}/test_headers.cpp CONTENT "")
add_library(chatsdk_test_headers OBJECT ${PROJECT_BINARY_DIR}/test_headers.cpp)
target_link_libraries(chatsdk_test_headers PRIVATE chatsdk_build chatsdk_test_build GTest::gmock)
target_precompile_headers(chatsdk_test_headers PRIVATE
  <gmock/gmock.h> <gtest/gtest.h> <chrono> <filesystem> <functional> <map> <memory> <optional> <string> <vector>)

function(chatsdk_test name)
  cmake_parse_arguments(PARSE_ARGV 1 ARG "" "TIMEOUT" "SOURCES;THREADS;LIBRARIES;LABELS")
  if(CHATSDK_SANITIZE STREQUAL "thread")
    if(NOT ARG_THREADS)
      return()
    endif()
    set(ARG_SOURCES "")
  endif()
  if(NOT ARG_TIMEOUT)
    set(ARG_TIMEOUT 120)
  endif()
  add_executable(${name} ${ARG_SOURCES} ${ARG_THREADS})
  # A program's files are compiled as one: most of what a test file costs are templates that its neighbours need too.
  set_target_properties(${name} PROPERTIES UNITY_BUILD ON UNITY_BUILD_BATCH_SIZE 6)
  target_precompile_headers(${name} REUSE_FROM chatsdk_test_headers)
  target_include_directories(${name} PRIVATE ${PROJECT_SOURCE_DIR}/tests)
  target_link_libraries(${name} PRIVATE ${ARG_LIBRARIES} chatsdk_build chatsdk_test_build GTest::gmock GTest::gtest_main)
  if(CHATSDK_SANITIZE)
    add_test(NAME ${name} COMMAND ${name} --gtest_brief=1)
    set_tests_properties(${name} PROPERTIES TIMEOUT 900 LABELS "${ARG_LABELS}")
  else()
    gtest_discover_tests(${name} DISCOVERY_TIMEOUT 60 PROPERTIES TIMEOUT ${ARG_TIMEOUT} LABELS "${ARG_LABELS}")
  endif()
endfunction()
