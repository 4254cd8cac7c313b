# The server's store and the committer before it.
chatsdk_test(server_committer_test
  THREADS ${CMAKE_CURRENT_LIST_DIR}/committer_test.cpp
  LIBRARIES chatsdk_server_services)

# What the server does by itself from time to time.
chatsdk_test(server_upkeep_test
  SOURCES
    ${CMAKE_CURRENT_LIST_DIR}/encryption_upkeep_test.cpp
    ${CMAKE_CURRENT_LIST_DIR}/record_purge_test.cpp
  LIBRARIES chatsdk_server_services)

# The contract_*.cpp files hold any implementation of Store to its rules.
chatsdk_test(server_store_test
  SOURCES
    ${CMAKE_CURRENT_LIST_DIR}/contract_accounts.cpp
    ${CMAKE_CURRENT_LIST_DIR}/contract_encrypted.cpp
    ${CMAKE_CURRENT_LIST_DIR}/contract_groups.cpp
    ${CMAKE_CURRENT_LIST_DIR}/contract_invitations.cpp
    ${CMAKE_CURRENT_LIST_DIR}/contract_keys.cpp
    ${CMAKE_CURRENT_LIST_DIR}/contract_links.cpp
    ${CMAKE_CURRENT_LIST_DIR}/contract_messages.cpp
    ${CMAKE_CURRENT_LIST_DIR}/contract_reads.cpp
    ${CMAKE_CURRENT_LIST_DIR}/disk_vfs.cpp
    ${CMAKE_CURRENT_LIST_DIR}/sqlite_harness.cpp
    ${CMAKE_CURRENT_LIST_DIR}/store_test.cpp
    ${CMAKE_CURRENT_LIST_DIR}/store_versions_test.cpp
  LIBRARIES chatsdk_server_store chatsdk_protobuf_full)
