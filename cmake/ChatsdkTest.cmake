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

function(chatsdk_test name)
  cmake_parse_arguments(PARSE_ARGV 1 ARG "THREADS" "TIMEOUT" "SOURCES;LIBRARIES;LABELS")
  if(CHATSDK_SANITIZE STREQUAL "thread" AND NOT ARG_THREADS)
    return()
  endif()
  if(NOT ARG_TIMEOUT)
    set(ARG_TIMEOUT 120)
  endif()
  add_executable(${name} ${ARG_SOURCES})
  if(CHATSDK_SANITIZE MATCHES "undefined")
    # What is watched is the product; GoogleTest's headers, watched in every file, take a third of the set's building.
    set_source_files_properties(${ARG_SOURCES} PROPERTIES COMPILE_OPTIONS -fno-sanitize=undefined)
  endif()
  target_include_directories(${name} PRIVATE ${PROJECT_SOURCE_DIR}/tests)
  target_link_libraries(${name} PRIVATE ${ARG_LIBRARIES} chatsdk_build GTest::gmock GTest::gtest_main)
  if(CHATSDK_SANITIZE)
    add_test(NAME ${name} COMMAND ${name} --gtest_brief=1)
    set_tests_properties(${name} PROPERTIES TIMEOUT 900 LABELS "${ARG_LABELS}")
  else()
    gtest_discover_tests(${name} DISCOVERY_TIMEOUT 60 PROPERTIES TIMEOUT ${ARG_TIMEOUT} LABELS "${ARG_LABELS}")
  endif()
endfunction()
