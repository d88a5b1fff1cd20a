#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "lake/pack.h"
#include "registry/bundle_manifest.h"

// Rows of the lake as a client of ratchet-serve sends them, and its answers. Pure; made by the protocol's own rules and
// not by the code that scores, so that a difference between the two shows.
namespace ratchet::worker {

// The body of an infer request (Open Inference Protocol V2, JSON) for one row of the batch. Missing values are null, or
// zeros in a blob. Nothing for a row that JSON cannot carry: a number that is not finite, a text that is no UTF-8.
// `schema` describes the batch's columns and has all that the signature reads.
std::optional<std::string> InferBody(const registry::Signature& signature, const lake::Schema& schema,
                                     const lake::Batch& batch, size_t row);

// What the server said of one row.
struct ServedRow {
  std::vector<double> values;        // of output 0; NaN where it was not finite
  std::optional<lake::Value> label;  // of a classification: the class it names
};
// Nothing for a body that is no answer to one row.
std::optional<ServedRow> ReadInferAnswer(const registry::Signature& signature, const std::string& body);

// One row of a batch as a batch of its own.
lake::Batch OneRow(const lake::Batch& batch, size_t row);

}  // namespace ratchet::worker
