# The spec alone, for programs that check one without the rest of the room. Included by pipeline/CMakeLists.txt.
add_library(ratchet_pipeline_spec STATIC
  ${CMAKE_CURRENT_LIST_DIR}/spec_feedback.cc ${CMAKE_CURRENT_LIST_DIR}/spec.cc ${CMAKE_CURRENT_LIST_DIR}/spec_budgets.cc ${CMAKE_CURRENT_LIST_DIR}/spec_columns.cc ${CMAKE_CURRENT_LIST_DIR}/spec_json.cc ${CMAKE_CURRENT_LIST_DIR}/spec_reader.cc
  ${CMAKE_CURRENT_LIST_DIR}/spec_recipe.cc ${CMAKE_CURRENT_LIST_DIR}/spec_release.cc ${CMAKE_CURRENT_LIST_DIR}/spec_steps.cc ${CMAKE_CURRENT_LIST_DIR}/spec_work.cc ${CMAKE_CURRENT_LIST_DIR}/spec_units.cc ${CMAKE_CURRENT_LIST_DIR}/yaml_tree.cc)
target_link_libraries(ratchet_pipeline_spec PUBLIC ratchet_base ratchet_gate nlohmann_json::nlohmann_json
                      PRIVATE ratchet_lake yaml-cpp)
