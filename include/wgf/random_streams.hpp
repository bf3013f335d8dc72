// SPDX-License-Identifier: BSL-1.0
#pragma once
// The registry of random streams: which part of the library draws which numbers of Random,
// addressed by (seed, stream, index, point). Measures on the host use small stream numbers and
// their own seeds.
#include <cstdint>

namespace wgf {

/// The number of random streams that a term may use.
inline constexpr std::uint32_t streams_of_a_term = 16;

namespace detail {
enum Stream : std::uint32_t {
  batch_stream = 1001,        ///< batches of P_k
  offset_stream = 1002,       ///< start of a pass over the population; strata that represent it
  pool_stream = 1003,         ///< seed of the population's draws from P_0
  forward_stream = 1004,      ///< particles that represent P_k in a forward half
  cloud_stream = 1005,        ///< seed of the particles that represent a Gaussian P_k
  held_out_stream = 1006,     ///< seed of samples that are never used in training
  rejection_stream = 20'000,  ///< whether particles are kept, one stream for every rejection
  resampling_stream = 1007,   ///< seed of the resampling and the moves of reweighted stages
  map_stream = 1010,          ///< the map's initial parameters
  dual_stream = 1100          ///< of the first term; each term has streams_of_a_term
};
}  // namespace detail

}  // namespace wgf
