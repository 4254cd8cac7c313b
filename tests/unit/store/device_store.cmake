chatsdk_test(device_store_test
  SOURCES device_store_test.cpp device_store_annotations_test.cpp device_store_apply_test.cpp device_store_send_test.cpp device_store_epoch_test.cpp
    device_store_files_test.cpp device_store_model_test.cpp device_store_damage_test.cpp device_store_power_test.cpp
    device_store_groups_test.cpp device_store_owner_test.cpp
  LIBRARIES chatsdk_store chatsdk_protobuf_lite SQLite::SQLite3)

# End-to-end encryption's tables; whole runs come from the world that makes transcripts (tests/oracle).
find_package(nlohmann_json REQUIRED)
chatsdk_test(store_e2ee_test
  SOURCES e2ee_branches_test.cpp e2ee_direct_test.cpp e2ee_events_test.cpp e2ee_forgotten_test.cpp e2ee_former_test.cpp e2ee_rates_test.cpp
    e2ee_own_keys_test.cpp e2ee_power_test.cpp e2ee_random_test.cpp e2ee_repairs_test.cpp e2ee_repeated_test.cpp
    e2ee_state_test.cpp e2ee_transcript_test.cpp e2ee_trust_test.cpp ${PROJECT_SOURCE_DIR}/tests/oracle/cpp/transcript.cpp
    ${PROJECT_SOURCE_DIR}/tests/oracle/cpp/world.cpp
  LIBRARIES chatsdk_store_e2ee chatsdk_test_e2ee chatsdk_protobuf_lite SQLite::SQLite3 nlohmann_json::nlohmann_json
  TIMEOUT 300)
# Of its own, since it configures SQLite. Sanitizers keep what was freed.
if(NOT CHATSDK_SANITIZE AND CMAKE_SYSTEM_NAME STREQUAL Linux)
  chatsdk_test(store_e2ee_memory_test
    SOURCES e2ee_memory_test.cpp
    LIBRARIES chatsdk_store_e2ee chatsdk_test_e2ee chatsdk_protobuf_lite SQLite::SQLite3)
endif()
