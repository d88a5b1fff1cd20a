add_executable(bench_infer_load infer_load.cc)
target_link_libraries(bench_infer_load PRIVATE Threads::Threads)

if(RATCHET_WITH_TORCH)
  add_executable(bench_serving_floor serving_floor.cc)
  target_link_libraries(bench_serving_floor PRIVATE ratchet_torch_runner)
endif()
