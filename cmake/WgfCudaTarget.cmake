# SPDX-License-Identifier: BSL-1.0
# The component wgf::cuda in wgf's own build.
set(WGF_WITH_CUDA AUTO CACHE STRING
    "Component wgf::cuda: ON, OFF or AUTO (if there is a CUDA compiler; within another project, only with ON)")
set_property(CACHE WGF_WITH_CUDA PROPERTY STRINGS AUTO ON OFF)
if(WGF_WITH_CUDA STREQUAL "AUTO" AND NOT PROJECT_IS_TOP_LEVEL)
  return()  # nothing is looked for on behalf of those who use wgf::wgf alone
endif()
if(WGF_WITH_CUDA)
  set(wgf_include_dir ${PROJECT_SOURCE_DIR}/include)
  include(${CMAKE_CURRENT_LIST_DIR}/WgfCuda.cmake)
  if(wgf_cuda_missing AND WGF_WITH_CUDA STREQUAL "AUTO")
    message(STATUS "wgf: the component cuda is off: ${wgf_cuda_missing}")
  elseif(wgf_cuda_missing)
    message(FATAL_ERROR "wgf: WGF_WITH_CUDA is on, but ${wgf_cuda_missing}")
  endif()
endif()
