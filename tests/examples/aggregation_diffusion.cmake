# SPDX-License-Identifier: BSL-1.0
include(${CMAKE_CURRENT_LIST_DIR}/common.cmake)
set(tiny --steps 1 --iterations 3 --first-step 1 --population-size 2000 --samples 200 --batch 64 --cells 20)
set(metrics sliced_w2_max sliced_w2_end pulses_end second_moment second_moment_error energy energy_rise seconds)

help(--scheme --map --mass --cells --samples)
writes(arguments ${tiny} shape 200,2 metrics ${metrics} settings scheme=backward mass=9.0)
writes(arguments ${tiny} --scheme forward_backward --mass 2 shape 200,2 metrics ${metrics} settings scheme=forward_backward mass=2.0)
writes(arguments ${tiny} --map residual shape 200,2 metrics ${metrics})
refuses_nonsense()
fails("--map" --map linear)
fails("--mass" --mass 0)
fails("--cells" --cells 3)
