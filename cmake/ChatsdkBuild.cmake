# SPDX-License-Identifier: Apache-2.0
# How chatsdk's own code is compiled: chatsdk_build carries the flags, chatsdk_layer() makes one library per folder.

set(CHATSDK_SANITIZE "" CACHE STRING "Sanitizers for everything built here: address,undefined or thread")
option(CHATSDK_WARNINGS_AS_ERRORS "Treat warnings as errors (on in the presets, off for users)" OFF)
option(CHATSDK_COVERAGE "Instrument for line coverage" OFF)
option(CHATSDK_FAULTS "Compile the fault points in (tests only)" OFF)

# GCC 12 and clang 16 know it; clang 14 only behind a flag that says it may go away.
include(CheckCXXCompilerFlag)
check_cxx_compiler_flag(-ftrivial-auto-var-init=zero CHATSDK_HAS_AUTO_VAR_INIT)

add_library(chatsdk_build INTERFACE)
target_compile_features(chatsdk_build INTERFACE cxx_std_20 c_std_99)
target_compile_options(chatsdk_build INTERFACE
  "$<$<COMPILE_LANGUAGE:CXX>:-Wall;-Wextra;-Wshadow;-Wnon-virtual-dtor;-Wpedantic;-Wconversion;-Wsign-conversion>"
  "$<$<COMPILE_LANGUAGE:C>:-Wall;-Wextra;-Wshadow;-Wpedantic;-Wconversion>"
  "$<$<BOOL:${CHATSDK_WARNINGS_AS_ERRORS}>:-Werror>"
  -ffunction-sections -fdata-sections -fstack-protector-strong -fstack-clash-protection -fcf-protection
  $<$<BOOL:${CHATSDK_HAS_AUTO_VAR_INIT}>:-ftrivial-auto-var-init=zero>
  # Several files as one unit make a class of one file look as if it were shared by many.
  $<$<AND:$<BOOL:${CMAKE_UNITY_BUILD}>,$<COMPILE_LANG_AND_ID:CXX,GNU>>:-Wno-subobject-linkage>)
target_compile_definitions(chatsdk_build INTERFACE
  _GLIBCXX_ASSERTIONS
  $<$<BOOL:${CHATSDK_FAULTS}>:CHATSDK_FAULTS=1>)
target_link_options(chatsdk_build INTERFACE -Wl,-z,relro,-z,now,-z,noexecstack -Wl,--gc-sections)

if(CHATSDK_SANITIZE)
  target_compile_options(chatsdk_build INTERFACE -fsanitize=${CHATSDK_SANITIZE} -fno-sanitize-recover=all -fno-omit-frame-pointer)
  target_link_options(chatsdk_build INTERFACE -fsanitize=${CHATSDK_SANITIZE})
else()
  # The sanitizers intercept what fortifying replaces.
  target_compile_definitions(chatsdk_build INTERFACE $<$<CONFIG:Release,RelWithDebInfo>:_FORTIFY_SOURCE=2>)
endif()
if(CHATSDK_BUILD_FUZZERS)
  # The coverage that libFuzzer steers by; its main() is linked into the targets of tests/fuzz alone.
  if(NOT CMAKE_CXX_COMPILER_ID MATCHES "Clang")
    message(FATAL_ERROR "CHATSDK_BUILD_FUZZERS needs clang's libFuzzer: use the preset fuzz")
  endif()
  target_compile_options(chatsdk_build INTERFACE -fsanitize=fuzzer-no-link)
  target_link_options(chatsdk_build INTERFACE -fsanitize=fuzzer-no-link)
endif()
if(CHATSDK_COVERAGE)
  # Counters that threads share would go wrong, and below zero, which the report takes for an error.
  target_compile_options(chatsdk_build INTERFACE --coverage -fprofile-update=atomic)
  target_link_options(chatsdk_build INTERFACE --coverage)
endif()

if(NOT BUILD_SHARED_LIBS AND CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
  # Unique symbols cannot be made local, as the static library's must be.
  target_compile_options(chatsdk_build INTERFACE $<$<COMPILE_LANGUAGE:CXX>:-fno-gnu-unique>)
endif()

# The shared library of a release is optimised as a whole, which makes it smaller by a tenth. Archives keep ordinary code
# beside what that needs, and programs are linked from it as usual.
if(BUILD_SHARED_LIBS AND NOT CHATSDK_SANITIZE AND CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
  set(CHATSDK_WHOLE_OPTIMISATION $<$<CONFIG:Release>:-flto=auto>)
  target_link_options(chatsdk_build INTERFACE
    $<$<AND:$<CONFIG:Release>,$<STREQUAL:$<TARGET_PROPERTY:TYPE>,EXECUTABLE>>:-fno-lto>)
endif()
# Relative relocations take a tenth of their space in this form; glibc 2.36 and newer read it.
include(CheckLinkerFlag)
check_linker_flag(CXX -Wl,-z,pack-relative-relocs CHATSDK_HAS_PACKED_RELOCATIONS)

# chatsdk_layer(<name> SOURCES ... LIBRARIES ... [INCLUDE_ROOT dir]): the internal library chatsdk_<name> of the current
# folder. The client's includes are written from src/ ("base/result.h"), the server's from the top
# ("server-reference/store/store.h").
function(chatsdk_layer name)
  cmake_parse_arguments(PARSE_ARGV 1 ARG "" "INCLUDE_ROOT" "SOURCES;LIBRARIES")
  if(NOT ARG_INCLUDE_ROOT)
    set(ARG_INCLUDE_ROOT ${PROJECT_SOURCE_DIR}/src)
  endif()
  add_library(chatsdk_${name} STATIC ${ARG_SOURCES})
  # Apps carry the client's layers, which wait for the disk and the network and not for the processor: small goes before
  # fast. The server's own layers are compiled as the preset says.
  if(ARG_INCLUDE_ROOT STREQUAL "${PROJECT_SOURCE_DIR}/src")
    target_compile_options(chatsdk_${name} PRIVATE $<$<CONFIG:Release>:-Os>)
    if(CHATSDK_WHOLE_OPTIMISATION)
      target_compile_options(chatsdk_${name} PRIVATE ${CHATSDK_WHOLE_OPTIMISATION} $<$<CONFIG:Release>:-ffat-lto-objects>)
    endif()
  endif()
  # Where it was built is nothing that a binary should say, or weigh.
  target_compile_options(chatsdk_${name} PRIVATE -fmacro-prefix-map=${PROJECT_SOURCE_DIR}/=)
  target_include_directories(chatsdk_${name} PUBLIC $<BUILD_INTERFACE:${ARG_INCLUDE_ROOT}>)
  target_link_libraries(chatsdk_${name} PUBLIC ${ARG_LIBRARIES} PRIVATE $<BUILD_INTERFACE:chatsdk_build>)
  set_target_properties(chatsdk_${name} PROPERTIES
    POSITION_INDEPENDENT_CODE ON CXX_VISIBILITY_PRESET hidden C_VISIBILITY_PRESET hidden
    VISIBILITY_INLINES_HIDDEN ON CXX_EXTENSIONS OFF)
endfunction()
