// SPDX-License-Identifier: BSL-1.0
#pragma once
// Third-party types as targets, interaction kernels or divergences.

namespace wgf {

/// How an object is read where the library expects a target, an interaction kernel or a divergence.
/// By default it is used as it is. Specialise this template for third-party types:
///     template <>
///     struct wgf::Adapt<vendor::Model> {
///       static auto read(const vendor::Model& m) { return MyTarget{&m}; }
///     };
template <class T>
struct Adapt {
  static const T& read(const T& t) { return t; }
};
/// A copy of t as read by Adapt.
template <class T>
auto adapted(const T& t) {
  return Adapt<T>::read(t);
}

}  // namespace wgf
