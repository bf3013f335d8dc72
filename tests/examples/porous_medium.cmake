# SPDX-License-Identifier: BSL-1.0
include(${CMAKE_CURRENT_LIST_DIR}/common.cmake)
set(tiny --steps 2 --iterations 3 --first-step 1 --population-size 2000 --samples 200 --batch 64)
set(metrics l1_jko l1_pde rms_radius_error w2_over_radius seconds)

help(--method --preset --map --dim --m --t0 --margin --samples --dropout --whiten)
writes(arguments ${tiny} --seed 7 shape 200,1 metrics ${metrics} l1_reference settings method=log_determinant preset=ours dim=1 m=2.0 step_size=0.001 t0=0.002
       population_points=quasi_random)
writes(arguments ${tiny} --m 3 --map residual shape 200,1 metrics ${metrics} l1_reference settings method=log_determinant m=3.0)
writes(arguments ${tiny} --dim 3 shape 200,3 metrics ${metrics} radial_l1 settings method=log_determinant dim=3 t0=0.001)
writes(arguments ${tiny} --seed 7 --method dual shape 200,1 metrics ${metrics} l1_reference settings method=dual preset=ours dim=1 margin=1.25
       population_points=random)
writes(arguments ${tiny} --method dual --m 3 --map residual shape 200,1 metrics ${metrics} l1_reference settings method=dual m=3.0)
# More dimensions have a step size and a t0 of their own, unless others are given.
writes(arguments ${tiny} --method dual --dim 3 shape 200,3 metrics ${metrics} radial_l1 settings dim=3 t0=0.001)
writes(arguments ${tiny} --method dual --step-size 0.00390625 --t0 0.0078125 --margin 2 --dim 6 --map residual shape 200,6
       metrics ${metrics} radial_l1 settings dim=6 step_size=0.00390625 t0=0.0078125 margin=2.0)
writes(arguments ${tiny} --preset paper shape 200,1 metrics ${metrics} settings method=dual preset=paper batch=64)
writes(arguments ${tiny} --preset paper --map residual --dim 2 shape 200,2 metrics ${metrics} radial_l1 settings preset=paper)
resumes(--iterations 20 --population-size 2000 --samples 200 --batch 64 --threads 2)
refuses_nonsense()
fails("--m: must be above 1 and at most 10, got 1" --m 1)
fails("--dim" --dim 0)
fails("--t0" --t0 0)
fails("--margin" --method dual --margin 0.5)
fails("--map" --map affine)
fails("--dropout" --method dual --dropout 1)
fails("--method" --method exact)
fails("--margin: goes with --method dual" --margin 2)
fails("--dropout: goes with --method dual" --dropout 0.1)
fails("--preset paper: goes with --method dual" --preset paper --method log_determinant)
