# The server's store and the committer before it.
chatsdk_test(server_committer_test
  SOURCES ${CMAKE_CURRENT_LIST_DIR}/committer_test.cpp
  LIBRARIES chatsdk_server_services)
