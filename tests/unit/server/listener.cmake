# What carries the server: the listener's codecs, and the listener on real sockets.
chatsdk_test(listener_codec_test
  SOURCES listener_codec_test.cpp served_connection_test.cpp ${PROJECT_SOURCE_DIR}/tests/support/raw_client.cpp
  LIBRARIES chatsdk_server_listener chatsdk_protobuf_full)
chatsdk_test(listener_test
  THREADS listener_http_test.cpp listener_websocket_test.cpp ${PROJECT_SOURCE_DIR}/tests/support/raw_client.cpp
  LIBRARIES chatsdk_server_listener chatsdk_protobuf_full)
# The server put together: its log, and the program as a process.
chatsdk_test(server_log_test
  SOURCES log_test.cpp
  LIBRARIES chatsdk_server)
chatsdk_test(server_readiness_test
  THREADS readiness_test.cpp ${PROJECT_SOURCE_DIR}/tests/support/raw_client.cpp
  LIBRARIES chatsdk_server chatsdk_server_store chatsdk_protobuf_full OpenSSL::SSL OpenSSL::Crypto)
chatsdk_test(server_full_disk_test
  THREADS
    disk_vfs.cpp
    full_disk_test.cpp
    sqlite_harness.cpp
    ${PROJECT_SOURCE_DIR}/tests/support/raw_client.cpp
  LIBRARIES chatsdk_server chatsdk_server_store chatsdk_protobuf_full SQLite::SQLite3 OpenSSL::SSL OpenSSL::Crypto)
if(TARGET chatsdk-server)
  chatsdk_test(server_program_test
    THREADS
      forge.cpp
      program_attack_test.cpp
      program_flow_test.cpp
      program_log_test.cpp
      program_test.cpp
      ${PROJECT_SOURCE_DIR}/tests/support/raw_client.cpp
    LIBRARIES chatsdk_server_services chatsdk_server_store chatsdk_test_peer chatsdk_protobuf_full SQLite::SQLite3
      OpenSSL::SSL OpenSSL::Crypto)
  add_dependencies(server_program_test chatsdk-server)
  target_compile_definitions(server_program_test PRIVATE CHATSDK_SERVER_PROGRAM="$<TARGET_FILE:chatsdk-server>")
endif()
