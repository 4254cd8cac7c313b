chatsdk_test(sqlite_test SOURCES sqlite_test.cpp LIBRARIES chatsdk_sqlite)
