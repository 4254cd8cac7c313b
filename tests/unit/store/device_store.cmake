chatsdk_test(device_store_test
  SOURCES device_store_apply_test.cpp device_store_send_test.cpp
  LIBRARIES chatsdk_store chatsdk_protobuf_lite)
