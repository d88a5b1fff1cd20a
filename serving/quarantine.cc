#include "serving/quarantine.h"

#include <algorithm>
#include <sstream>

#include "base/digest.h"

namespace ratchet::serving {
namespace {

// "1700000000000000 BUNDLE signal 11", a line each.
std::vector<Fault> ReadKept(Files& files, const std::string& path) {
  std::istringstream lines(files.Read(path, 1u << 20).value_or(""));
  std::vector<Fault> kept;
  for (Fault fault; lines >> fault.at_us >> fault.bundle && std::getline(lines >> std::ws, fault.how);)
    if (IsSha256Hex(fault.bundle)) kept.push_back(fault);
  return kept;
}

std::string KeptText(const std::vector<Fault>& faults) {
  std::string text;
  for (const Fault& fault : faults) text += std::to_string(fault.at_us) + " " + fault.bundle + " " + fault.how + "\n";
  return text;
}

}  // namespace

std::map<std::string, std::string> Repeaters(const std::vector<Fault>& faults) {
  std::map<std::string, std::vector<Fault>> by_bundle;
  for (const Fault& fault : faults) by_bundle[fault.bundle].push_back(fault);
  std::map<std::string, std::string> found;
  for (auto& [bundle, its] : by_bundle) {
    std::ranges::sort(its, {}, &Fault::at_us);
    for (size_t last = kFaultsToQuarantine - 1; last < its.size(); ++last)
      if (its[last].at_us - its[last - kFaultsToQuarantine + 1].at_us <= kFaultWindowUs)
        found[bundle] = "it took ratchet-serve with it " + std::to_string(kFaultsToQuarantine) + " times in a minute, last by: " + its[last].how;
  }
  return found;
}

Result<Quarantine> Quarantine::Open(Files& files, const std::string& folder, const std::vector<Fault>& last, std::int64_t now_us) {
  Quarantine opened(files, folder);
  if (last.empty()) return opened;
  RATCHET_TRY(files.MakeFolders(folder));
  std::vector<Fault> faults = ReadKept(files, folder + "/faults");
  faults.insert(faults.end(), last.begin(), last.end());
  std::erase_if(faults, [&](const Fault& fault) { return fault.at_us < now_us - kFaultWindowUs; });
  RATCHET_TRY(files.WriteAtomic(folder + "/faults", KeptText(faults)));
  for (const auto& [bundle, why] : Repeaters(faults))
    if (IsSha256Hex(bundle)) RATCHET_TRY(files.WriteAtomic(folder + "/" + bundle, why + "\n"));
  return opened;
}

std::optional<std::string> Quarantine::Why(const std::string& bundle) const {
  auto text = files_->Read(folder_ + "/" + bundle, 4096);
  if (!text) return std::nullopt;
  while (text->ends_with('\n')) text->pop_back();
  return kQuarantined + *text + ". Removing " + folder_ + "/" + bundle + " lets it in again";
}

}  // namespace ratchet::serving
