# SPDX-License-Identifier: BSL-1.0
include(${CMAKE_CURRENT_LIST_DIR}/common.cmake)
set(tiny --steps 1 --iterations 3 --first-step 1 --population-size 2000 --samples 200 --dt 0.1 --batch 64)
set(metrics mode_mass_tv langevin_mode_mass_tv tv_difference mode_mass_tv_to_langevin energy_distance sliced_w2 seconds)

help(--preset --map --dim --target-seed --samples --dt)
writes(arguments ${tiny} shape 200,8 metrics ${metrics} settings preset=ours dim=8)
writes(arguments ${tiny} --dim 3 --target-seed 5 shape 200,3 metrics ${metrics} settings dim=3 target_seed=5)
writes(arguments ${tiny} --preset paper-8 shape 200,8 metrics ${metrics} settings dim=8)
writes(arguments ${tiny} --preset paper-13 shape 200,13 metrics ${metrics} settings dim=13)
writes(arguments ${tiny} --map icnn --dim 3 shape 200,3 metrics ${metrics} settings preset=ours
       "map=IcnnGradient<64, 2>{strong_convexity = 0.1, input_scale = 3}")
refuses_nonsense()
fails("--map: icnn goes with --preset ours" --map icnn --preset paper-8)
fails("--dim" --dim 1)
fails("--dt" --dt 0)
