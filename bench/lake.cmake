add_executable(ingest_bench ${CMAKE_CURRENT_LIST_DIR}/ingest_bench.cc)
target_link_libraries(ingest_bench PRIVATE ratchet_lake SQLite::SQLite3)

add_executable(leak_bench ${CMAKE_CURRENT_LIST_DIR}/leak_bench.cc)
target_link_libraries(leak_bench PRIVATE ratchet_lake)
