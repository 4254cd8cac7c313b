# SPDX-License-Identifier: Apache-2.0
# Every third-party library that chatsdk links, found once. The packages that hold them are in cmake/packages.debian.txt.

find_package(Threads REQUIRED)
find_package(PkgConfig REQUIRED)
find_package(Protobuf REQUIRED)
find_package(CURL REQUIRED)
find_package(SQLite3 REQUIRED)
find_package(OpenSSL REQUIRED)
if(CHATSDK_BUILD_SERVER)
  find_package(nlohmann_json REQUIRED)
  find_package(CLI11 REQUIRED)
  find_package(spdlog REQUIRED)
endif()
pkg_check_modules(SODIUM REQUIRED IMPORTED_TARGET libsodium)
pkg_check_modules(LWS REQUIRED IMPORTED_TARGET libwebsockets)

add_library(chatsdk_sodium INTERFACE)
target_link_libraries(chatsdk_sodium INTERFACE PkgConfig::SODIUM)
add_library(chatsdk_lws INTERFACE)
target_link_libraries(chatsdk_lws INTERFACE PkgConfig::LWS)

if(CHATSDK_BUILD_SERVER)
  # libev has neither a pkg-config file nor a CMake one.
  find_path(CHATSDK_EV_INCLUDE_DIR ev.h REQUIRED)
  find_library(CHATSDK_EV_LIBRARY ev REQUIRED)
  add_library(chatsdk_ev INTERFACE)
  target_include_directories(chatsdk_ev SYSTEM INTERFACE ${CHATSDK_EV_INCLUDE_DIR})
  target_link_libraries(chatsdk_ev INTERFACE ${CHATSDK_EV_LIBRARY})
endif()
