// SPDX-License-Identifier: BSL-1.0
#pragma once
// The report of a run as one JSON file: settings, seed, times and metrics.
#include <chrono>
#include <cmath>
#include <cstdint>
#include <filesystem>
#include <ostream>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include <fmt/format.h>
#include <nlohmann/json.hpp>
#include <wgf/io/write_atomically.hpp>

#include "options.hpp"

namespace examples {

/// Collects settings and results of a run and writes
/// {"program": …, "seed": …, "settings": {…}, "seconds": {…}, "metrics": {…}, "notes": […]}. Names
/// are in snake_case.
class Report {
 public:
  Report(std::string program, const CommonOptions& options) {
    content_ = {{"program", std::move(program)}, {"seed", options.seed}};
    for (const char* part : {"settings", "seconds", "metrics"})
      content_[part] = nlohmann::ordered_json::object();
    content_["notes"] = nlohmann::ordered_json::array();
    setting("threads", options.threads);
    setting("steps", options.steps);
#ifdef WGF_EXAMPLES_ON_TORCH
    setting("device", options.device);
#endif
  }

  /// A setting: any type that nlohmann::json converts.
  template <class T>
  void setting(const std::string& name, const T& value) {
    content_["settings"][snake_case(name)] = value;
  }
  /// A numerical result. A non-finite value is written as null, with a note.
  void metric(const std::string& name, double value) {
    if (!std::isfinite(value)) note(fmt::format("{} is not finite", name));
    content_["metrics"][snake_case(name)] = value;
  }
  /// A result of any other type.
  void metric(const std::string& name, nlohmann::ordered_json value) {
    content_["metrics"][snake_case(name)] = std::move(value);
  }
  /// A result with one number per step, target or mode.
  template <class Values>
  void list(const std::string& name, const Values& values) {
    metric(name, nlohmann::ordered_json(std::vector(values.begin(), values.end())));
  }
  void seconds(const std::string& name, double value) {
    content_["seconds"][snake_case(name)] = std::round(value * 1e4) / 1e4;
  }
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
  void note(std::string text) { content_["notes"].push_back(std::move(text)); }

  const nlohmann::ordered_json& content() const { return content_; }

  /// Writes the report atomically. \throws wgf::FileError naming the file
  void write(const std::filesystem::path& file) const {
    wgf::detail::write_atomically("report", file,
                                  [&](std::ostream& out) { out << content_.dump(2) << '\n'; });
  }

 private:
  static const std::string& snake_case(const std::string& name) {
    const bool good = !name.empty() && name.front() >= 'a' && name.front() <= 'z' &&
                      name.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789_") == name.npos;
    if (!good)
      throw std::invalid_argument(
          fmt::format("Report: the name \"{}\" is not in snake_case", name));
    return name;
  }

  nlohmann::ordered_json content_;
};

}  // namespace examples
