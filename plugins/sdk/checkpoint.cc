#include "plugins/sdk/checkpoint.h"

#include <filesystem>
#include <sstream>

#include "base/files.h"

namespace ratchet::sdk {
namespace {

constexpr char kFile[] = "checkpoint.pt";
constexpr std::uint64_t kMaxCheckpointBytes = 8ull << 30;

std::string PathIn(const std::string& folder) { return (std::filesystem::path(folder) / kFile).string(); }

void WriteTensors(torch::serialize::OutputArchive& archive, const std::string& name,
                  const std::vector<torch::Tensor>& tensors) {
  archive.write(name, torch::IValue(tensors));
}

std::vector<torch::Tensor> ReadTensors(torch::serialize::InputArchive& archive, const std::string& name) {
  torch::IValue value;
  archive.read(name, value);
  return value.toTensorVector();
}

}  // namespace

Status SaveCheckpoint(const std::string& folder, const Checkpoint& checkpoint, torch::optim::Optimizer& optimizer) {
  SystemFiles files;
  RATCHET_TRY(files.MakeFolders(folder));
  try {
    const nlohmann::json head = {{"format", 1},
                                 {"fingerprint", checkpoint.fingerprint},
                                 {"epoch", checkpoint.epoch},
                                 {"state", checkpoint.state}};
    torch::serialize::OutputArchive archive, optimizer_archive;
    archive.write("head", torch::IValue(head.dump()));
    WriteTensors(archive, "weights", checkpoint.weights);
    WriteTensors(archive, "best_weights", checkpoint.best_weights);
    optimizer.save(optimizer_archive);
    archive.write("optimizer", optimizer_archive);
    std::ostringstream bytes;
    archive.save_to(bytes);
    return files.WriteAtomic(PathIn(folder), bytes.str());
  } catch (const std::exception& error) {
    return Fail(ErrorCode::kInternal, "save checkpoint in", folder, error.what());
  }
}

Result<std::optional<Checkpoint>> LoadCheckpoint(const std::string& folder, const std::string& fingerprint,
                                                 torch::optim::Optimizer& optimizer) {
  const auto bytes = SystemFiles().Read(PathIn(folder), kMaxCheckpointBytes);
  if (!bytes && bytes.error().code == ErrorCode::kNotFound) return std::nullopt;
  if (!bytes) return std::unexpected(bytes.error());
  try {
    std::istringstream stream(*bytes);
    torch::serialize::InputArchive archive, optimizer_archive;
    archive.load_from(stream);
    torch::IValue text;
    archive.read("head", text);
    const auto head = nlohmann::json::parse(text.toStringRef());
    Checkpoint checkpoint;
    checkpoint.fingerprint = head.at("fingerprint").get<std::string>();
    if (checkpoint.fingerprint != fingerprint) return std::nullopt;
    checkpoint.epoch = head.at("epoch").get<std::int64_t>();
    checkpoint.state = head.at("state");
    checkpoint.weights = ReadTensors(archive, "weights");
    checkpoint.best_weights = ReadTensors(archive, "best_weights");
    archive.read("optimizer", optimizer_archive);
    optimizer.load(optimizer_archive);
    return checkpoint;
  } catch (const std::exception& error) {
    return Fail(ErrorCode::kCorrupt, "load checkpoint from", folder, error.what());
  }
}

}  // namespace ratchet::sdk
