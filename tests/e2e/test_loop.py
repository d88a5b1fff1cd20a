"""The loop: push, run, promote, retrain, reject, roll back, predict; and what each program survives."""

import collections
import json
import os
import signal
import subprocess

from ratchet_process import BIN, HttpError, alive, http, wait_until
from small_data import CHURN_SPEC, churn_csv

ROW = [{"name": "months", "datatype": "FP64", "shape": [1], "data": [3]},
       {"name": "plan", "datatype": "BYTES", "shape": [1], "data": ["a"]},
       {"name": "spend", "datatype": "FP64", "shape": [1], "data": [20.5]}]


def first_version(ratchet, spec=CHURN_SPEC):
    ratchet.apply("churn", spec)
    ratchet.push_csv("customers", churn_csv(1500))
    run = ratchet.run("churn", **{"train.params.epochs": 1})
    assert run["outcome"] == "promoted", run
    return run


def test_goes_from_rows_to_a_served_prediction_and_back(ratchet):
    first_version(ratchet)
    assert ratchet.live("churn") == 1
    second = ratchet.run("churn")
    assert second["outcome"] == "promoted", second["summary"]
    assert ratchet.infer("churn", ROW)["model_version"] == "2"

    decision = ratchet.get("/api/v1/models/churn/versions/2/decision")
    assert decision["verdict"] == "better" and decision["opponent_version"] == 1
    assert decision["test"] == "mcnemar_exact" and decision["p_value"] <= decision["alpha"]
    assert decision["rows"] > 300
    assert (decision["holdout"]["epoch"], decision["holdout"]["look"]) == (1, 2)
    assert decision["alpha"] < 0.05 / 4

    explained = ratchet.cli("model", "explain", "churn@2").stdout
    assert "the same, bit for bit" in explained, explained
    ledger = ratchet.get("/api/v1/datasets/customers")["holdout_epochs"]
    assert [(epoch["model"], epoch["looks"]) for epoch in ledger] == [("churn", 2)]
    assert "NEXT LEVEL" in ratchet.cli("dataset", "show", "customers").stdout

    release = ratchet.cli_json("rollback", "churn", "--reason", "test")
    assert (release["from"], release["to"]) == (2, 1)
    assert ratchet.infer("churn", ROW)["model_version"] == "1"
    ratchet.cli("rollback", "churn")
    assert ratchet.infer("churn", ROW)["model_version"] == "2"
    assert ratchet.infer("churn", ROW, version=1)["model_version"] == "1"


def test_rejects_an_equal_candidate_and_keeps_its_report(ratchet):
    first_version(ratchet)
    again = ratchet.run("churn", **{"train.params.epochs": 1})
    assert (again["state"], again["outcome"]) == ("succeeded", "rejected")
    assert ratchet.live("churn") == 1
    report = ratchet.get("/api/v1/models/churn/versions/2/decision")
    assert report["verdict"] != "better" and report["difference"] == 0
    refused = ratchet.cli("promote", "churn@2", "--reason", "I insist", check=False)
    assert refused.returncode == 1 and "--force" in refused.stderr
    ratchet.cli("promote", "churn@2", "--reason", "I insist", "--force")
    assert ratchet.live("churn") == 2
    assert ratchet.get("/api/v1/models/churn/releases")["items"][0]["kind"] == "force"


def test_retrains_by_itself_when_enough_rows_have_come(ratchet):
    first_version(ratchet, CHURN_SPEC + "retrain: {new_rows: 1600}\n")
    ratchet.push_csv("customers", churn_csv(1700, start=1500))
    run = wait_until(lambda: next(iter(ratchet.get("/api/v1/runs?pipeline=churn")["items"]), {}).get("id", 0) == 2
                     and ratchet.get("/api/v1/runs/2"), "the second run")
    assert run["reason"]["kind"] == "new_rows"
    assert ratchet.wait_for_run(2)["state"] == "succeeded"


def ids_of_preview(ratchet, version):
    """Every id that the preview shows, in order, over all of its pages."""
    ids, after = [], ""
    while True:
        page = ratchet.get(f"/api/v1/datasets/customers/versions/{version}/rows?limit=100{after}")
        names = [column["name"] if isinstance(column, dict) else column for column in page["columns"]]
        ids += [row[names.index("id")] for row in page["items"]]
        if page["next"] is None:
            return ids
        after = f"&after={page['next']}"


def test_a_row_keeps_its_split_and_previews_show_training_rows_alone(ratchet):
    first = ratchet.push_csv("customers", churn_csv(400), "?key=id&holdout=0.3&validation=0.1")
    second = ratchet.push_csv("customers", churn_csv(400), "?key=id&holdout=0.3&validation=0.1")
    assert first["rows_added"] == second["rows_added"] and sum(first["rows_added"].values()) == 400
    once = ids_of_preview(ratchet, 1)
    assert len(once) == len(set(once)) == first["rows_added"]["train"] < 400
    # The same rows came twice. One that had gone to another split the second time would be here once, or be new here.
    assert collections.Counter(ids_of_preview(ratchet, 2)) == {row: 2 for row in once}


def test_serving_goes_on_without_the_daemon_and_after_its_own_restart(ratchet):
    first_version(ratchet)
    url = ratchet.serve_url()
    pid = ratchet.serve_pid()
    ratchet.kill()
    body = json.dumps({"inputs": ROW}).encode()
    ask = lambda: json.loads(http("POST", url + "/v2/models/churn/infer", body)[2])["model_version"]
    assert ask() == "1"
    os.kill(pid, signal.SIGKILL)
    wait_until(lambda: not alive(pid), "ratchet-serve is gone")
    port = url.rsplit(":", 1)[1]
    alone = subprocess.Popen([os.path.join(BIN, "ratchet-serve"), "--listen", f"127.0.0.1:{port}", "--control", ratchet.url,
                              "--dir", ratchet.data + "/serve", "--blobs", ratchet.data + "/blobs"],
                             stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        def answered():
            try:
                return ask() == "1"
            except (OSError, HttpError):
                return False
        wait_until(answered, "ratchet-serve answers from its files alone")
    finally:
        alone.kill()
        alone.wait()


def test_a_restarted_daemon_takes_the_running_data_plane_over(ratchet):
    first_version(ratchet)
    pid = ratchet.serve_pid()
    ratchet.kill()
    ratchet.start()
    assert ratchet.serve_pid() == pid
    wait_until(lambda: ratchet.get("/api/v1/status")["serve"]["replicas"], "the replica reports again")
    assert ratchet.infer("churn", ROW)["model_version"] == "1"


def test_a_dead_data_plane_is_started_again(ratchet):
    first_version(ratchet)
    pid = ratchet.serve_pid()
    os.kill(pid, signal.SIGKILL)
    wait_until(lambda: ratchet.serve_pid() not in (0, pid), "another ratchet-serve")
    def answered():
        try:
            return ratchet.infer("churn", ROW)["model_version"] == "1"
        except (OSError, HttpError):
            return False
    wait_until(answered, "it serves")


def test_stops_in_order_on_sigterm(ratchet):
    first_version(ratchet)
    pid = ratchet.serve_pid()
    worker = [child for child in children_of(ratchet.process.pid) if "ratchet-worker" in command_of(child)]
    assert worker
    ratchet.kill(signal.SIGTERM)
    assert ratchet.process.returncode == 0
    wait_until(lambda: not alive(pid) and not any(map(alive, worker)), "nothing is left running")


def test_cancel_ends_the_whole_tree(ratchet):
    ratchet.apply("churn", CHURN_SPEC.replace("epochs: 8", "epochs: 1000"))
    ratchet.push_csv("customers", churn_csv(3000))
    run = ratchet.start_run("churn", **{"train.params.epochs": 1000})
    def training():
        steps = {step["name"]: step for step in ratchet.get(f"/api/v1/runs/{run}")["steps"]}
        attempts = steps["train"]["attempts"]
        return steps["train"].get("progress") and attempts and attempts[-1]["pid"]
    pid = wait_until(training, "training reports progress")
    ratchet.cli("run", "cancel", run)
    assert ratchet.wait_for_run(run)["state"] == "cancelled"
    wait_until(lambda: not alive(pid), "the trainer is gone")


def test_the_daemon_is_not_linked_against_libtorch():
    needed = subprocess.run(["ldd", os.path.join(BIN, "ratchetd")], capture_output=True, text=True, check=True).stdout
    assert "libsqlite3" in needed
    assert "torch" not in needed and "libc10" not in needed


def test_one_daemon_per_data_directory(ratchet):
    second = subprocess.run([os.path.join(BIN, "ratchetd"), "--data", ratchet.data, "--listen", "127.0.0.1:0"],
                            capture_output=True, text=True, timeout=60)
    assert second.returncode == 1
    assert str(ratchet.process.pid) in second.stderr


def children_of(pid):
    return [int(p) for p in open(f"/proc/{pid}/task/{pid}/children").read().split()]


def command_of(pid):
    try:
        return open(f"/proc/{pid}/cmdline").read()
    except OSError:
        return ""


def test_a_push_that_is_repeated_adds_its_rows_once(ratchet, tmp_path):
    table = tmp_path / "rows.csv"
    table.write_text(churn_csv(100))
    ratchet.cli("dataset", "push", "customers", table, "--key", "id")
    assert "already" in ratchet.cli("dataset", "push", "customers", table).stdout
    assert ratchet.get("/api/v1/datasets/customers")["latest_version"] == 1
    ratchet.cli("dataset", "push", "customers", table, "--again")
    assert ratchet.get("/api/v1/datasets/customers")["latest_version"] == 2
