# SPDX-License-Identifier: BSL-1.0
include(${CMAKE_CURRENT_LIST_DIR}/common.cmake)
set(dual --method dual)
set(tiny ${dual} --steps 1 --iterations 3 --first-step 1 --population-size 2000 --samples 200 --batch 64)
set(errors max_mean_error max_sd_error max_mean_error_sampled max_sd_error_sampled max_mean_error_constrained max_sd_error_constrained)
set(evidence log_evidence log_evidence_error log_evidence_off)
set(cost seconds cpu_seconds target_evaluations)
set(metrics ${errors} ${evidence} ${cost})
set(shipped ${CMAKE_CURRENT_LIST_DIR}/../../examples/data)

help(--model --data --method --budget --samples --spread --inflation)
writes(arguments --budget 1e-9 --samples 200 shape 200,5 metrics ${metrics} ess_fraction draws_per_sample pareto_k
       settings model=test_scores method=flow samples=200 files coordinates.npy)
writes(arguments ${tiny} shape 200,5 metrics ${errors} ${cost} settings model=test_scores method=dual steps=1 files coordinates.npy)
writes(arguments ${tiny} --model eight_schools shape 200,10 metrics ${errors} ${cost} settings model=eight_schools files coordinates.npy)
run_program(--method smc --model eight_schools --samples 300 --quiet --out ${out})
if(NOT status EQUAL 0)
  wrong("must succeed")
endif()
file(READ ${out}/report.json report)
foreach(metric IN ITEMS ${metrics})
  string(JSON type ERROR_VARIABLE error TYPE "${report}" metrics ${metric})
  if(NOT type STREQUAL "NUMBER")
    wrong("the metric ${metric} must be a number: ${error}")
  endif()
endforeach()
if(EXISTS ${out}/flow.wgf OR NOT EXISTS ${out}/samples.npy)
  wrong("must write samples, but no flow")
endif()
if(NOT stdout MATCHES "log Z is the log evidence of the data")
  wrong("must say what log Z is")
endif()
file(REMOVE_RECURSE ${out})

refuses_nonsense(${dual})
fails("--method" --method nuts)
fails("--budget: must be a positive number, got 0" --budget 0)
fails("--budget: goes with --method flow" ${dual} --budget 10)
foreach(option IN ITEMS --steps --iterations --spread --inflation)
  fails("${option}: goes with --method dual" ${option} 1 --method smc)
endforeach()
fails("--resume: goes with --method dual" --resume ${OUT}/run.ckpt)
fails("--model: must be one of eight_schools, test_scores, got nine_schools" --model nine_schools)

# Other data of the same form: a reference is what stands beside it.
set(schools --model eight_schools --data ${data}/data.json)
set(sigma "\"sigma\": [15, 10, 16, 11, 9, 11, 10, 18]")
file(WRITE ${data}/data.json "{\"y\": [1, 2, 3, 4, 5, 6, 7, 8], ${sigma}}")
writes(arguments ${tiny} ${schools} shape 200,10 metrics seconds files coordinates.npy)

fails("no such file" --data ${data}/missing.json)
fails("is a folder, not a file" --data ${data})
foreach(case IN ITEMS
    "{\"y\": [1, 2,|parse error at line 1"
    "|parse error"
    "[1, 2]|the field \"y\" is missing"
    "{${sigma}}|the field \"y\" is missing"
    "{\"y\": \"none\", ${sigma}}|the field \"y\" has the wrong type"
    "{\"y\": [1, 2], ${sigma}}|must hold eight numbers")
  string(REGEX MATCH "^(.*)\\|([^|]*)$" ignored "${case}")
  file(WRITE ${data}/data.json "${CMAKE_MATCH_1}")
  fails("data.json: .*${CMAKE_MATCH_2}" ${schools})
endforeach()
file(WRITE ${data}/data.json "{\"kid_score\": [1, 2, 3], \"mom_hs\": [0, 1], \"mom_iq\": [1, 2, 3]}")
fails("have 3, 2 and 3 entries" --data ${data}/data.json)
set(line "\"kid_score\": [1, 2, 3, 5, 7], \"mom_hs\": [0, 0, 1, 1, 1], \"mom_iq\": ")
file(WRITE ${data}/data.json "{${line}[1, 2, 3, 5, 7]}")
fails("the coefficients fit the data exactly" --data ${data}/data.json)
file(WRITE ${data}/data.json "{${line}[2, 2, 3, 5, 9]}")
fails("5 data with 4 columns do not determine 4 coefficients" --data ${data}/data.json)
file(WRITE ${data}/data.json "{${line}[1, 2, 3, 5, 9]}")
writes(arguments --budget 1e-9 --samples 200 --data ${data}/data.json shape 200,5 metrics ${evidence} ess_fraction ${cost} files coordinates.npy)

foreach(case IN ITEMS
    "theta1,theta2|no rows"
    "theta1,theta2\n1,2\n|line 1: the columns must be"
    "theta1,theta2\n1,x\n|line 2, column 2: \"x\" is not a number"
    "theta1,theta2\n1,2\n3\n|line 3: 1 values")
  string(REGEX MATCH "^(.*)\\|([^|]*)$" ignored "${case}")
  file(COPY ${shipped}/eight_schools/data.json ${shipped}/eight_schools/reference_moments.json DESTINATION ${data})
  file(WRITE ${data}/draws.csv "${CMAKE_MATCH_1}")
  fails("draws.csv: .*${CMAKE_MATCH_2}" ${schools})
endforeach()
file(WRITE ${data}/reference_moments.json "{\"constrained\": {\"theta1\": {\"mean\": 1}}}")
fails("reference_moments.json: the field \"sd\" is missing" ${schools})
file(REMOVE_RECURSE ${data})
