// SPDX-License-Identifier: BSL-1.0
#pragma once
// The command line of an experiment. CLI11 does the work in command_line.cpp, so that it is
// compiled once and not with every program.
#include <cstdint>
#include <functional>
#include <memory>
#include <stdexcept>
#include <string>
#include <variant>
#include <vector>

namespace CLI {
class App;
class Option;
}  // namespace CLI

namespace examples {

/// An invalid command line; what() names the option.
class UsageError : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

/// The number that a text on the command line stands for: an int, long or double. \returns whether
/// it is one
template <class T>
bool convert(const std::string& text, T& value);

/// An option, with functions that say more about it and can be chained.
class Option {
 public:
  explicit Option(CLI::Option* option) : option_(option) {}

  /// The value must be a number for which `good` holds. \param requirement says so: "must be …"
  Option number(const std::string& requirement, std::function<bool(double)> good);
  /// The value must be at least `least`.
  Option at_least(double least);
  /// The value must be above zero.
  Option positive();
  /// The value must lie in [least, most], or in (least, most].
  Option between(double least, double most, bool exclude_least = false);
  Option one_of(std::vector<std::string> words);
  /// \param problem returns what is wrong with a value, or an empty text
  /// \param kind the kind of value, for --help
  Option check(std::function<std::string(const std::string&)> problem,
               const std::string& kind = "");
  /// Calls `use` with the value when the option is given.
  Option each(std::function<void(const std::string&)> use);
  /// The two options cannot be given together.
  Option excludes(Option other);
  /// The heading under which --help lists the option.
  Option group(const std::string& heading);
  Option type_name(const std::string& name);
  Option description(const std::string& text);
  /// The default that --help shows; the option's value at the time it was added if this is not
  /// called.
  Option shown_default(const std::string& text);

 private:
  CLI::Option* option_;
};

/// The options of a program.
class CommandLine {
 public:
  using Value = std::variant<bool*, int*, long*, std::uint64_t*, double*, std::string*>;

  CommandLine(const std::string& description, const std::string& name);
  ~CommandLine();
  CommandLine(const CommandLine&) = delete;
  CommandLine& operator=(const CommandLine&) = delete;

  /// An option that sets `value`. \param name with its dashes, such as "--seed"
  Option add(const std::string& name, Value value, const std::string& help);
  /// An option that calls `use` with its value.
  Option add(const std::string& name, std::function<void(const std::string&)> use,
             const std::string& help);
  /// An option without a value.
  Option add_flag(const std::string& name, std::function<void()> use, const std::string& help);
  /// An option that was added before.
  Option get(const std::string& name);
  /// The first option under this heading of --help that was given; empty if none was.
  std::string given_under(const std::string& heading) const;
  /// Calls `use` when the whole command line has been read.
  void when_parsed(std::function<void()> use);

  const std::string& name() const { return name_; }
  /// Reads the arguments, without the program's name. \return whether the program is to continue:
  /// not after --help \throws UsageError
  bool parse(const std::vector<std::string>& arguments);

 private:
  std::string name_;
  std::unique_ptr<CLI::App> app_;
  std::vector<std::function<void()>> uses_;  // of the whole command line
};

}  // namespace examples
