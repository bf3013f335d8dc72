// SPDX-License-Identifier: BSL-1.0
#pragma once
// The parts of Catch2 that the tests use, in version 2.13 or 3.
#if __has_include(<catch2/catch_all.hpp>)
#include <catch2/catch_approx.hpp>
#include <catch2/catch_template_test_macros.hpp>
#include <catch2/catch_test_macros.hpp>
using Catch::Approx;
#else
#include <catch2/catch.hpp>
#endif
