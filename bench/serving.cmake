add_executable(bench_infer_load infer_load.cc)
target_link_libraries(bench_infer_load PRIVATE Threads::Threads)
