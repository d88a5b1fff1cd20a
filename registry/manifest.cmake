# The bundle manifest alone: what worker and serving may use of the registry (no SQLite behind it).
add_library(ratchet_bundle_manifest STATIC ${CMAKE_CURRENT_LIST_DIR}/bundle_manifest.cc)
target_link_libraries(ratchet_bundle_manifest PUBLIC ratchet_base nlohmann_json::nlohmann_json)
