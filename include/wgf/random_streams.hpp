// SPDX-License-Identifier: BSL-1.0
#pragma once
// The registry of random streams: who draws which numbers of Random, addressed by (seed, stream,
// index, point). Measures on the host use small stream numbers with seeds of their own.
#include <cstdint>

namespace wgf {

/// Streams of random numbers that a term may use.
inline constexpr std::uint32_t streams_of_a_term = 16;

namespace detail {
enum Stream : std::uint32_t {
  batch_stream = 1001,     ///< batches of P_k
  offset_stream = 1002,    ///< where a pass over the population begins; particles spread over it
  pool_stream = 1003,      ///< the seed of the population's draws of P_0
  forward_stream = 1004,   ///< particles that represent P_k in a forward half
  cloud_stream = 1005,     ///< the seed of particles that represent a Gaussian P_k
  held_out_stream = 1006,  ///< the seed of samples that training never sees
  map_stream = 1010,       ///< the map's initial parameters
  dual_stream = 1100       ///< the first term's; each term has streams_of_a_term
};
}  // namespace detail

}  // namespace wgf
