chatsdk_test(server_gateway_test
  SOURCES
    gateway_bus_test.cpp
    gateway_delivery_test.cpp
    gateway_marks_test.cpp
    gateway_session_test.cpp
  LIBRARIES chatsdk_server_gateway chatsdk_protobuf_full)
