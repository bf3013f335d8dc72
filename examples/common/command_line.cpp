// SPDX-License-Identifier: BSL-1.0
#include "command_line.hpp"

#include <optional>
#include <type_traits>
#include <utility>

#include <fmt/format.h>
#include <CLI/CLI.hpp>

namespace examples {

bool convert(const std::string& text, int& value) { return CLI::detail::lexical_cast(text, value); }
bool convert(const std::string& text, long& value) {
  return CLI::detail::lexical_cast(text, value);
}
bool convert(const std::string& text, double& value) {
  return CLI::detail::lexical_cast(text, value);
}

namespace {
/// The number that a text stands for, or an empty optional.
std::optional<double> number(const std::string& text) {
  double value = 0;
  if (!convert(text, value)) return std::nullopt;
  return value;
}
}  // namespace

Option Option::at_least(double least) {
  return check([least](const std::string& text) {
    const auto value = number(text);
    return value && *value >= least ? std::string()
                                    : fmt::format("must be at least {}, got {}", least, text);
  });
}
Option Option::positive() {
  return check([](const std::string& text) {
    const auto value = number(text);
    return value && *value > 0 ? std::string()
                               : fmt::format("must be a positive number, got {}", text);
  });
}
Option Option::between(double least, double most, bool exclude_least) {
  return check([=](const std::string& text) {
    const auto value = number(text);
    const bool good =
        value && *value >= least && *value <= most && !(exclude_least && *value == least);
    return good ? std::string()
                : fmt::format("must be {} {} and at most {}, got {}",
                              exclude_least ? "above" : "at least", least, most, text);
  });
}
Option Option::one_of(std::vector<std::string> words) {
  option_->check(CLI::IsMember(std::move(words)));
  return *this;
}
Option Option::check(std::function<std::string(const std::string&)> problem,
                     const std::string& kind) {
  option_->check(CLI::Validator(
      [problem = std::move(problem)](const std::string& text) { return problem(text); }, kind));
  return *this;
}
Option Option::each(std::function<void(const std::string&)> use) {
  option_->each(use);
  return *this;
}
Option Option::excludes(Option other) {
  option_->excludes(other.option_);
  return *this;
}
Option Option::group(const std::string& heading) {
  option_->group(heading);
  return *this;
}
Option Option::type_name(const std::string& name) {
  option_->type_name(name);
  return *this;
}
Option Option::description(const std::string& text) {
  option_->description(text);
  return *this;
}
Option Option::shown_default(const std::string& text) {
  option_->default_str(text);
  return *this;
}

CommandLine::CommandLine(const std::string& description, const std::string& name)
    : name_(name), app_(std::make_unique<CLI::App>(description, name)) {}
CommandLine::~CommandLine() = default;

Option CommandLine::add(const std::string& name, Value value, const std::string& help) {
  return std::visit(
      [&](auto* target) {
        CLI::Option* option = app_->add_option(name, *target, help)->capture_default_str();
        if constexpr (std::is_same_v<decltype(target), bool*>)
          option->default_str(*target ? "true" : "false");
        return Option(option);
      },
      value);
}
Option CommandLine::add(const std::string& name, std::function<void(const std::string&)> use,
                        const std::string& help) {
  return Option(app_->add_option_function<std::string>(name, use, help));
}
Option CommandLine::add_flag(const std::string& name, std::function<void()> use,
                             const std::string& help) {
  return Option(app_->add_flag_callback(name, std::move(use), help));
}
Option CommandLine::get(const std::string& name) { return Option(app_->get_option(name)); }
void CommandLine::when_parsed(std::function<void()> use) {
  app_->parse_complete_callback(std::move(use));
}
bool CommandLine::parse(const std::vector<std::string>& arguments) {
  try {
    app_->parse(std::vector<std::string>(arguments.rbegin(), arguments.rend()));  // from the back
    return true;
  } catch (const CLI::ParseError& error) {
    if (error.get_exit_code() != 0) throw UsageError(error.what());
    app_->exit(error);  // prints the help
    return false;
  }
}

}  // namespace examples
