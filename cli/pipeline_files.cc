#include "cli/pipeline_files.h"

#include <yaml-cpp/yaml.h>

#include <algorithm>
#include <array>
#include <filesystem>

#include "base/files.h"
#include "cli/upload.h"

namespace ratchet::cli {
namespace {

namespace fs = std::filesystem;

constexpr size_t kSpecLimitBytes = 16u << 20;  // beyond this the server refuses in any case
constexpr size_t kParsedSpecBytes = 1u << 20;  // a larger one is sent as it is

struct SpecOutline {
  std::string model;
  std::vector<std::string> words;  // of train.command and of every step's
};

void TakeCommand(const YAML::Node& step, std::vector<std::string>& words) {
  if (!step || !step.IsMap()) return;
  const YAML::Node command = step["command"];
  if (!command || !command.IsSequence()) return;
  for (const YAML::Node& word : command)
    if (word.IsScalar()) words.push_back(word.Scalar());
}

SpecOutline Outline(const std::string& text) {
  SpecOutline outline;
  if (text.size() > kParsedSpecBytes) return outline;
  try {
    YAML::Node root = YAML::Load(text);
    if (!root.IsMap()) return outline;
    if (YAML::Node model = root["model"]; model && model.IsScalar()) outline.model = model.Scalar();
    TakeCommand(root["train"], outline.words);
    if (YAML::Node steps = root["steps"]; steps && steps.IsMap())
      for (const auto& step : steps) TakeCommand(step.second, outline.words);
  } catch (const YAML::Exception&) {
    // The server has the better parser for telling what is wrong and where.
  }
  return outline;
}

// True for a relative path that stays below its folder.
bool StaysBelow(const fs::path& path) {
  if (path.empty() || path.is_absolute()) return false;
  for (const fs::path& part : path)
    if (part == "..") return false;
  return true;
}

// "train.py": what is meant to lie beside the spec, unless a program gets it as a mere argument.
bool LooksLikeScript(const fs::path& word) {
  constexpr std::array kEndings{".py", ".sh", ".R", ".jl", ".pl", ".rb", ".js"};
  return StaysBelow(word) && std::ranges::count(kEndings, word.extension().string()) > 0;
}

}  // namespace

Result<SpecFile> ReadSpecFile(const std::string& path) {
  RATCHET_ASSIGN(auto input, InputFile::Open(path));
  SpecFile spec;
  RATCHET_ASSIGN(spec.text, input->ReadAll(kSpecLimitBytes));
  SpecOutline outline = Outline(spec.text);
  spec.model = outline.model;
  if (path == "-") return spec;
  fs::path folder = fs::path(path).parent_path();
  for (const std::string& word : outline.words) {
    std::error_code error;
    fs::path file = folder / word;
    if (!StaysBelow(word) || !fs::is_regular_file(fs::symlink_status(file, error)) || error) {
      if (LooksLikeScript(word)) spec.missing.push_back(word);
      continue;
    }
    auto content = SystemFiles().Read(file.string(), kCommandFileLimitBytes);
    if (!content && content.error().code == ErrorCode::kTooLarge)
      return Fail(ErrorCode::kTooLarge, "send", file.string(), "a file of a command may have 1 MiB at most",
                  "Read large files from a fixed place in the program instead");
    RATCHET_TRY(content);
    spec.files[word] = std::move(*content);
  }
  return spec;
}

RequestBody SpecRequest(const SpecFile& spec) {
  if (spec.files.empty()) return {.text = spec.text, .content_type = "application/yaml", .idempotency_key = {}};
  Json body{{"spec", spec.text}, {"files", Json::object()}};
  for (const auto& [name, content] : spec.files) body["files"][name] = Base64(content);
  return {.text = body.dump(-1, ' ', false, Json::error_handler_t::replace), .idempotency_key = {}};
}

std::string Base64(std::string_view bytes) {
  constexpr std::string_view kDigits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string out;
  for (size_t at = 0; at < bytes.size(); at += 3) {
    std::uint32_t group = 0;
    size_t have = std::min<size_t>(3, bytes.size() - at);
    for (size_t i = 0; i < 3; ++i) group = (group << 8) | (i < have ? static_cast<unsigned char>(bytes[at + i]) : 0);
    for (size_t i = 0; i < 4; ++i) out += i <= have ? kDigits[(group >> (18 - 6 * i)) & 63] : '=';
  }
  return out;
}

}  // namespace ratchet::cli
