// SPDX-License-Identifier: BSL-1.0
#pragma once
// One list of fields for a group of options: names, requirements and help texts drive the check,
// the identity of a saved run, the command line of programs and the table in the documents.
#include <cmath>
#include <cstddef>
#include <stdexcept>
#include <string>
#include <type_traits>

#include "../hana.hpp"

namespace wgf {

/// A field of a group of options.
template <class Group, class T>
struct OptionField {
  const char* name;         ///< as in the code
  T Group::*member;         ///< where its value is
  bool (*valid)(T);         ///< whether a value is valid
  const char* requirement;  ///< what `valid` requires, to follow the name: "must be positive"
  const char* help;         ///< one line for a command line or a table
};

namespace detail {
template <class Group, class T>
constexpr OptionField<Group, T> field(const char* name, T Group::*member,
                                      bool (*valid)(std::type_identity_t<T>),
                                      const char* requirement, const char* help) {
  return {name, member, valid, requirement, help};
}
template <class T>
bool is_positive(T value) {
  return value > 0 && std::isfinite(static_cast<double>(value));
}
template <class T>
bool is_not_negative(T value) {
  return value >= 0;
}
inline bool is_any(bool) { return true; }
/// Whether the number behind a value of an enumeration with names_of is one of its values.
template <class E>
bool is_named(E value) {
  const auto index = static_cast<long>(value);
  return index >= 0 && index < static_cast<long>(names_of(value).size());
}
inline bool is_fraction(double value) { return value >= 0 && value <= 1; }
inline bool is_positive_fraction(double value) { return value > 0 && value <= 1; }
inline bool is_count(long value) { return value > 0 && value <= 1'000'000'000'000; }

/// The name of a value of an enumeration with names_of; for any other value its number.
template <class E>
  requires std::is_enum_v<E>
std::string shortest(E value) {
  if (!is_named(value)) return std::to_string(static_cast<long>(value));
  return names_of(value)[static_cast<std::size_t>(value)];
}
template <class T>
std::string option_text(T value) {
  if constexpr (std::is_enum_v<T>) return shortest(value);
  else return std::to_string(value);
}

/// \param prefix of the names in the message, such as "training."
/// \throws std::invalid_argument naming the first field of the group whose value is invalid.
template <class Group>
void check_fields(const Group& group, const std::string& prefix) {
  hana::for_each(Group::fields(), [&](const auto& field) {
    const auto value = group.*field.member;
    if (!field.valid(value))
      throw std::invalid_argument("wgf::RunOptions: " + prefix + field.name + " " +
                                  field.requirement + ", got " + option_text(value));
  });
}
}  // namespace detail

}  // namespace wgf
