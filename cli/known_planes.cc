#include "cli/known_planes.h"

#include <cstdlib>
#include <filesystem>
#include <fstream>

namespace ratchet::cli {
namespace {

constexpr int kDefaultPort = 7301;
constexpr size_t kMaxFileName = 255;

std::string Variable(const char* name) {
  const char* value = std::getenv(name);
  return value ? value : "";
}

// Empty where there is no such place.
std::string FileOf(const ServerUrl& server) {
  std::string state = Variable("XDG_STATE_HOME");
  if (!state.starts_with('/')) {
    const std::string home = Variable("HOME");
    if (!home.starts_with('/')) return {};
    state = home + "/.local/state";
  }
  const std::string name = PercentEncoded(server.Text());
  return name.size() > kMaxFileName ? "" : state + "/ratchet/data-planes/" + name;
}

std::string Remembered(const std::string& file) {
  std::string url;
  if (!file.empty()) std::getline(std::ifstream(file), url);
  return url;
}

}  // namespace

void RememberDataPlane(const ServerUrl& server, const std::string& url) {
  const std::string file = FileOf(server);
  if (file.empty() || Remembered(file) == url) return;
  std::error_code ignored;
  std::filesystem::create_directories(std::filesystem::path(file).parent_path(), ignored);
  std::ofstream(file) << url << "\n";
}

std::string LastDataPlane(const ServerUrl& server) {
  const std::string url = Remembered(FileOf(server));
  if (ParseServerUrl(url)) return url;
  ServerUrl usual = server;
  usual.scheme = "http";
  usual.port = kDefaultPort;
  usual.prefix.clear();
  return usual.Text();
}

}  // namespace ratchet::cli
