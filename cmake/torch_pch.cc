// Carries the precompiled header of LibTorch; see LibTorch.cmake.
