# SPDX-License-Identifier: BSL-1.0
# How our own programs (tests, examples, benchmarks) are compiled. Nothing here reaches a user of wgf::wgf.

option(WGF_NATIVE "Compile our programs for this machine's processor (-march=native)" ON)
option(WGF_WARNINGS_AS_ERRORS "Treat warnings in our programs as errors" OFF)
set(WGF_SANITIZE "" CACHE STRING "Sanitizers for our programs, as in -fsanitize=: 'address,undefined', 'thread' or empty")

if(PROJECT_IS_TOP_LEVEL)
  set(CMAKE_CXX_EXTENSIONS OFF)
  set(CMAKE_EXPORT_COMPILE_COMMANDS ON)
  if(NOT CMAKE_BUILD_TYPE AND NOT CMAKE_CONFIGURATION_TYPES)
    set(CMAKE_BUILD_TYPE Release CACHE STRING "Debug, Release, RelWithDebInfo or MinSizeRel" FORCE)
  endif()
endif()

add_library(wgf_program_flags INTERFACE)
target_link_libraries(wgf_program_flags INTERFACE wgf::wgf)

target_compile_options(wgf_program_flags INTERFACE -Wall -Wextra -Wpedantic -Wshadow $<$<BOOL:${WGF_WARNINGS_AS_ERRORS}>:-Werror>)
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
  # g++ 12 sees uninitialised registers, and loads past small matrices, in its own AVX-512 intrinsics, which Eigen uses.
  target_compile_options(wgf_program_flags INTERFACE -Wno-uninitialized -Wno-maybe-uninitialized -Wno-array-bounds)
endif()

# The kernels take their register width from the flags: 64 bytes with AVX-512, 32 with AVX, else 16.
# Fused multiply-add needs no flag but the processor's: both g++ and clang++ (14 and newer) contract a*b+c in C++, -std=c++20 included.
if(WGF_NATIVE)
  include(CheckCXXCompilerFlag)
  include(CheckCXXSourceCompiles)
  check_cxx_compiler_flag(-march=native WGF_HAS_MARCH_NATIVE)
  if(WGF_HAS_MARCH_NATIVE)
    target_compile_options(wgf_program_flags INTERFACE -march=native)
    set(CMAKE_REQUIRED_FLAGS "-march=native -mprefer-vector-width=512")
    check_cxx_source_compiles("
      #ifndef __AVX512F__
      #error no AVX-512
      #endif
      int main() {}" WGF_HAS_AVX512)
    unset(CMAKE_REQUIRED_FLAGS)
    if(WGF_HAS_AVX512)
      # On Intel's processors clang++ splits 64-byte vectors in two without it; g++ keeps them whole either way.
      target_compile_options(wgf_program_flags INTERFACE -mprefer-vector-width=512)
    endif()
  else()
    message(STATUS "wgf: this compiler knows no -march=native, the programs are built for its default processor")
  endif()
endif()

if(WGF_SANITIZE)
  target_compile_options(wgf_program_flags INTERFACE -fsanitize=${WGF_SANITIZE} -fno-sanitize-recover=all -fno-omit-frame-pointer)
  if(WGF_SANITIZE MATCHES undefined)
    # A check at every dereference: they double the time and memory of compiling, and the address sanitizer reports such errors too.
    target_compile_options(wgf_program_flags INTERFACE -fno-sanitize=null,alignment,object-size)
  endif()
  target_link_options(wgf_program_flags INTERFACE -fsanitize=${WGF_SANITIZE})
endif()
