# What carries the server: the listener's codecs, and the listener on real sockets.
chatsdk_test(listener_codec_test
  SOURCES listener_codec_test.cpp ${PROJECT_SOURCE_DIR}/tests/support/raw_client.cpp
  LIBRARIES chatsdk_server_listener chatsdk_protobuf_full)
chatsdk_test(listener_test
  SOURCES listener_http_test.cpp listener_websocket_test.cpp ${PROJECT_SOURCE_DIR}/tests/support/raw_client.cpp
  LIBRARIES chatsdk_server_listener chatsdk_protobuf_full)
