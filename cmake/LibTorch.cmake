# LibTorch, and one precompiled header of it for all who include it: a translation unit costs about 30 s without, a few
# seconds with it. A target that uses LibTorch calls ratchet_use_torch(target).

set(USE_SYSTEM_EIGEN_INSTALL ON)
find_package(Torch REQUIRED QUIET)

add_library(ratchet_torch_pch OBJECT ${CMAKE_SOURCE_DIR}/cmake/torch_pch.cc)
target_link_libraries(ratchet_torch_pch PUBLIC ${TORCH_LIBRARIES})
target_precompile_headers(ratchet_torch_pch PRIVATE <torch/script.h> <torch/torch.h> <nlohmann/json.hpp>)
target_compile_options(ratchet_torch_pch PRIVATE -Wno-unused-parameter -Wno-sign-compare)

function(ratchet_use_torch target)
  target_link_libraries(${target} PUBLIC ${TORCH_LIBRARIES})
  # The header is made with -fPIC, and an executable's own -fPIE would keep it from being used.
  target_compile_options(${target} PRIVATE -fPIC -Wno-unused-parameter -Wno-sign-compare)
  target_precompile_headers(${target} REUSE_FROM ratchet_torch_pch)
endfunction()
