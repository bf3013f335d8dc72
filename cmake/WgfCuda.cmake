# SPDX-License-Identifier: BSL-1.0
# Makes the component wgf::cuda, in wgf's own build and in a project that asks find_package for the component, and what it needs there: the
# language CUDA, C++20 in it, and the shared CUDA runtime. Sets wgf_cuda_missing to one sentence if there is no CUDA compiler.
# wgf_include_dir is the folder that holds wgf/.
set(wgf_cuda_missing "")
include(CheckLanguage)
check_language(CUDA)
if(NOT CMAKE_CUDA_COMPILER)
  set(wgf_cuda_missing "no CUDA compiler was found (put nvcc on the PATH or set CMAKE_CUDA_COMPILER)")
  return()
endif()
if(NOT DEFINED CMAKE_CUDA_ARCHITECTURES AND NOT DEFINED ENV{CUDAARCHS})
  set(CMAKE_CUDA_ARCHITECTURES 80 90)
endif()
enable_language(CUDA)
if(CMAKE_CUDA_COMPILER_ID STREQUAL "NVIDIA" AND CMAKE_CUDA_COMPILER_VERSION VERSION_LESS 12)
  set(wgf_cuda_missing "C++20 needs CUDA 12 or newer, found ${CMAKE_CUDA_COMPILER_VERSION}")
  return()
endif()
# What follows holds for the folder that asks, also where another has made the target.
if(NOT DEFINED CMAKE_CUDA20_STANDARD_COMPILE_OPTION AND CMAKE_CUDA_COMPILER_ID STREQUAL "NVIDIA")
  # CMake before 3.25.2 knows no C++20 for nvcc: it refuses to ask for it, or compiles as C++17 without a word.
  set(CMAKE_CUDA20_STANDARD_COMPILE_OPTION "-std=c++20")
  set(CMAKE_CUDA20_EXTENSION_COMPILE_OPTION "-std=c++20")
  set(CMAKE_CUDA20_COMPILE_FEATURES cuda_std_20)
  list(APPEND CMAKE_CUDA_COMPILE_FEATURES cuda_std_20)
endif()
if(NOT DEFINED CMAKE_CUDA_RUNTIME_LIBRARY)
  set(CMAKE_CUDA_RUNTIME_LIBRARY Shared)  # LibTorch brings the shared one: the static one beside it would be a second
endif()
if(TARGET wgf::cuda)
  return()
endif()

# The sums for wgf's own kernels are one .cu file, which is compiled with the program that links the component.
add_library(wgf_cuda INTERFACE IMPORTED GLOBAL)
add_library(wgf::cuda ALIAS wgf_cuda)
target_link_libraries(wgf_cuda INTERFACE wgf::wgf)
target_compile_features(wgf_cuda INTERFACE cuda_std_20)
target_compile_definitions(wgf_cuda INTERFACE WGF_HAS_CUDA)
target_sources(wgf_cuda INTERFACE ${wgf_include_dir}/wgf/backend/cuda/pair_sum.cu)
