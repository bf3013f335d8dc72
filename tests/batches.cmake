# SPDX-License-Identifier: BSL-1.0
# Compiles test files in batches. Half of what a test file takes to compile are the library's headers and what several files
# instantiate alike; a batch pays for them once.

set(WGF_TEST_BATCH 8 CACHE STRING "How many test files are compiled as one; 1 while working on one of them")

# Sets `result` to a file for every `WGF_TEST_BATCH` of the given ones. It includes their headers first and then each of
# them in a namespace of its own, in which their own #include lines have nothing left to do. So a file that is compiled in a
# batch neither specialises a template of the library, nor defines macros, nor includes <cassert>.
function(wgf_batches result name)
  set(batches "")
  list(LENGTH ARGN count)
  math(EXPR last "${count} - 1")
  foreach(first RANGE 0 ${last} ${WGF_TEST_BATCH})
    list(SUBLIST ARGN ${first} ${WGF_TEST_BATCH} files)
    list(LENGTH files size)
    if(size EQUAL 1)
      list(APPEND batches ${files})
      continue()
    endif()
    set(headers "")
    set(body "")
    foreach(file IN LISTS files)
      set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${file})  # for its list of headers
      cmake_path(GET file PARENT_PATH folder)
      cmake_path(GET file STEM stem)
      file(STRINGS ${file} lines REGEX "^#include ")
      foreach(line IN LISTS lines)
        string(REGEX REPLACE "^#include \"(.*)\"" "\\1" header ${line})
        if(EXISTS ${folder}/${header})
          cmake_path(ABSOLUTE_PATH header BASE_DIRECTORY ${folder} NORMALIZE)
          set(line "#include \"${header}\"")
        endif()
        list(APPEND headers "${line}\n")
      endforeach()
      string(APPEND body "namespace ${stem} {\n#include \"${file}\"\n}  // namespace ${stem}\n")
    endforeach()
    list(REMOVE_DUPLICATES headers)
    list(JOIN headers "" headers)
    set(batch ${CMAKE_CURRENT_BINARY_DIR}/batches/${name}_${first}.cpp)
    file(CONFIGURE OUTPUT ${batch} CONTENT "${headers}${body}" @ONLY)
    list(APPEND batches ${batch})
  endforeach()
  set(${result} ${batches} PARENT_SCOPE)
endfunction()
