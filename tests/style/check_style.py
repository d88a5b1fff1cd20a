#!/usr/bin/python3
"""Holds the sources to the house rules: sizes, names and the table of who may include whom.

Usage: check_style.py [ROOT]. Looks at the files that git tracks, or at all where there is no git. Prints one line for
each violation and exits with 1 where there is any.
"""
import re
import subprocess
import sys
from pathlib import Path, PurePosixPath

MAX_FILE_LINES = 600
MAX_FUNCTION_LINES = 70
SIZED = {".h", ".cc", ".py", ".ts", ".svelte", ".cmake"}
FORBIDDEN_WORDS = {"util", "utils", "helper", "helpers", "common", "misc", "manager"}
SKIPPED_FOLDERS = {"build", "node_modules", "dist", ".git"}

# Which rooms a room may include, beside itself. A name with a slash is a folder or a file of a room.
ROOMS = {
    "base": [],
    "lake": ["base"],
    "registry": ["base"],
    "gate": ["base"],
    "pipeline": ["base", "lake", "registry", "gate"],
    "plugins": ["base", "lake", "registry/bundle_manifest.h"],
    "worker": ["base", "lake", "registry/bundle_manifest.h", "plugins/sdk"],
    "serving": ["base", "registry/bundle_manifest.h", "plugins/sdk"],
    "daemon": ["base", "lake", "registry", "gate", "pipeline", "web"],
    "cli": ["base"],
}
# Prefixes of third-party headers that a room may include. nlohmann/json is for every room but base and gate.
THIRD_PARTY = {
    "base": ["openssl/", "spdlog/"],
    "lake": ["SQLiteCpp/", "sqlite3.h", "simdjson", "zstd", "spdlog/", "openssl/"],
    "registry": ["SQLiteCpp/", "sqlite3.h", "spdlog/"],
    "gate": ["boost/math/", "spdlog/fmt/"],
    "pipeline": ["absl/time/", "yaml-cpp/", "boost/process", "spdlog/"],
    "plugins": ["torch/", "ATen/", "c10/", "caffe2/", "png.h", "sqlite3.h", "spdlog/"],
    "worker": ["torch/", "ATen/", "c10/", "caffe2/", "CLI/", "httplib.h", "spdlog/"],
    "serving": ["torch/", "ATen/", "c10/", "caffe2/", "boost/", "simdjson", "zlib.h", "zstd", "CLI/", "httplib.h", "spdlog/"],
    "daemon": ["boost/asio", "boost/system", "httplib.h", "prometheus/", "archive", "CLI/", "yaml-cpp/", "spdlog/"],
    "cli": ["httplib.h", "CLI/", "yaml-cpp/", "png.h", "spdlog/"],
}
JSON_FREE = {"base", "gate"}
# Tests of a room may include what the room may, and these. Tests without a room (e2e, faults, …) may include all rooms.
TEST_PREFIXES = ["gtest/", "gmock/", "benchmark/", "spdlog/"]

INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]*(?:"([^"]+)"|<([^>]+)>)', re.MULTILINE)
TYPE_NAME = re.compile(r"^[ \t]*(?:class|struct|namespace|enum class)\s+(?:\[\[\w+\]\]\s*)?([A-Za-z_][\w:]*)", re.MULTILINE)
STANDARD_OR_SYSTEM = re.compile(
    r"^(?:[a-z_0-9]+|(?:assert|ctype|errno|fcntl|getopt|glob|grp|limits|locale|math|poll|pthread|pwd|sched|signal|spawn|stdint|stdio|stdlib|"
    r"string|strings|syscall|syslog|termios|time|unistd|ftw|dirent|dlfcn|ifaddrs|netdb|malloc|execinfo)\.h|"
    r"(?:sys|linux|netinet|arpa|net|asm|bits)/[\w/]+\.h|cxxabi\.h)$")


# What may stand between the end of what came before and the head of a function.
HEAD_PREFIX = re.compile(r"^(?:\s+|(?:public|private|protected)\s*:|#(?:[^\n\\]|\\.)*\n|//[^\n]*\n|/ *\n)*", re.DOTALL)


def tracked_files(root):
    """Paths of the files to look at, relative to the root, with forward slashes."""
    try:
        listed = subprocess.run(["git", "-C", str(root), "ls-files", "-z"], capture_output=True, check=True).stdout
        top = subprocess.run(["git", "-C", str(root), "rev-parse", "--show-toplevel"], capture_output=True, check=True)
        if Path(top.stdout.decode().strip()) == root.resolve() and listed:
            return [path for path in listed.decode().split("\0") if path and (root / path).is_file()]
    except (OSError, subprocess.CalledProcessError):
        pass
    files = (p.relative_to(root) for p in root.rglob("*") if p.is_file())
    return [p.as_posix() for p in files if not SKIPPED_FOLDERS & set(p.parts)]


def without_comments_and_texts(source):
    """C++ with the inside of comments, strings and character constants blanked out; lines keep their numbers."""
    token = re.compile(
        r'//(?:[^\n\\]|\\.)*|/\*.*?\*/|R"([^ ()\\\t\n]{0,16})\(.*?\)\1"|"(?:[^"\\\n]|\\.)*"|\'(?:[^\'\\\n]|\\.)+\'', re.DOTALL)

    def blank(match):
        text = match.group(0)
        at = match.start()
        if text[0] == "'" and at and source[at - 1].isalnum() and text[1:2].isalnum():
            # 1'000'000: a digit separator opens no character constant (but u'x' does, which no source here uses).
            return text
        return text[0] + re.sub(r"[^\n]", " ", text[1:-1]) + ("\n" if text[-1] == "\n" else text[-1] if text[0] in "\"'R" else " ")

    return token.sub(blank, source)


def opens_function(head):
    """Whether the text before a '{' is that of a function, and not of a type, a namespace or an initialiser."""
    head = re.sub(r"^\s*#.*$", "", head, flags=re.MULTILINE).strip()
    if not head or head.endswith(("=", ",", "(", "return")):
        return False
    if re.match(r"(?:inline\s+)?(?:namespace|extern\b)", head):
        return False
    if re.match(r"(?:template\s*<.*>\s*)?(?:typedef\s+)?(?:class|struct|union|enum)\b[^()]*$", head, re.DOTALL):
        return False
    return "(" in head


def functions(source):
    """(line, lines) of each function outside of other functions."""
    code = without_comments_and_texts(source)
    found, stack, line, head_start = [], [], 1, 0
    inside = None  # depth of the function that is open
    for at, char in enumerate(code):
        if char == "\n":
            line += 1
        elif char == "{":
            before = code[head_start:at]
            # The formatter puts a space before the brace of a body and none before that of a value.
            value = bool(re.search(r"(?:[\w>]|[=,(]\s*)$", before))
            if inside is None and not value and opens_function(before):
                inside = len(stack)
                start = code.count("\n", 0, at - len(HEAD_PREFIX.sub("", before))) + 1
            stack.append(value)
            if not value:
                head_start = at + 1
        elif char == "}":
            value = stack.pop() if stack else False
            if inside is not None and len(stack) == inside:
                found.append((start, line - start + 1))
                inside = None
            if not value:
                head_start = at + 1
        elif char == ";" and inside is None:
            head_start = at + 1
    return found


def words_of(name):
    return {word.lower() for part in re.split(r"[^A-Za-z0-9]+", name) for word in re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z0-9]+", part)}


def room_of(path):
    """The room whose rules hold for the file, and whether it is a test; (None, …) where no room's rules hold."""
    parts = PurePosixPath(path).parts
    if parts[0] in ROOMS:
        return parts[0], False
    if parts[0] == "tests" and len(parts) > 2:
        return (parts[1] if parts[1] in ROOMS else None), True
    return None, parts[0] in ("tests", "bench")


def may_include(room, is_test, included):
    """Whether a file of the room may include this path from the root."""
    top = PurePosixPath(included).parts[0]
    if top == room or (is_test and top == "tests"):
        return True
    allowed = ROOMS[room]
    return any(included == a or included.startswith(a + "/") for a in allowed)


def may_use(room, is_test, header):
    if STANDARD_OR_SYSTEM.match(header):
        return True
    if header.startswith("nlohmann/"):
        return room not in JSON_FREE
    prefixes = THIRD_PARTY[room] + (TEST_PREFIXES if is_test else [])
    if is_test:  # a test looks at files and bytes by the means of the rooms its own room may include
        prefixes = prefixes + [p for other in ROOMS[room] if other in THIRD_PARTY for p in THIRD_PARTY[other]]
    return any(header.startswith(p) for p in prefixes)


def check_includes(path, source, exists):
    room, is_test = room_of(path)
    for match in INCLUDE.finditer(source):
        line = source.count("\n", 0, match.start()) + 1
        quoted, angled = match.groups()
        if quoted is not None:
            top = PurePosixPath(quoted).parts[0]
            from_root = "/" in quoted and ".." not in quoted and (top in ROOMS or top in ("tests", "bench", "web"))
            if not from_root:
                yield line, f'"{quoted}" is not a path from the root of the sources'
            elif not exists(quoted) and top != "web":
                yield line, f'"{quoted}" does not exist'
            elif room and not may_include(room, is_test, quoted):
                yield line, f'{room}/ may not include "{quoted}"'
        elif room and not may_use(room, is_test, angled):
            yield line, f"{room}/ may not use <{angled}>"


def check_names(path, source):
    bad = words_of(PurePosixPath(path).stem) & FORBIDDEN_WORDS
    for part in PurePosixPath(path).parts[:-1]:
        bad |= words_of(part) & FORBIDDEN_WORDS
    if bad:
        yield 1, f"the path holds the name '{sorted(bad)[0]}'"
    if PurePosixPath(path).suffix in (".h", ".cc"):
        code = without_comments_and_texts(source)
        for match in TYPE_NAME.finditer(code):
            bad = words_of(match.group(1)) & FORBIDDEN_WORDS
            if bad:
                yield code.count("\n", 0, match.start()) + 1, f"{match.group(1)} holds the name '{sorted(bad)[0]}'"


def check_sizes(path, source):
    lines = source.count("\n") + (not source.endswith("\n"))
    if lines > MAX_FILE_LINES:
        yield 1, f"{lines} lines; a file has at most {MAX_FILE_LINES}"
    if PurePosixPath(path).suffix in (".h", ".cc"):
        for line, length in functions(source):
            if length > MAX_FUNCTION_LINES:
                yield line, f"a function of {length} lines; the most is {MAX_FUNCTION_LINES}"


def check_file(path, source, exists):
    """(line, fault) for each violation in one file."""
    yield from check_sizes(path, source)
    yield from check_names(path, source)
    if PurePosixPath(path).suffix in (".h", ".cc"):
        yield from check_includes(path, source, exists)


def main():
    root = Path(sys.argv[1] if len(sys.argv) > 1 else Path(__file__).resolve().parents[2])
    paths = [p for p in tracked_files(root) if PurePosixPath(p).suffix in SIZED]
    if not paths:
        print(f"no sources below {root}")
        return 1
    violations = 0
    for path in sorted(paths):
        source = (root / path).read_text(encoding="utf-8")
        for line, fault in check_file(path, source, lambda p: (root / p).is_file() or (root / f"{p}.in").is_file()):
            print(f"{path}:{line}: {fault}")
            violations += 1
    print(f"{len(paths)} files, {violations} violations")
    return 1 if violations else 0


if __name__ == "__main__":
    sys.exit(main())
