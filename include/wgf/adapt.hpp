// SPDX-License-Identifier: BSL-1.0
#pragma once
// Types that one does not own, as targets, kernels, divergences.

namespace wgf {

/// How an object is read where the library takes a target, a kernel or a divergence: as itself. To
/// be specialised for types of others, with what stands for them:
///     template <>
///     struct wgf::Adapt<vendor::Model> {
///       static auto read(const vendor::Model& m) { return MyTarget{&m}; }
///     };
template <class T>
struct Adapt {
  static const T& read(const T& t) { return t; }
};
/// A copy of what an object stands for.
template <class T>
auto adapted(const T& t) {
  return Adapt<T>::read(t);
}

}  // namespace wgf
