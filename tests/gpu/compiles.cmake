# SPDX-License-Identifier: BSL-1.0
# Compiles the .cu file of wgf::cuda for two architectures; any warning is an error.
if(NOT NVCC)
  message("skipped: nvcc was not found")
  return()
endif()
set(flags -I${ROOT}/include)
foreach(directory IN LISTS INCLUDES)
  if(NOT directory MATCHES "^(${ROOT}|/usr)/include$")  # named as a folder of its own, the system's would come too early
    list(APPEND flags -isystem ${directory})
  endif()
endforeach()
execute_process(COMMAND ${NVCC} -std=c++20 -O3 -gencode arch=compute_80,code=sm_80 -gencode arch=compute_90,code=sm_90
                        -Werror all-warnings -Xcompiler=-Wall,-Wextra,-Wshadow ${flags}
                        -c ${ROOT}/include/wgf/backend/cuda/pair_sum.cu -o /dev/null
                COMMAND_ERROR_IS_FATAL ANY)
