# SPDX-License-Identifier: BSL-1.0
# The component wgf::torch in wgf's own build.
set(WGF_WITH_TORCH AUTO CACHE STRING "Component wgf::torch: ON, OFF or AUTO (if LibTorch is found; within another project, only with ON)")
set_property(CACHE WGF_WITH_TORCH PROPERTY STRINGS AUTO ON OFF)
if(WGF_WITH_TORCH STREQUAL "AUTO" AND NOT PROJECT_IS_TOP_LEVEL)
  return()  # nothing is looked for on behalf of those who use wgf::wgf alone
endif()
if(WGF_WITH_TORCH)
  include(${CMAKE_CURRENT_LIST_DIR}/WgfTorch.cmake)
  if(wgf_torch_missing AND WGF_WITH_TORCH STREQUAL "AUTO")
    message(STATUS "wgf: the component torch is off: ${wgf_torch_missing}")
  elseif(wgf_torch_missing)
    message(FATAL_ERROR "wgf: WGF_WITH_TORCH is on, but ${wgf_torch_missing}")
  endif()
endif()
