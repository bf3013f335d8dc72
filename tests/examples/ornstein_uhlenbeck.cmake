# SPDX-License-Identifier: BSL-1.0
include(${CMAKE_CURRENT_LIST_DIR}/common.cmake)
set(tiny --steps 2 --iterations 5 --first-step 1 --samples 50)
set(metrics sym_kl_jko sym_kl_pde sym_kl_jko_to_pde seconds)

help(--preset --dim --repeats)
writes(arguments ${tiny} --repeats 2 shape 50,2 metrics ${metrics} settings preset=ours dim=2 repeats=2)
writes(arguments ${tiny} --dim 1 shape 50,1 metrics ${metrics} settings dim=1)
writes(arguments ${tiny} --preset independent --dim 5 shape 50,5 metrics ${metrics} settings preset=independent dim=5)
writes(arguments ${tiny} --preset paper shape 50,2 metrics ${metrics} settings preset=paper)
refuses_nonsense()
fails("--dim" --dim 0)
fails("--repeats" --repeats 0)
fails("coupled_base needs whiten" --whiten false)
