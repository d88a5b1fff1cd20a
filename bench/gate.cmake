# gate_simulation: what the gate promises, measured on candidates whose truth is known.
add_executable(gate_simulation ${CMAKE_CURRENT_LIST_DIR}/gate/gate_simulation.cc ${CMAKE_CURRENT_LIST_DIR}/gate/coverage.cc
               ${CMAKE_CURRENT_LIST_DIR}/gate/metric_rows.cc ${CMAKE_CURRENT_LIST_DIR}/gate/power.cc ${CMAKE_CURRENT_LIST_DIR}/gate/sequences.cc
               ${CMAKE_CURRENT_LIST_DIR}/gate/tables.cc)
target_link_libraries(gate_simulation PRIVATE ratchet_gate nlohmann_json::nlohmann_json CLI11::CLI11 Boost::headers
                      Threads::Threads)
# bench_gate_decision: seconds of a decision over many rows and slices.
add_executable(bench_gate_decision ${CMAKE_CURRENT_LIST_DIR}/gate/decision_speed.cc)
target_link_libraries(bench_gate_decision PRIVATE ratchet_gate)
# release_simulation: what the watch of a release promises, measured on canaries whose truth is known.
add_executable(release_simulation ${CMAKE_CURRENT_LIST_DIR}/gate/release_simulation.cc)
target_link_libraries(release_simulation PRIVATE ratchet_gate nlohmann_json::nlohmann_json CLI11::CLI11 Boost::headers
                      Threads::Threads)
