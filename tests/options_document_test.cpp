// SPDX-License-Identifier: BSL-1.0
// The tables of options in docs/start.md are the library's own lists of fields.
#include <cstdio>
#include <filesystem>
#include <string>
#include <type_traits>

#include <wgf/options/options.hpp>

#include "catch.hpp"
#include "folder.hpp"

namespace {
template <class T>
std::string default_text(T value) {
  if constexpr (std::is_same_v<T, bool>) return value ? "true" : "false";
  else if constexpr (std::is_enum_v<T>) return wgf::detail::shortest(value);
  else if constexpr (std::is_integral_v<T>) return std::to_string(value);
  else {
    char text[32];
    std::snprintf(text, sizeof text, "%.4g", static_cast<double>(value));
    return text;
  }
}
/// A table of Markdown: a row for every field, with its default and what it means.
template <class Group>
std::string table(const std::string& name) {
  const Group defaults;
  std::string rows = "| `." + name + " = {…}` | default | meaning |\n|---|---|---|\n";
  wgf::hana::for_each(Group::fields(), [&](const auto& field) {
    std::string help = field.help;
    for (std::size_t at = 0; (at = help.find('|')) != help.npos;) help.replace(at, 1, "∣");
    rows += std::string("| `") + field.name + "` | " + default_text(defaults.*field.member) +
            " | " + help + " |\n";
  });
  return rows;
}
}  // namespace

TEST_CASE("docs/start.md has a row for every option, as the library describes it") {
  const auto root = std::filesystem::path(__FILE__).parent_path().parent_path();
  const std::string document = wgf::test::read(root / "docs" / "start.md");
  REQUIRE(!document.empty());
  for (const std::string& expected :
       {table<wgf::TrainingOptions>("training"), table<wgf::PopulationOptions>("population"),
        table<wgf::Safeguards>("safeguards")}) {
    INFO("docs/start.md must hold:\n" << expected);
    CHECK(document.find(expected) != std::string::npos);
  }
}
