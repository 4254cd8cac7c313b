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

# The pkg-config file finds its prefix from where it lies, so an installed tree may be moved; folders that were given as
# absolute paths stay as they are.
if(IS_ABSOLUTE "${CMAKE_INSTALL_LIBDIR}")
  set(pc_prefix ${CMAKE_INSTALL_PREFIX})
  set(pc_libdir ${CMAKE_INSTALL_LIBDIR})
else()
  file(RELATIVE_PATH up "/prefix/${CMAKE_INSTALL_LIBDIR}/pkgconfig" "/prefix")
  string(REGEX REPLACE "/$" "" up "${up}")
  set(pc_prefix "\${pcfiledir}/${up}")
  set(pc_libdir "\${prefix}/${CMAKE_INSTALL_LIBDIR}")
endif()
if(IS_ABSOLUTE "${CMAKE_INSTALL_INCLUDEDIR}")
  set(pc_includedir ${CMAKE_INSTALL_INCLUDEDIR})
else()
  set(pc_includedir "\${prefix}/${CMAKE_INSTALL_INCLUDEDIR}")
endif()
# Only who links the static library names what it needs: pkg-config --static.
set(pc_requires "")
set(pc_libs "")
if(NOT BUILD_SHARED_LIBS)
  set(pc_requires "libwebsockets libsodium sqlite3 protobuf-lite libssl libcrypto")
  set(pc_libs "-lstdc++ -lpthread -ldl")
endif()
configure_file(cmake/chatsdk.pc.in ${CMAKE_CURRENT_BINARY_DIR}/chatsdk.pc @ONLY)
install(FILES ${CMAKE_CURRENT_BINARY_DIR}/chatsdk.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)

if(TARGET chatsdk-server)
  install(TARGETS chatsdk-server RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
endif()
if(TARGET chatsdk-console)
  install(TARGETS chatsdk-console RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
endif()
