# Accounts, sessions, tokens and REST.
chatsdk_test(server_token_test
  SOURCES
    forge.cpp
    jws_test.cpp
    token_refusals_test.cpp
    token_test.cpp
  LIBRARIES chatsdk_server_services)

chatsdk_test(server_rest_test
  SOURCES
    account_limits_test.cpp
    account_sessions_test.cpp
    account_test.cpp
    client_address_test.cpp
    group_rest_test.cpp
    passwords_test.cpp
    refusal_log_test.cpp
    rest_test.cpp
  THREADS
    forge.cpp
    rest_threads_test.cpp
    rest_world.cpp
  LIBRARIES chatsdk_server_services chatsdk_server_store)

# The key directory, and the mailboxes for linking.
chatsdk_test(server_keys_test
  SOURCES
    key_directory_test.cpp
    key_rosters_test.cpp
    key_uploads_test.cpp
    link_flow_test.cpp
    link_mailboxes_test.cpp
  THREADS
    forge.cpp
    key_threads_test.cpp
    rest_world.cpp
  LIBRARIES chatsdk_engine chatsdk_server_services chatsdk_server_store)
