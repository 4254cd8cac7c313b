# Accounts, sessions, tokens and REST.
chatsdk_test(server_token_test
  SOURCES
    forge.cpp
    jws_test.cpp
    token_refusals_test.cpp
    token_test.cpp
  LIBRARIES chatsdk_server_services)
