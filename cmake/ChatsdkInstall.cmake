# SPDX-License-Identifier: Apache-2.0
# What `cmake --install` puts where: headers, the library with its exported targets, a package for find_package and one
# for pkg-config; the server and the console client where they were built.
include(GNUInstallDirs)
include(CMakePackageConfigHelpers)

set(package_dir ${CMAKE_INSTALL_LIBDIR}/cmake/chatsdk)
install(DIRECTORY include/chatsdk DESTINATION ${CMAKE_INSTALL_INCLUDEDIR} FILES_MATCHING PATTERN "*.h" PATTERN "*.hpp")
install(TARGETS chatsdk chatsdk_cpp EXPORT chatsdk
  LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR} ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR})
if(NOT BUILD_SHARED_LIBS)
  # A static library hands its third-party libraries on.
  install(TARGETS chatsdk_lws chatsdk_sodium chatsdk_protobuf_lite EXPORT chatsdk)
endif()
install(EXPORT chatsdk NAMESPACE chatsdk:: DESTINATION ${package_dir} FILE chatsdk-targets.cmake)

configure_package_config_file(cmake/chatsdk-config.cmake.in ${CMAKE_CURRENT_BINARY_DIR}/chatsdk-config.cmake
  INSTALL_DESTINATION ${package_dir})
write_basic_package_version_file(${CMAKE_CURRENT_BINARY_DIR}/chatsdk-config-version.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${CMAKE_CURRENT_BINARY_DIR}/chatsdk-config.cmake ${CMAKE_CURRENT_BINARY_DIR}/chatsdk-config-version.cmake
  DESTINATION ${package_dir})

set(requires "libwebsockets libsodium sqlite3 protobuf-lite libssl")
configure_file(cmake/chatsdk.pc.in ${CMAKE_CURRENT_BINARY_DIR}/chatsdk.pc @ONLY)
install(FILES ${CMAKE_CURRENT_BINARY_DIR}/chatsdk.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)

if(TARGET chatsdk-server)
  install(TARGETS chatsdk-server RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
endif()
if(TARGET chatsdk-console)
  install(TARGETS chatsdk-console RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
endif()
