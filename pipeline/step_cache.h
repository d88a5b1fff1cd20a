#pragma once

#include <nlohmann/json.hpp>
#include <optional>
#include <string>

// Equal work is not done again: a step is keyed by all that its result follows from.
namespace ratchet::pipeline {

// SHA-256 over the step's kind, trainer (recipe with its plugin's build, or command with the digests of its files),
// parameters, seed, threads, the columns' meaning, expectations, and the digests of everything it reads: `step` is its
// step.json, whose input paths are those of blobs, named by their digests. Nothing for a step whose result must not be
// reused: the test opens the sealed rows, and a freshness expectation asks what time it is.
std::optional<std::string> CacheKey(const nlohmann::json& step, const std::string& build);

// The digest of the plugin that a recipe is in, from the worker's `ready` packet; empty for a command.
std::string BuildOf(const nlohmann::json& step, const nlohmann::json& ready);

}  // namespace ratchet::pipeline
