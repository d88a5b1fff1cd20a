# step_start: how long a step takes to start, from the fork server and from a cold process.
if(NOT TARGET ratchet-worker)
  return()
endif()
add_library(ratchet_plugin_bench_clock SHARED ${CMAKE_CURRENT_LIST_DIR}/step_start_plugin.cc)
target_link_libraries(ratchet_plugin_bench_clock PRIVATE ratchet_plugin_sdk)
set_target_properties(ratchet_plugin_bench_clock PROPERTIES
                      LIBRARY_OUTPUT_DIRECTORY ${CMAKE_CURRENT_BINARY_DIR}/step_start_plugins)
add_executable(bench_step_start ${CMAKE_CURRENT_LIST_DIR}/step_start.cc)
target_link_libraries(bench_step_start PRIVATE ratchet_lake nlohmann_json::nlohmann_json)
target_compile_definitions(bench_step_start PRIVATE RATCHET_WORKER="$<TARGET_FILE:ratchet-worker>"
                           RATCHET_BENCH_PLUGINS="${CMAKE_CURRENT_BINARY_DIR}/step_start_plugins")
add_dependencies(bench_step_start ratchet-worker ratchet_plugin_bench_clock)
