#!/usr/bin/python3
"""Each rule of check_style.py fires on a sample that breaks it, and stays quiet on one that does not."""
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
sys.dont_write_bytecode = True
import check_style  # noqa: E402


def faults(path, source, existing=()):
    return [fault for _, fault in check_style.check_file(path, source, lambda p: p in existing)]


def function_of(lines, head="int F(int a)"):
    return head + " {\n" + "  a += 1;\n" * (lines - 2) + "}\n"


class Sizes(unittest.TestCase):
    def test_file_of_600_lines_passes_and_of_601_fails(self):
        for suffix in (".h", ".py", ".ts", ".svelte"):
            self.assertEqual(faults("web/a" + suffix, "x\n" * 600), [])
            self.assertIn("601 lines", faults("web/a" + suffix, "x\n" * 601)[0])

    def test_function_of_70_lines_passes_and_of_71_fails(self):
        heads = ["int F(int a)", "Thing::Thing(int a) : a_(a), b_{a}", "template <typename T>\nauto F(T a) -> int",
                 "TEST(Decide, DoesX)", "bool operator<(const A& a) const noexcept"]
        for head in heads:
            extra = head.count("\n")
            self.assertEqual(faults("gate/a.cc", function_of(70 - extra, head)), [], head)
            self.assertIn("a function of 71 lines", "".join(faults("gate/a.cc", function_of(71 - extra, head))), head)

    def test_function_inside_namespace_and_class_is_found(self):
        source = "namespace a {\nclass B {\n public:\n" + function_of(80, "void F(int a) const override") + "};\n}\n"
        self.assertEqual(faults("gate/a.cc", source), ["a function of 80 lines; the most is 70"])

    def test_long_types_tables_and_namespaces_are_no_functions(self):
        for head in ("namespace {", "struct A {", "enum class B {", "constexpr int kC[] = {"):
            self.assertEqual(faults("gate/a.cc", head + "\n" + "// row\n" * 90 + "};\n"), [], head)

    def test_braces_in_texts_comments_and_constants_do_not_count(self):
        body = "  auto a = \"}\"; char b = '}'; /* } */ // }\n  auto c = R\"x(}\n)x\"; auto d = 1'000'000;\n"
        self.assertIn("a function of 92 lines",
                      "".join(faults("gate/a.cc", "int F(int a) {\n" + body * 30 + "}\n")))


class Includes(unittest.TestCase):
    def test_each_room_may_include_what_the_table_says_only(self):
        everything = ["base/a.h", "lake/a.h", "registry/a.h", "registry/bundle_manifest.h", "gate/a.h", "pipeline/a.h",
                      "plugins/sdk/a.h", "plugins/vision/a.h", "worker/a.h", "serving/a.h", "daemon/a.h", "cli/a.h"]
        allowed = {
            "base": [],
            "gate": ["base/a.h"],
            "lake": ["base/a.h"],
            "pipeline": ["base/a.h", "lake/a.h", "registry/a.h", "registry/bundle_manifest.h", "gate/a.h"],
            "serving": ["base/a.h", "registry/bundle_manifest.h", "plugins/sdk/a.h"],
            "worker": ["base/a.h", "lake/a.h", "registry/bundle_manifest.h", "plugins/sdk/a.h"],
            "cli": ["base/a.h"],
        }
        for room, may in allowed.items():
            for folder in (f"{room}/x.cc", f"tests/{room}/x_test.cc"):
                for header in everything:
                    found = faults(folder, f'#include "{header}"\n', everything)
                    fine = header in may or header.startswith(room + "/")
                    self.assertEqual(found, [] if fine else [f'{room}/ may not include "{header}"'])

    def test_third_party_is_for_its_rooms(self):
        self.assertEqual(faults("gate/a.cc", "#include <boost/math/distributions/normal.hpp>\n"), [])
        self.assertEqual(faults("pipeline/a.cc", "#include <nlohmann/json.hpp>\n#include <yaml-cpp/yaml.h>\n"), [])
        for path, header in (("gate/a.cc", "nlohmann/json.hpp"), ("base/a.h", "nlohmann/json.hpp"),
                             ("daemon/a.cc", "torch/torch.h"), ("cli/a.cc", "SQLiteCpp/SQLiteCpp.h"),
                             ("serving/a.cc", "SQLiteCpp/SQLiteCpp.h"), ("lake/a.cc", "gtest/gtest.h"),
                             ("tests/gate/a.cc", "nlohmann/json.hpp")):
            room = check_style.room_of(path)[0]
            self.assertEqual(faults(path, f"#include <{header}>\n"), [f"{room}/ may not use <{header}>"])
        self.assertEqual(faults("tests/lake/a.cc", "#include <gtest/gtest.h>\n#include <sys/stat.h>\n#include <vector>\n"), [])

    def test_own_headers_are_named_from_the_root(self):
        for header in ("a.h", "../gate/a.h", "gate/../base/a.h", "elsewhere/a.h"):
            self.assertEqual(faults("gate/a.cc", f'#include "{header}"\n', [header]),
                             [f'"{header}" is not a path from the root of the sources'])
        self.assertEqual(faults("gate/a.cc", '#include "gate/gone.h"\n'), ['"gate/gone.h" does not exist'])


class Names(unittest.TestCase):
    def test_vague_names_fail_in_paths_classes_and_namespaces(self):
        for path in ("gate/string_util.cc", "gate/common.h", "lake/helpers/a.cc", "web/src/misc.ts"):
            self.assertEqual(len(faults(path, "\n")), 1, path)
        for source in ("class RunManager {};", "struct JsonHelper;", "namespace ratchet::util {", "namespace misc {"):
            self.assertEqual(len(faults("gate/a.cc", source + "\n")), 1, source)

    def test_words_that_only_contain_a_vague_one_pass(self):
        for path in ("gate/utility_curve.cc", "gate/commonness.h"):
            self.assertEqual(faults(path, "\n"), [], path)
        self.assertEqual(faults("gate/a.cc", "// the manager\nclass Managed {};\n"), [])


class Program(unittest.TestCase):
    def test_exit_status_tells_whether_a_tree_is_clean(self):
        program = Path(check_style.__file__)
        with tempfile.TemporaryDirectory() as folder:
            room = Path(folder) / "gate"
            room.mkdir()
            (room / "a.cc").write_text("int a;\n")
            self.assertEqual(subprocess.run([sys.executable, program, folder], capture_output=True).returncode, 0)
            (room / "a.cc").write_text('#include "lake/a.h"\n')
            ran = subprocess.run([sys.executable, program, folder], capture_output=True, text=True)
            self.assertEqual(ran.returncode, 1)
            self.assertIn("gate/a.cc:1:", ran.stdout)


if __name__ == "__main__":
    unittest.main()
