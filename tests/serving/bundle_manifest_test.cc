#include "registry/bundle_manifest.h"

#include <gmock/gmock.h>

#include "base/digest.h"

namespace ratchet::registry {
namespace {

using nlohmann::json;
using ::testing::HasSubstr;

json Sound() {
  return json::parse(R"({"format":1,"task":"classification","recipe":"vision.classifier","target":"label",
    "signature":{"inputs":[{"name":"image","datatype":"UINT8","shape":[-1,1,28,28],"column":"photo"}],
                 "outputs":[{"name":"probabilities","datatype":"FP32","shape":[-1,3]}]},
    "classes":[0,1,7],"metric":"accuracy","ops":["vision"],
    "lineage":{"pipeline":"p","revision":1,"run":5,"dataset":"d","dataset_version":1,"dataset_manifest":"",
               "params":{"epochs":3},"seed":7,"trainer_files":{}},
    "training":{"rows":7012},"files":{"model.pt":{"sha256":")" +
                     Sha256Hex("m") + R"(","bytes":9}}})");
}

TEST(BundleManifest, ReadsWhatTheFormatDescribes) {
  auto manifest = ParseManifest(Sound().dump());
  ASSERT_TRUE(manifest) << manifest.error().Message();
  EXPECT_EQ(manifest->signature.inputs[0].datatype, Datatype::kUint8);
  EXPECT_EQ(manifest->signature.inputs[0].column, "photo");
  EXPECT_EQ(std::get<std::vector<std::int64_t>>(manifest->signature.classes), (std::vector<std::int64_t>{0, 1, 7}));
  EXPECT_EQ(manifest->lineage.run, 5);
  EXPECT_EQ(manifest->model().bytes, 9u);
}

TEST(BundleManifest, SurvivesTheWayToTextAndBackWithEqualBytes) {
  const BundleManifest manifest = *ParseManifest(Sound().dump());
  const std::string text = SerialiseManifest(manifest);
  EXPECT_EQ(*ParseManifest(text), manifest);
  EXPECT_EQ(SerialiseManifest(*ParseManifest(text)), text);
}

TEST(BundleManifest, TakesTheInputsNameAsItsColumnWhenNoneIsGiven) {
  json value = Sound();
  value["signature"]["inputs"][0].erase("column");
  EXPECT_EQ(ParseManifest(value.dump())->signature.inputs[0].column, "image");
}

struct Fault {
  const char* pointer;  // what is changed
  const char* value;    // into this JSON; empty = removed
  const char* field;    // the field the error names
};

class BundleManifestFault : public ::testing::TestWithParam<Fault> {};

TEST_P(BundleManifestFault, IsRefusedByItsField) {
  json value = Sound();
  const json::json_pointer place(GetParam().pointer);
  if (*GetParam().value)
    value[place] = json::parse(GetParam().value);
  else
    value[place.parent_pointer()].erase(place.back());
  auto manifest = ParseManifest(value.dump());
  ASSERT_FALSE(manifest);
  EXPECT_EQ(manifest.error().code, ErrorCode::kInvalid);
  EXPECT_THAT(manifest.error().field, HasSubstr(GetParam().field)) << manifest.error().Message();
}

INSTANTIATE_TEST_SUITE_P(
    All, BundleManifestFault,
    ::testing::Values(
        Fault{"/format", "2", "format"}, Fault{"/task", "\"magic\"", "task"}, Fault{"/task", "", "task"},
        Fault{"/signature", "[]", "signature"}, Fault{"/signature/inputs", "[]", "inputs"},
        Fault{"/signature/inputs/0/datatype", "\"FLOAT\"", "datatype"},
        Fault{"/signature/inputs/0/shape", "[1,28]", "inputs[0].shape"},
        Fault{"/signature/inputs/0/shape", "[-1,0]", "inputs[0].shape"},
        Fault{"/signature/inputs/0/name", "\"\"", "inputs[0].name"}, Fault{"/signature/inputs/0/name", "5", "name"},
        Fault{"/signature/outputs/0/shape", "[-1,4]", "outputs[0]"},
        Fault{"/signature/outputs/0/datatype", "\"INT64\"", "outputs[0]"}, Fault{"/classes", "[0,0,1]", "classes"},
        Fault{"/classes", "[0,\"a\",1]", "classes"}, Fault{"/classes", "", "classes"},
        Fault{"/task", "\"regression\"", "classes"}, Fault{"/files/model.pt/sha256", "\"abc\"", "files.model.pt"},
        Fault{"/files/model.pt/bytes", "-1", "files.model.pt.bytes"}, Fault{"/files/model.pt", "", "files"},
        Fault{"/ops", "[3]", "ops"}, Fault{"/lineage/seed", "\"x\"", "lineage.seed"}));

TEST(BundleManifest, RefusesWhatIsNotJson) {
  EXPECT_FALSE(ParseManifest(""));
  EXPECT_FALSE(ParseManifest("[1,2"));
  EXPECT_FALSE(ParseManifest("[]"));
  EXPECT_EQ(ParseManifest(std::string(kMaxManifestBytes + 1, ' ')).error().code, ErrorCode::kTooLarge);
}

TEST(TrainerSignature, FollowsTheSameRules) {
  const char* text = R"({"task":"regression","inputs":[{"name":"x","datatype":"BYTES","shape":[-1]}],
                         "outputs":[{"name":"y","datatype":"FP64","shape":[-1,1]}]})";
  auto signature = ParseSignature(text);
  ASSERT_TRUE(signature) << signature.error().Message();
  EXPECT_EQ(*ParseSignature(SerialiseSignature(*signature)), *signature);
  EXPECT_FALSE(ParseSignature(R"({"task":"regression","inputs":[],"outputs":[]})"));
}

}  // namespace
}  // namespace ratchet::registry
