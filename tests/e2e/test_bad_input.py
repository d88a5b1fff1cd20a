"""Bad input of every kind: a clear error, nothing changed, nothing hurt."""

import http.client
import json
import os
import signal
import socket
import subprocess
import time

import pytest

from ratchet_process import BIN, HttpError, Ratchet, http as ask, wait_until
from small_data import CHURN_SPEC, churn_csv


def refused(action, status, *words):
    with pytest.raises(HttpError) as caught:
        action()
    assert caught.value.status == status, caught.value.body
    problem = caught.value.problem()
    text = json.dumps(problem, ensure_ascii=False).lower()
    for word in words:
        assert word.lower() in text, problem
    assert problem["type"].startswith("https://ratchet.dev/problems/") and problem["title"]
    return problem


BAD_SPECS = [
    ("unknown key", CHURN_SPEC.replace("seed: 7", "sed: 7"), ["train.sed", "seed"]),
    ("wrong type", CHURN_SPEC.replace("epochs: 8", "epochs: many"), ["epochs"]),
    ("missing section", "model: churn\ndata: {dataset: d, target: t}\n", ["train"]),
    ("impossible share", CHURN_SPEC.replace("holdout: 0.3", "holdout: 1.5"), ["data.split.holdout"]),
    ("impossible confidence", CHURN_SPEC + "gate: {confidence: 2}\n", ["gate.confidence"]),
    ("unknown plugin", CHURN_SPEC.replace("tabular.classifier", "tabular.clasifier"), ["tabular.classifier"]),
    ("not yet there", CHURN_SPEC + "release: {strategy: canary}\n", ["release.strategy"]),
    ("alias bomb", "a: &a [x,x,x,x,x,x,x,x,x]\n" + "".join(
        f"{chr(98 + i)}: &{chr(98 + i)} [{','.join(['*' + chr(97 + i)] * 9)}]\n" for i in range(12)), []),
    ("deep nesting", "[" * 100_000, []),
    ("not YAML", "model: [churn\n", ["line"]),
]


@pytest.mark.parametrize("spec,words", [case[1:] for case in BAD_SPECS], ids=[case[0] for case in BAD_SPECS])
def test_bad_specs_are_refused_with_the_place(shared_ratchet, spec, words):
    # Recipes are known once the worker is ready.
    wait_until(lambda: shared_ratchet.get("/api/v1/status")["worker"]["state"] == "ready", "the worker is ready")
    refused(lambda: shared_ratchet.apply("churn", spec), 422, *words)
    refused(lambda: shared_ratchet.get("/api/v1/pipelines/churn"), 404)


def test_ten_mebibytes_of_nested_yaml_are_refused_quickly(shared_ratchet):
    spec = "a:\n" + "  - b\n" * (10 * 1024 * 1024 // 6)
    with pytest.raises(HttpError) as caught:
        shared_ratchet.apply("churn", spec)
    assert caught.value.status in (413, 422)


BAD_CSV = [
    ("ragged row", "id,x\n1,2\n3\n", ["line 3"]),
    ("wrong type later", "id,x\n" + "".join(f"{i},{i}\n" for i in range(2000)) + "2000,word\n", ["line 2002", "x"]),
    ("invalid UTF-8", b"id,x\n1,\xff\xfe\n", ["utf-8"]),
    ("empty file", "", ["empty"]),
    ("no header", "1,2\n3,4\n", ["header"]),
]


@pytest.mark.parametrize("text,words", [case[1:] for case in BAD_CSV], ids=[case[0] for case in BAD_CSV])
def test_bad_csv_is_refused_and_leaves_no_version(shared_ratchet, text, words):
    body = text if isinstance(text, bytes) else text.encode()
    refused(lambda: shared_ratchet.send("POST", "/api/v1/datasets/bad/versions", body, "text/csv"), 400, *words)
    try:
        assert shared_ratchet.get("/api/v1/datasets/bad")["latest_version"] == 0
    except HttpError as error:
        assert error.status == 404
    assert os.listdir(shared_ratchet.data + "/staging") == []


def test_a_body_of_two_gibibytes_is_streamed_in_bounded_memory(shared_ratchet):
    """Two GiB of one endless line are refused by the line limit, with an answer that says so; memory stays small."""
    host, port = shared_ratchet.url[7:].split(":")
    connection = http.client.HTTPConnection(host, int(port), timeout=120)
    connection.putrequest("POST", "/api/v1/datasets/huge/versions")
    connection.putheader("Content-Type", "text/csv")
    connection.putheader("Content-Length", str(2 << 30))
    connection.endheaders()
    chunk = b"x" * (1 << 20)
    try:
        connection.send(b"id,x\n" + chunk[5:])
        for _ in range(2047):
            connection.send(chunk)
    except OSError:
        pass  # it hung up, as it may: the answer is there all the same
    answer = connection.getresponse()
    body = answer.read().decode()
    peak = peak_kib(shared_ratchet.process.pid)
    connection.close()
    assert answer.status in (400, 413), body
    assert "line" in body
    assert peak < 300 * 1024, f"{peak} KiB"


def peak_kib(pid):
    for line in open(f"/proc/{pid}/status"):
        if line.startswith("VmHWM"):
            return int(line.split()[1])


@pytest.mark.parametrize("name", ["..%2F..%2Fetc", "%00", "a" * 10_000, "Sorter", "-rf", "a%2Fb", "%ff"])
def test_odd_names_are_refused(shared_ratchet, name):
    for method, path in (("GET", f"/api/v1/models/{name}"), ("PUT", f"/api/v1/pipelines/{name}"),
                         ("POST", f"/api/v1/datasets/{name}/versions")):
        with pytest.raises(HttpError) as caught:
            shared_ratchet.send(method, path, b"model: x", "application/yaml")
        assert 400 <= caught.value.status < 500, (method, path)


def test_bodies_over_the_limit_are_refused(shared_ratchet):
    refused(lambda: shared_ratchet.send("POST", "/api/v1/pipelines/validate", b"x" * (40 << 20), "application/yaml"), 413)


def test_malformed_json_is_refused(shared_ratchet):
    for body in (b"{", b"[]", b"\xff", b'{"set": 3}', b'{"unknown": 1}'):
        with pytest.raises(HttpError) as caught:
            shared_ratchet.send("POST", "/api/v1/pipelines/none/runs", body, "application/json ")
        assert caught.value.status in (400, 404, 415, 422)


def test_an_idempotency_key_makes_one_run(ratchet):
    ratchet.apply("churn", CHURN_SPEC)
    ratchet.push_csv("customers", churn_csv(300))
    key = {"Idempotency-Key": "once"}
    first = ratchet.send("POST", "/api/v1/pipelines/churn/runs", {"set": {}}, headers=key)
    second = ratchet.send("POST", "/api/v1/pipelines/churn/runs", {"set": {}}, headers=key)
    assert first["id"] == second["id"]
    refused(lambda: ratchet.send("POST", "/api/v1/pipelines/churn/runs", {"set": {"train.seed": 8}}, headers=key), 409)


# ---- trainers that misbehave

COMMAND_SPEC = """
model: own
data: {dataset: customers, target: left, split: {validation: 0.1, holdout: 0.3, key: id}}
train:
  command: %s
  limits: {time: %s, memory: 1GiB, disk: 20MiB, attempts: 1}
"""

BAD_TRAINERS = [
    ("exits 1", '["sh", "-c", "echo my last words; exit 1"]', "60s", "user", "my last words"),
    ("is killed by a signal", '["sh", "-c", "kill -SEGV $$"]', "60s", "signal", "signal"),
    ("allocates 100 GiB", '["python3", "-c", "x = bytearray(100 << 30)"]', "60s", None, ""),
    ("grows without end", '["python3", "-c", "x = []\\nwhile True: x.append(bytearray(1 << 20))"]', "60s", None, ""),
    ("fills its disk quota", '["sh", "-c", "while :; do head -c 1000000 /dev/zero >> fill$i; i=$((i+1)); done"]', "60s", None, ""),
    ("never ends", '["sleep", "1000"]', "2s", "timeout", ""),
    ("writes a bundle that does not load", '["sh", "-c", "echo junk > $RATCHET_OUT/model.pt; echo {} > $RATCHET_OUT/signature.json"]',
     "60s", "user", ""),
    ("writes nothing", '["true"]', "60s", "user", "model.pt"),
    ("is not there", '["no-such-program"]', "60s", "user", "no-such-program"),
]


@pytest.mark.parametrize("command,time_limit,error_class,words", [case[1:] for case in BAD_TRAINERS],
                         ids=[case[0] for case in BAD_TRAINERS])
def test_a_trainer_that_misbehaves_is_a_failed_attempt(shared_ratchet, command, time_limit, error_class, words):
    shared_ratchet.apply("own", COMMAND_SPEC % (command, time_limit))
    if shared_ratchet.get("/api/v1/datasets/customers")["latest_version"] == 0:
        shared_ratchet.push_csv("customers", churn_csv(200))
    run = shared_ratchet.run("own")
    assert run["state"] == "failed", run
    error = run["error"]
    if error_class:
        assert error["class"] == error_class, error
    else:
        assert error["class"] in ("out_of_memory", "disk_quota", "user", "signal"), error
    assert words in error["message"], error
    assert error["message"]
    assert shared_ratchet.answers()


# ---- the machine

def test_a_taken_port_is_said_clearly(tmp_path, shared_ratchet):
    address = shared_ratchet.url[7:]
    done = subprocess.run([os.path.join(BIN, "ratchetd"), "--data", str(tmp_path / "data"), "--listen", address],
                          capture_output=True, text=True, timeout=60)
    assert done.returncode == 1
    assert address.rsplit(":", 1)[1] in done.stderr and "taken" in done.stderr


def test_a_data_directory_that_cannot_be_written_is_said_clearly(tmp_path):
    # A file stands where the directory should be: that stops root too.
    (tmp_path / "data").write_text("not a folder")
    done = subprocess.run([os.path.join(BIN, "ratchetd"), "--data", str(tmp_path / "data"), "--listen", "127.0.0.1:0"],
                          capture_output=True, text=True, timeout=60)
    assert done.returncode == 1
    assert "data" in done.stderr


def mount_small(folder, options):
    """A file system of its own below the folder, in this test's mount namespace only where it may make one."""
    return subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)], capture_output=True).returncode == 0


@pytest.fixture
def small_disk(tmp_path):
    folder = tmp_path / "disk"
    folder.mkdir()
    if not mount_small(folder, "size=24m"):
        pytest.skip("only root can mount a small file system")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def test_a_full_disk_leaves_the_registry_sound(small_disk):
    ratchet = Ratchet(small_disk).start()
    try:
        ratchet.apply("churn", CHURN_SPEC)
        version = ratchet.push_csv("customers", churn_csv(200))
        with pytest.raises((HttpError, OSError)) as caught:
            for start in range(1, 40):
                ratchet.push_csv("customers", churn_csv(20_000, start=start * 20_000))
        if isinstance(caught.value, HttpError):
            assert caught.value.status in (500, 503, 507), caught.value.body
            assert "space" in caught.value.body.lower()
        assert ratchet.get("/api/v1/datasets/customers")["latest_version"] >= version["version"]
    finally:
        ratchet.stop()
    check = subprocess.run(["python3", "-c", "import sqlite3,sys; print(sqlite3.connect(sys.argv[1]).execute("
                            "'PRAGMA integrity_check').fetchone()[0])", ratchet.data + "/registry.db"],
                           capture_output=True, text=True)
    assert check.stdout.strip() == "ok", check.stderr


def test_a_read_only_data_directory_is_said_clearly(small_disk):
    ratchet = Ratchet(small_disk).start()
    ratchet.stop()
    assert subprocess.run(["mount", "-o", "remount,ro", str(small_disk)]).returncode == 0
    done = subprocess.run([os.path.join(BIN, "ratchetd"), "--data", ratchet.data, "--listen", "127.0.0.1:0"],
                          capture_output=True, text=True, timeout=60)
    assert done.returncode == 1
    assert "read-only" in done.stderr.lower()
