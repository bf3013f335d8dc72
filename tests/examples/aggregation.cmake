# SPDX-License-Identifier: BSL-1.0
include(${CMAKE_CURRENT_LIST_DIR}/common.cmake)
set(tiny --steps 2 --iterations 3 --first-step 1 --population-size 2000 --samples 200 --batch 64)

help(--case --scheme --softening --samples)
writes(arguments ${tiny} shape 200,2 metrics ring_radius ring_radius_error ring_width sliced_w2 seconds settings scheme=backward)
writes(arguments ${tiny} --scheme forward shape 200,2 metrics ring_radius ring_radius_error settings scheme=forward)
writes(arguments --case semicircle ${tiny} shape 200,1 metrics w2 seconds)
writes(arguments --case semicircle --scheme forward ${tiny} shape 200,1 metrics w2)
refuses_nonsense()
fails("--case" --case square)
fails("--scheme" --scheme sideways)
fails("--softening" --softening 0)
