"""What a run does beside training: it is reproduced, found again in the cache, cancelled, retried, started by new rows,
and its log is followed. The steps are those of the real worker, the tables small."""

import itertools
import os
import signal
import statistics
import subprocess
import threading
import time

from ratchet_process import BIN, alive, descendants, events_of, name_of, steps_of, wait_until
from small_data import CHURN_SPEC, churn_csv

# Weights that no second run makes again: they follow from the clock.
CLOCK_TRAINER = b"""
import json, os, time, torch

class Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = torch.nn.Linear(1, 2)

    def forward(self, months):
        return torch.softmax(self.layer(torch.nan_to_num(months.reshape(-1, 1).float())), 1)

torch.manual_seed(time.time_ns() % 2**62)
out = os.environ["RATCHET_OUT"]
torch.jit.script(Net().eval()).save(out + "/model.pt")
with open(out + "/signature.json", "w") as file:
    json.dump({"task": "classification", "classes": ["no", "yes"],
               "inputs": [{"name": "months", "datatype": "FP32", "shape": [-1], "column": "months"}],
               "outputs": [{"name": "probabilities", "datatype": "FP32", "shape": [-1, 2]}]}, file)
"""

# Says its own time on every line, in bursts and with gaps.
SPEAKER = b"""
import time
for line in range(50):
    print(line, time.time(), flush=True)
    time.sleep(0.12 if line % 4 == 0 else 0.01)
"""

# Every process of it in a session of its own, some without the environment they came with, deaf to SIGTERM.
FORKING = "trap '' TERM; for i in 1 2 3; do setsid sh -c 'setsid sleep 1000 & setsid env -i sleep 1000 & wait' & done; wait"


def with_steps(*lines):
    return CHURN_SPEC + "steps:\n" + "".join(f"  {line}\n" for line in lines)


def worked(run):
    """How often each step of the run was begun."""
    return {name: len(step["attempts"]) for name, step in steps_of(run).items()}


def cached_from(run):
    return {name: step["cached_from"] for name, step in steps_of(run).items() if step["cached_from"]}


# ---- reproduction


def test_a_run_is_reproduced_bit_for_bit(ratchet):
    ratchet.apply("churn", CHURN_SPEC)
    ratchet.push_csv("customers", churn_csv(800))
    first = ratchet.run("churn", **{"train.params.epochs": 3})
    ratchet.push_csv("customers", churn_csv(400, start=800))  # later rows are not those that it was trained on
    shown = ratchet.cli("run", "reproduce", first["id"], "--wait")
    assert "reproduced" in shown.stdout + shown.stderr

    asked = ratchet.send("POST", f"/api/v1/runs/{first['id']}/reproduce", {"reason": "an auditor asks"})
    assert (asked["id"], asked["reason"]["kind"]) == (3, "reproduce")
    for run in (ratchet.get("/api/v1/runs/2"), ratchet.wait_for_run(3)):
        assert (run["state"], run["outcome"], run["reproduces"]) == ("succeeded", "reproduced", first["id"]), run
        assert run["overrides"] == first["overrides"] and run["dataset_version"] == 1
        assert cached_from(run) == {} and worked(run)["train"] == 1, run  # trained, not found
        weights = steps_of(run)["train"]["outputs"]["model.pt"]["sha256"]
        assert weights == steps_of(first)["train"]["outputs"]["model.pt"]["sha256"]
    assert len(ratchet.get("/api/v1/models/churn/versions")["items"]) == 1  # what is live stays live, alone


def test_weights_that_follow_from_the_clock_differ(ratchet):
    spec = CHURN_SPEC.replace("recipe: tabular.classifier", "command: [/usr/bin/python3, train.py]")
    ratchet.apply("churn", spec, {"train.py": CLOCK_TRAINER})
    ratchet.push_csv("customers", churn_csv(300))
    first = ratchet.run("churn")
    assert steps_of(first)["train"]["state"] == "succeeded", first
    done = ratchet.cli("run", "reproduce", first["id"], "--wait", check=False)
    assert done.returncode == 1, done
    run = ratchet.get("/api/v1/runs/2")
    assert (run["state"], run["outcome"]) == ("succeeded", "differs"), run
    assert steps_of(first)["train"]["outputs"]["model.pt"]["sha256"] in run["summary"]


# ---- the cache


def test_a_step_with_the_same_inputs_is_taken_from_the_cache(ratchet):
    ratchet.apply("churn", CHURN_SPEC)
    ratchet.push_csv("customers", churn_csv(800))
    first = ratchet.run("churn")
    assert cached_from(first) == {} and (worked(first)["validate"], worked(first)["train"]) == (1, 1)

    second = ratchet.run("churn")
    assert cached_from(second) == {"validate": first["id"], "train": first["id"]}
    assert worked(second) == {"validate": 0, "train": 0, "test": 1, "gate": 0, "release": 0}  # the test never is
    assert steps_of(second)["train"]["outputs"]["model.pt"] == steps_of(first)["train"]["outputs"]["model.pt"]
    assert f"from run {first['id']}" in ratchet.cli("run", "show", second["id"]).stdout

    other = ratchet.run("churn", **{"train.params.epochs": 2})
    assert cached_from(other) == {"validate": first["id"]}, other
    ratchet.push_csv("customers", churn_csv(100, start=800))
    assert cached_from(ratchet.run("churn")) == {}  # other rows


def test_the_cache_is_left_out_where_that_is_asked(ratchet):
    ratchet.apply("churn", CHURN_SPEC)
    ratchet.push_csv("customers", churn_csv(800))
    first = ratchet.run("churn")
    ratchet.cli("run", "start", "churn", "--no-cache")
    fresh = ratchet.wait_for_run(2)
    assert fresh["fresh"] and cached_from(fresh) == {}
    assert (worked(fresh)["validate"], worked(fresh)["train"]) == (1, 1), fresh

    ratchet.apply("churn", CHURN_SPEC + "  cache: false\n")
    run = ratchet.run("churn")
    assert "train" not in cached_from(run) and worked(run)["train"] == 1, run
    weights = [steps_of(one)["train"]["outputs"]["model.pt"]["sha256"] for one in (first, fresh, run)]
    assert len(set(weights)) == 1


# ---- cancel and retry


def test_cancel_ends_processes_that_left_the_session(ratchet):
    ratchet.apply("churn", with_steps(f'forking: {{command: [sh, -c, "{FORKING}"], cache: false}}'))
    ratchet.push_csv("customers", churn_csv(300))
    run = ratchet.start_run("churn")
    ratchet.wait_for_step(run, "forking")
    attempt = lambda: steps_of(ratchet.get(f"/api/v1/runs/{run}"))["forking"]["attempts"][-1]
    supervisor = wait_until(lambda: attempt()["pid"], "it has a process")

    def forked():
        below = descendants(supervisor)
        return below if sum(name_of(pid) == "sleep" for pid in below) == 6 else None
    family = [supervisor, *wait_until(forked, "all grandchildren sleep")]
    assert len(family) >= 11, family  # the supervisor, the command, three shells in between, six that sleep

    begun = time.monotonic()
    ratchet.cli("run", "cancel", run)
    wait_until(lambda: not any(map(alive, family)), "the family is gone", 10)
    gone_s = time.monotonic() - begun
    record = ratchet.wait_for_run(run)
    asked_at = next(entry["at"] for entry in ratchet.get("/api/v1/audit")["items"] if entry["action"] == "run.cancel")
    ended_s = (record["ended_at"] - asked_at) / 1e6
    print(f"cancel: the processes were gone after {gone_s:.3f} s, the run had ended after {ended_s:.3f} s")
    assert gone_s < 1 and ended_s < 1
    assert (record["state"], record["outcome"]) == ("cancelled", "cancelled"), record
    step = steps_of(record)["forking"]
    assert step["state"] == "cancelled" and step["attempts"][-1]["state"] == "cancelled", step
    assert steps_of(record)["train"]["attempts"] == []
    # Its place is free again.
    ratchet.apply("churn", CHURN_SPEC)
    assert ratchet.run("churn")["outcome"] == "promoted"


def test_steps_that_an_interrupt_ended_run_again(ratchet):
    ratchet.apply("interrupted", with_steps("a: {command: [sh, -c, 'sleep 1000'], cache: false}")
                  .replace("model: churn", "model: interrupted"))
    ratchet.push_csv("customers", churn_csv(200))
    run = ratchet.start_run("interrupted")
    wait_until(lambda: steps_of(ratchet.get(f"/api/v1/runs/{run}"))["a"]["state"] == "running", "the step runs")
    ratchet.kill(signal.SIGINT)
    ratchet.start()
    def second():
        attempts = steps_of(ratchet.get(f"/api/v1/runs/{run}"))["a"]["attempts"]
        return attempts if len(attempts) == 2 else None
    attempts = wait_until(second, "the step is tried again")
    assert attempts[0]["state"] == "lost" and "interrupted" in attempts[0]["error"]["message"]
    ratchet.cli("run", "cancel", run)
    ratchet.wait_for_run(run)


def test_retry_goes_on_from_the_first_step_that_did_not_succeed(ratchet, tmp_path):
    flag = tmp_path / "flag"  # what the outer world has to put right before the step can succeed
    ratchet.apply("churn", with_steps(
        "before: {command: [sh, -c, 'echo done > \"$RATCHET_OUT/note\"'], outputs: [note], cache: false}",
        f"broken: {{command: [sh, -c, 'echo looking; test -e {flag}'], inputs: [before.note], cache: false}}",
        "after: {command: ['true'], needs: [broken], cache: false}"))
    ratchet.push_csv("customers", churn_csv(600))
    first = ratchet.run("churn")
    assert (first["state"], first["error"]["class"]) == ("failed", "user"), first
    assert first["error"]["log_tail"][0] == "looking", first["error"]
    counts = lambda run: [worked(run)[name] for name in ("before", "broken", "after", "train")]
    assert counts(first) == [1, 1, 0, 0]

    flag.touch()
    ratchet.cli("run", "retry", first["id"])
    second = ratchet.wait_for_run(first["id"])
    assert (second["state"], second["outcome"]) == ("succeeded", "promoted"), second
    assert second["error"] is None
    assert counts(second) == [1, 2, 1, 1]
    for untouched in ("validate", "before"):
        assert steps_of(second)[untouched]["ended_at"] == steps_of(first)[untouched]["ended_at"]
    assert [attempt["state"] for attempt in steps_of(second)["broken"]["attempts"]] == ["failed", "succeeded"]
    assert len(ratchet.get("/api/v1/runs")["items"]) == 1


# ---- what starts a run


def test_new_rows_start_one_run_and_none_while_paused(ratchet):
    spec = CHURN_SPEC.replace("epochs: 8", "epochs: 1") + "retrain: {new_rows: 300}\n"
    ratchet.apply("paused", spec.replace("model: churn", "model: paused"))
    ratchet.apply("awake", spec.replace("model: churn", "model: awake"))
    ratchet.cli("pipeline", "pause", "paused")
    assert ratchet.get("/api/v1/pipelines/paused")["state"] == "paused"
    runs = lambda pipeline: ratchet.get(f"/api/v1/runs?pipeline={pipeline}")["items"]

    def next_run(pipeline, count):
        """The newest of so many runs; more than so many are a fault."""
        found = wait_until(lambda: len(runs(pipeline)) >= count and runs(pipeline), f"{pipeline} has run {count}")
        assert len(found) == count, found
        return ratchet.wait_for_run(found[0]["id"])

    ratchet.push_csv("customers", churn_csv(400))
    # The same rows and the same limit: where the one pipeline has begun, the other was looked at, too.
    assert next_run("awake", 1)["reason"]["kind"] == "new_rows"
    assert runs("paused") == []
    asked = ratchet.start_run("paused")
    waiting = ratchet.get(f"/api/v1/runs/{asked}")
    assert waiting["state"] == "queued" and "paused" in waiting["waiting"], waiting
    ratchet.cli("run", "cancel", asked)
    ratchet.wait_for_run(asked)

    ratchet.push_csv("customers", churn_csv(350, start=400))
    assert next_run("awake", 2)["reason"]["detail"].startswith("350 new rows")
    assert len(runs("paused")) == 1
    ratchet.cli("pipeline", "resume", "paused")
    begun = next_run("paused", 2)
    assert begun["reason"]["kind"] == "new_rows", begun
    assert begun["reason"]["detail"].startswith("350 new rows"), begun
    assert begun["state"] == "succeeded" and begun["dataset_version"] == 2

    # Too few rows start nothing: the next run's reason counts them with those that were enough.
    ratchet.push_csv("customers", churn_csv(200, start=750))
    ratchet.push_csv("customers", churn_csv(150, start=950))
    for pipeline in ("paused", "awake"):
        third = next_run(pipeline, 3)
        assert third["reason"]["detail"].startswith("350 new rows") and third["dataset_version"] == 4, third


# ---- logs


def lags_of(lines):
    """Seconds from when each line says that it was written to when it was read."""
    return [read_at - float(line.split()[1]) for line, read_at in lines]


def read_events(url, lines):
    """Whole lines of a log with the time at which each was there."""
    rest = ""
    for name, _, data, at in events_of(url):
        if name != "log":
            continue
        *whole, rest = (rest + data["text"]).split("\n")
        lines.extend((line, at) for line in whole)


def read_resuming(url, connections):
    """The text of a log whose reader loses its connection after every third event, by connection."""
    last_id, ended = None, False
    while not ended:
        connections.append("")
        stream = events_of(url, last_id)
        for name, event_id, data, _ in itertools.islice(stream, 3):
            ended = name == "end"
            last_id = event_id or last_id
            connections[-1] += data.get("text", "")
        stream.close()


def read_command(command, lines):
    for line in command.stdout:
        lines.append((line.rstrip("\n"), time.time()))


def test_lines_of_a_log_are_seen_at_once_and_none_twice(ratchet):
    spec = with_steps("speak: {command: [/usr/bin/python3, speak.py], cache: false}")
    ratchet.apply("churn", spec, {"speak.py": SPEAKER})
    ratchet.push_csv("customers", churn_csv(300))
    run = ratchet.start_run("churn")
    ratchet.wait_for_step(run, "speak")
    url = f"{ratchet.url}/api/v1/runs/{run}/logs?step=speak"
    by_event, by_command, connections = [], [], []
    follow = [os.path.join(BIN, "ratchet"), "--server", ratchet.url, "run", "logs", str(run), "-f", "--step", "speak"]
    command = subprocess.Popen(follow, stdout=subprocess.PIPE, text=True)
    readers = [threading.Thread(target=read_events, args=(url, by_event)),
               threading.Thread(target=read_resuming, args=(url, connections)),
               threading.Thread(target=read_command, args=(command, by_command))]
    for reader in readers:
        reader.start()
    for reader in readers:
        reader.join(60)
    assert command.wait(60) == 0

    whole = ratchet.cli("run", "logs", run, "--step", "speak").stdout
    assert [int(line.split()[0]) for line in whole.splitlines()] == list(range(50))
    assert "".join(connections) == whole and len(connections) > 2, connections
    for who, lines in (("an SSE reader", by_event), ("run logs -f", by_command)):
        assert [line for line, _ in lines] == whole.splitlines()
        lags = lags_of(lines)
        print(f"{who} saw a line after {statistics.median(lags) * 1e3:.1f} ms (median), {max(lags) * 1e3:.1f} ms (worst)")
        assert statistics.median(lags) <= 0.2
    ratchet.wait_for_run(run)
