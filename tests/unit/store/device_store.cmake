chatsdk_test(device_store_test
  SOURCES device_store_test.cpp device_store_apply_test.cpp device_store_send_test.cpp device_store_epoch_test.cpp
    device_store_files_test.cpp device_store_model_test.cpp device_store_damage_test.cpp device_store_power_test.cpp
    device_store_owner_test.cpp
  LIBRARIES chatsdk_store chatsdk_protobuf_lite SQLite::SQLite3)
