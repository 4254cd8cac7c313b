chatsdk_test(server_gateway_test
  SOURCES
    gateway_delivery_test.cpp
    gateway_session_test.cpp
  LIBRARIES chatsdk_server_gateway chatsdk_protobuf_full)
