"""Bad input of every kind: a clear error, nothing changed, nothing hurt."""

import contextlib
import http.client
import json
import os
import shutil
import signal
import sqlite3
import subprocess
import time

import pytest

from ratchet_process import BIN, HttpError, Ratchet, SmallDisk, alive, cpu_seconds, http as ask, peak_kib, wait_until
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
    ("canary without steps", CHURN_SPEC + "release: {strategy: canary}\n", ["release.steps"]),
    ("unknown strategy", CHURN_SPEC + "release: {strategy: canry}\n", ["release.strategy", "canary"]),
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


SPEC_LIMIT = 256 << 10  # of PRODUCT: what is larger is refused unread

# Really nested: each needs a parser's stack, or a count of its own depth. Closed where there is something to close.
NESTED = [
    ("lists", lambda size: "[" * (size // 2) + "]" * (size // 2)),
    ("lists left open", lambda size: "[" * size),
    ("maps", lambda size: "{a: " * (size // 5) + "1" + "}" * (size // 5 - 1)),
    ("lists in block style", lambda size: "- " * (size // 2 - 1) + "x"),
]


@pytest.mark.parametrize("nested", [case[1] for case in NESTED], ids=[case[0] for case in NESTED])
@pytest.mark.parametrize("size", [10 << 20, SPEC_LIMIT - 64], ids=["ten mebibytes", "just below the limit"])
def test_nested_yaml_is_refused(shared_ratchet, nested, size):
    spec = nested(size).encode()
    assert size - 16 < len(spec) <= size
    # The time limit is there for a parser that never ends; what a slow machine takes is far less.
    with pytest.raises(HttpError) as caught:
        ask("PUT", shared_ratchet.url + "/api/v1/pipelines/churn", spec, {"Content-Type": "application/yaml"}, timeout=20)
    assert caught.value.status in ((413, 422) if size > SPEC_LIMIT else (422,)), caught.value.body
    problem = caught.value.problem()
    assert problem["type"].startswith("https://ratchet.dev/problems/") and problem["title"] and problem["detail"]
    assert shared_ratchet.answers()


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


def test_two_gibibytes_of_good_rows_are_taken_in_bounded_memory(ratchet):
    """Cells of 64 KiB make the rows few, so that what is measured is bytes."""
    rows = (2 << 30) // (64 << 10)
    cell = b"".join(b"%07d " % number for number in range(8 << 10))
    assert len(cell) == 64 << 10
    host, port = ratchet.url[7:].split(":")
    connection = http.client.HTTPConnection(host, int(port), timeout=300)
    connection.putrequest("POST", "/api/v1/datasets/wide/versions?key=id")
    connection.putheader("Content-Type", "text/csv")
    connection.putheader("Transfer-Encoding", "chunked")
    connection.endheaders()
    connection.send(b"8\r\nid,text\n\r\n")
    for row in range(rows):
        line = b"r%07d,%s\n" % (row, cell)
        connection.send(b"%x\r\n%s\r\n" % (len(line), line))
    connection.send(b"0\r\n\r\n")
    answer = connection.getresponse()
    body = answer.read().decode()
    connection.close()
    peak = peak_kib(ratchet.process.pid)
    ratchet.stop()
    shutil.rmtree(ratchet.data)
    assert answer.status == 201, body
    assert sum(json.loads(body)["rows_added"].values()) == rows
    assert peak < 300 * 1024, f"{peak} KiB"


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
    ("allocates 100 GiB", '["python3", "-c", "x = bytearray(100 << 30)"]', "60s", "out_of_memory", "1.0 GiB"),
    ("grows without end", '["python3", "-c", "x = []\\nwhile True: x.append(bytearray(1 << 20))"]', "60s", "out_of_memory", "1.0 GiB"),
    ("fills its disk quota", '["sh", "-c", "while :; do head -c 1000000 /dev/zero >> fill$i; i=$((i+1)); done"]', "60s", "disk_quota", "20 MiB"),
    ("never ends", '["sleep", "1000"]', "2s", "timeout", ""),
    ("writes a bundle that does not load", '["sh", "-c", "echo junk > $RATCHET_OUT/model.pt; echo {} > $RATCHET_OUT/signature.json"]',
     "60s", "user", ""),
    ("writes nothing", '["true"]', "60s", "user", "RATCHET_OUT"),
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
    assert error["class"] == error_class, error
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


@pytest.fixture
def small_disk(tmp_path):
    disk = SmallDisk(tmp_path / "disk", 24)
    if not disk.mounted:
        disk.close()
        pytest.skip("NOT TESTED: no mount namespace may be made here, as root or not: " + disk.why_not)
    yield disk
    disk.close()


def assert_registry_is_sound(ratchet):
    # SQLite does not follow the way into another mount namespace, so it gets a copy, with the log of what was not merged yet.
    for name in ("registry.db", "registry.db-wal"):
        if os.path.exists(os.path.join(ratchet.data, name)):
            shutil.copy(os.path.join(ratchet.data, name), ratchet.folder)
    with contextlib.closing(sqlite3.connect(os.path.join(ratchet.folder, "registry.db"))) as registry:
        assert registry.execute("PRAGMA integrity_check").fetchone()[0] == "ok"
        assert registry.execute("SELECT count(*) FROM dataset_versions").fetchone()[0] >= 1


def test_a_full_disk_refuses_a_push_and_leaves_the_registry_sound(tmp_path, small_disk):
    ratchet = Ratchet(tmp_path, disk=small_disk).start()
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
    assert_registry_is_sound(ratchet)


def test_a_run_goes_on_when_a_full_disk_has_room_again(tmp_path, small_disk):
    """The end of a step can't be written down while the disk is full: the loop waits, quietly, and then goes on."""
    ratchet = Ratchet(tmp_path, disk=small_disk).start()
    try:
        ratchet.apply("own", COMMAND_SPEC % ('["sleep", "1000"]', "10m"))
        ratchet.apply("churn", CHURN_SPEC)
        ratchet.push_csv("customers", churn_csv(1500))
        run = ratchet.start_run("own")

        def trainer():
            train = next(step for step in ratchet.get(f"/api/v1/runs/{run}")["steps"] if step["name"] == "train")
            last = train["attempts"][-1] if train["attempts"] else None
            return last["pid"] if last and last["state"] == "running" else None
        pid = wait_until(trainer, "the trainer runs")
        filler = small_disk.fill()
        os.kill(pid, signal.SIGKILL)
        wait_until(lambda: not alive(pid), "the trainer is gone")
        before = cpu_seconds(ratchet.process.pid)
        time.sleep(2)  # what is tested: the work that is done in this time
        used = cpu_seconds(ratchet.process.pid) - before
        assert ratchet.answers()
        with pytest.raises(HttpError) as unready:
            ask("GET", ratchet.url + "/readyz")
        assert unready.value.status == 503
        state_when_full = ratchet.get(f"/api/v1/runs/{run}")["state"]
        os.remove(filler)
        # What was killed is the step's supervisor, which could say no more: the attempt is lost, and the step tried again.
        wait_until(lambda: trainer() not in (None, pid), "the loop goes on")
        ratchet.cli("run", "cancel", run)
        record = ratchet.wait_for_run(run)
        train = next(step for step in record["steps"] if step["name"] == "train")
        assert record["state"] == "cancelled", record
        assert [attempt["state"] for attempt in train["attempts"]][0] == "lost", train
        assert ratchet.run("churn")["outcome"] == "promoted"
        assert state_when_full == "running"
        assert used < 1, f"{used} s of CPU in 2 s of a full disk"
    finally:
        ratchet.stop()
    assert_registry_is_sound(ratchet)


def test_a_read_only_data_directory_is_said_clearly(tmp_path, small_disk):
    ratchet = Ratchet(tmp_path, disk=small_disk).start()
    ratchet.stop()
    small_disk.make_read_only()
    done = subprocess.run([*ratchet.command, "--listen", "127.0.0.1:0"], capture_output=True, text=True, timeout=60)
    assert done.returncode == 1
    assert "read-only" in done.stderr.lower()
