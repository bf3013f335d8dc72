# SPDX-License-Identifier: BSL-1.0
include(${CMAKE_CURRENT_LIST_DIR}/common.cmake)
set(tiny --steps 1 --iterations 5 --first-step 1 --population-size 2000 --samples 200 --threads 2)
set(metrics energy_distance energy_distance_noise sliced_w2 modes_found mode_mass_min mode_mass_max seconds)

help(--preset --map --samples --dropout --whiten)
writes(arguments ${tiny} --seed 7 shape 200,2 metrics ${metrics} settings preset=ours steps=1 iterations=5 threads=2)
writes(arguments --preset paper ${tiny} shape 200,2 metrics ${metrics} settings preset=paper steps=1 iterations=5 batch=100 dual_steps=6)
# Options override the preset wherever they stand.
writes(arguments ${tiny} --batch 64 --preset paper shape 200,2 settings preset=paper steps=1 iterations=5 batch=64 dual_steps=6)
# The convex network's map: the flow has a density, and a divergence from the target. Its rate is its own, unless one is given.
set(icnn "map=IcnnGradient<64, 2>{strong_convexity = 0.1, input_scale = 6}")
writes(arguments --map-rate 0.5 ${tiny} --map icnn shape 200,2 metrics ${metrics} kl settings preset=ours map_rate=0.5 ${icnn})
set(icnn "map=IcnnGradient<16, 4>{strong_convexity = 0.1, input_scale = 1}")
writes(arguments --map icnn ${tiny} --preset paper shape 200,2 metrics ${metrics} kl settings preset=paper batch=100 ${icnn})
resumes(--iterations 20 --population-size 2000 --samples 200 --batch 300 --threads 2 --dropout 0.1)
refuses_nonsense()
fails("--preset: must be one of ours, paper, got theirs" --preset theirs)
fails("--dropout" --dropout 1)
fails("step 1, iteration" --steps 1 --population-size 2000 --map-rate 1e30 --quiet)
fails("--map" --map linear)
