// SPDX-License-Identifier: Apache-2.0
#include "config.h"

#include <unistd.h>

#define TOML_EXCEPTIONS 0
#include <array>
#include <functional>
#include <map>

#include <toml++/toml.h>

#include "base/file.h"

namespace drover::droverd {
namespace {

using Setter = std::function<bool(const toml::node&)>;

template <typename T>
Setter text_into(T& member) {
  return [&member](const toml::node& node) {
    const auto value = node.value_exact<std::string>();
    if (value) member = *value;
    return value.has_value();
  };
}

Setter port_into(std::uint16_t& member) {
  return [&member](const toml::node& node) {
    const auto value = node.value_exact<std::int64_t>();
    if (!value || *value < 1 || *value > 65535) return false;
    member = static_cast<std::uint16_t>(*value);
    return true;
  };
}

Setter span_into(std::chrono::milliseconds& member) {
  return [&member](const toml::node& node) {
    const auto value = node.value_exact<std::int64_t>();
    if (!value || *value < 100 || *value > 86'400'000) return false;
    member = std::chrono::milliseconds(*value);
    return true;
  };
}

// One of two words.
Setter choice_into(bool& member, std::string_view yes, std::string_view no) {
  return [&member, yes, no](const toml::node& node) {
    const auto value = node.value_exact<std::string>();
    if (!value || (*value != yes && *value != no)) return false;
    member = *value == yes;
    return true;
  };
}

Setter level_into(log::Level& member) {
  return [&member](const toml::node& node) {
    static const std::map<std::string, log::Level> kLevels{{"debug", log::Level::kDebug},
                                                           {"info", log::Level::kInfo},
                                                           {"warning", log::Level::kWarning},
                                                           {"error", log::Level::kError}};
    const auto value = node.value_exact<std::string>();
    if (!value || !kLevels.contains(*value)) return false;
    member = kLevels.at(*value);
    return true;
  };
}

std::string machine_name() {
  std::array<char, 256> name{};
  if (::gethostname(name.data(), name.size() - 1) != 0) return "localhost";
  const std::string full(name.data());
  return full.substr(0, full.find('.'));
}

std::filesystem::path find_programs() {
  std::error_code error;
  const auto own = std::filesystem::read_symlink("/proc/self/exe", error).parent_path();
  if (!error && std::filesystem::exists(own / "drover-gate")) return own;
  return "/usr/libexec/drover";
}

// libvirtd's socket, or that of the modular daemon where only that is there.
std::filesystem::path find_libvirt_socket() {
  const std::filesystem::path monolithic = "/run/libvirt/libvirt-sock";
  const std::filesystem::path modular = "/run/libvirt/virtqemud-sock";
  return !std::filesystem::exists(monolithic) && std::filesystem::exists(modular) ? modular
                                                                                  : monolithic;
}

Status apply(const toml::table& table, Config& config, const std::filesystem::path& path) {
  const std::map<std::string_view, Setter> setters{
      {"name", text_into(config.name)},
      {"listen-address", text_into(config.listen_address)},
      {"advertise-address", text_into(config.advertise_address)},
      {"api-port", port_into(config.api_port)},
      {"mover-port", port_into(config.mover_port)},
      {"libvirt-uri", text_into(config.libvirt_uri)},
      {"libvirt-socket", text_into(config.libvirt_socket)},
      {"state-folder", text_into(config.state_folder)},
      {"run-folder", text_into(config.run_folder)},
      {"socket-folder", text_into(config.socket_folder)},
      {"program-folder", text_into(config.program_folder)},
      {"patience-ms", span_into(config.patience)},
      {"pause-budget-ms", span_into(config.pause_budget)},
      {"keep-residue", choice_into(config.keep_residue_disks, "disks", "off")},
      {"log-level", level_into(config.log_level)},
  };
  for (const auto& [key, node] : table) {
    const auto setter = setters.find(key.str());
    if (setter == setters.end()) {
      return fail(ErrorCode::kInvalidArgument, "{}: line {}: there is no setting \"{}\".",
                  path.string(), node.source().begin.line, key.str());
    }
    if (!setter->second(node)) {
      return fail(ErrorCode::kInvalidArgument,
                  "{}: line {}: {} has a value of the wrong kind or size.", path.string(),
                  node.source().begin.line, key.str());
    }
  }
  return {};
}

}  // namespace

Result<Config> read_config(const std::filesystem::path& path, bool must_exist) {
  Config config;
  auto text = read_file(path);
  if (!text && (must_exist || text.error().code != ErrorCode::kNotFound))
    return std::unexpected(text.error());
  if (text) {
    const toml::parse_result parsed = toml::parse(*text);
    if (!parsed) {
      return fail(ErrorCode::kInvalidArgument, "{}: line {}: {}.", path.string(),
                  parsed.error().source().begin.line, parsed.error().description());
    }
    RETURN_IF_ERROR(apply(parsed.table(), config, path));
  }
  if (config.name.empty()) config.name = machine_name();
  if (config.program_folder.empty()) config.program_folder = find_programs();
  if (config.libvirt_socket.empty()) config.libvirt_socket = find_libvirt_socket();
  return config;
}

}  // namespace drover::droverd
