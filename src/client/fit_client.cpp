// SPDX-License-Identifier: Apache-2.0
#include "client/fit_client.h"

#include "json/fit_json.h"
#include "net/http/http_message.h"

namespace drover::client {
namespace {

using Json = nlohmann::json;
using json::Unknown;

Result<Json> ask(ApiClient& client, std::string_view method, const std::string& path,
                 const std::string& body = "") {
  ASSIGN_OR_RETURN(const std::string text, client.raw(method, path, body));
  return json::parse(text);
}

// Answers may come from a newer daemon.
template <typename T>
Result<T> read_as(const Result<Json>& tree) {
  RETURN_IF_ERROR(tree);
  T value{};
  RETURN_IF_ERROR(json::decode(*tree, "", Unknown::kIgnore, value));
  return value;
}

template <typename T>
Result<std::vector<T>> read_list(const Result<Json>& tree, const char* name) {
  RETURN_IF_ERROR(tree);
  return json::decode_list<T>(*tree, name, Unknown::kIgnore);
}

std::string part(std::string_view text) { return net::encode_part(text); }

}  // namespace

Result<std::vector<InterfacePlace>> interface_places(ApiClient& client, std::string_view host) {
  return read_list<InterfacePlace>(ask(client, "GET", "/v1/hosts/" + part(host) + "/interfaces"),
                                   "interfaces");
}

Result<std::vector<InterfacePlace>> set_interface_places(ApiClient& client, std::string_view host,
                                                         std::span<const InterfacePlace> places) {
  const std::vector<InterfacePlace> all(places.begin(), places.end());
  return read_list<InterfacePlace>(ask(client, "PUT", "/v1/hosts/" + part(host) + "/interfaces",
                                       json::dump(json::encode_list("interfaces", all))),
                                   "interfaces");
}

Result<CpuCompat> cpu_compat(ApiClient& client, std::string_view vm,
                             const std::vector<std::string>& hosts, CpuWrite write) {
  const Json body{{"hosts", hosts}, {"write", write == CpuWrite::kWrite}};
  return read_as<CpuCompat>(
      ask(client, "POST", "/v1/vms/" + part(vm) + "/cpu-compat", json::dump(body)));
}

Result<Mobility> mobility(ApiClient& client, std::string_view vm) {
  return read_as<Mobility>(
      ask(client, "GET", vm.empty() ? "/v1/mobility" : "/v1/mobility?vm=" + part(vm)));
}

Result<std::vector<AppliedFix>> fixes(ApiClient& client) {
  return read_list<AppliedFix>(ask(client, "GET", "/v1/fixes"), "fixes");
}

Result<std::vector<AppliedFix>> apply_fix(ApiClient& client, std::string_view plan,
                                          std::string_view code) {
  return read_list<AppliedFix>(
      ask(client, "POST", "/v1/plans/" + part(plan) + "/fix", json::dump({{"code", code}})),
      "fixes");
}

Result<AppliedFix> undo_fix(ApiClient& client, std::string_view id) {
  return read_as<AppliedFix>(ask(client, "POST", "/v1/fixes/" + part(id) + "/undo"));
}

}  // namespace drover::client
