// SPDX-License-Identifier: BSL-1.0
#pragma once
// The report of a run as one JSON file: settings, seed, times and metrics.
#include <chrono>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <type_traits>
#include <variant>
#include <vector>

#include <nlohmann/json_fwd.hpp>

#include "options.hpp"

namespace examples {

/// The processor time that the program has used so far, on all threads.
double cpu_seconds();

/// Collects settings and results of a run and writes
/// {"program": …, "seed": …, "settings": {…}, "seconds": {…}, "metrics": {…}, "notes": […]}. Names
/// are in snake_case.
class Report {
 public:
  using Setting =
      std::variant<bool, long, std::uint64_t, double, std::string, std::vector<std::string>>;

  Report(const std::string& program, const CommonOptions& options);
  ~Report();
  Report(const Report&) = delete;
  Report& operator=(const Report&) = delete;

  void setting(const std::string& name, const Setting& value);
  /// A numerical result. A non-finite value is written as null, with a note.
  void metric(const std::string& name, double value);
  /// A result with one number per step, target or mode.
  template <class Values>
  void list(const std::string& name, const Values& values) {
    using Number = std::remove_cvref_t<decltype(*values.begin())>;
    using Stored = std::conditional_t<std::is_integral_v<Number>, long, double>;
    put_list(name, std::vector<Stored>(values.begin(), values.end()));
  }
  /// A result of any other type.
  void details(const std::string& name, const nlohmann::ordered_json& value);
  void seconds(const std::string& name, double value);
  /// A duration that was recorded before.
  double seconds(const std::string& name) const;
  /// Runs `work` and records its duration. \return the result of `work`
  template <class Work>
  auto timed(const std::string& name, Work&& work) {
    seconds(name, 0);
    const struct Watch {
      Report& report;
      const std::string& name;
      std::chrono::steady_clock::time_point start = std::chrono::steady_clock::now();
      ~Watch() {
        report.seconds(
            name, std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count());
      }
    } watch{*this, name};
    return work();
  }
  /// A remark, such as a picture that could not be drawn.
  void note(const std::string& text);

  const nlohmann::ordered_json& content() const { return *content_; }

  /// Writes the report atomically. \throws wgf::FileError naming the file
  void write(const std::filesystem::path& file) const;

 private:
  void put_list(const std::string& name,
                const std::variant<std::vector<double>, std::vector<long>>& numbers);

  std::unique_ptr<nlohmann::ordered_json> content_;
};

}  // namespace examples
