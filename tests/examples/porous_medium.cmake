# SPDX-License-Identifier: BSL-1.0
include(${CMAKE_CURRENT_LIST_DIR}/common.cmake)
set(tiny --steps 2 --iterations 3 --first-step 1 --population-size 2000 --samples 200 --batch 64)
set(metrics l1_jko l1_pde rms_radius_error w2_over_radius seconds)

help(--preset --map --dim --m --t0 --margin --samples --dropout --whiten)
writes(arguments ${tiny} --seed 7 shape 200,1 metrics ${metrics} l1_reference settings preset=ours dim=1 m=2.0 step_size=0.001 t0=0.002)
writes(arguments ${tiny} --m 3 --map residual shape 200,1 metrics ${metrics} l1_reference settings m=3.0)
# More dimensions have a step size and a t0 of their own, unless others are given.
writes(arguments ${tiny} --dim 3 shape 200,3 metrics ${metrics} radial_l1 settings dim=3 t0=0.001)
writes(arguments ${tiny} --step-size 0.00390625 --t0 0.0078125 --margin 2 --dim 6 --map residual shape 200,6 metrics ${metrics} radial_l1
       settings dim=6 step_size=0.00390625 t0=0.0078125 margin=2.0)
writes(arguments ${tiny} --preset paper shape 200,1 metrics ${metrics} settings preset=paper batch=64)
writes(arguments ${tiny} --preset paper --map residual --dim 2 shape 200,2 metrics ${metrics} radial_l1 settings preset=paper)
refuses_nonsense()
fails("--m: must be above 1 and at most 10, got 1" --m 1)
fails("--dim" --dim 0)
fails("--t0" --t0 0)
fails("--margin" --margin 0.5)
fails("--map" --map affine)
fails("--dropout" --dropout 1)
