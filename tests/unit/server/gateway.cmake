chatsdk_test(server_gateway_test
  SOURCES
    gateway_delivery_test.cpp
    gateway_encrypted_test.cpp
    gateway_flow_test.cpp
    gateway_groups_test.cpp
    gateway_keys_test.cpp
    gateway_marks_test.cpp
    gateway_replace_test.cpp
    gateway_restore_test.cpp
    gateway_send_test.cpp
    gateway_session_test.cpp
  THREADS
    gateway_bus_test.cpp
    sqlite_harness.cpp
  LIBRARIES chatsdk_server_gateway chatsdk_server_store chatsdk_protobuf_full SQLite::SQLite3)

# The gateway's world on the SQLite store, over a VFS that counts syncs.
chatsdk_test(server_durability_test
  SOURCES durability_test.cpp sqlite_harness.cpp ${PROJECT_SOURCE_DIR}/tests/support/counting_vfs.cpp
  LIBRARIES chatsdk_server_gateway chatsdk_server_store chatsdk_protobuf_full SQLite::SQLite3)
