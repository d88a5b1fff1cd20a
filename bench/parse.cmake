find_package(simdjson REQUIRED)
add_executable(bench_parse_body parse_body.cc)
target_link_libraries(bench_parse_body PRIVATE ratchet_serving simdjson::simdjson nlohmann_json::nlohmann_json)
