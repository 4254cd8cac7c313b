chatsdk_test(sqlite_test SOURCES sqlite_test.cpp LIBRARIES chatsdk_sqlite)
chatsdk_test(crypt_vfs_test
  SOURCES crypt_vfs_test.cpp crypt_damage_test.cpp crypt_power_test.cpp known_frames_test.cpp
  THREADS crypt_threads_test.cpp
  LIBRARIES chatsdk_store chatsdk_protobuf_lite)
