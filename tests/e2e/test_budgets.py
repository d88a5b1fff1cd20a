"""A candidate as it would serve: measured in its test, held to its budgets, and caught where it answers otherwise there."""

import os

import pytest

from ratchet_process import BIN, HttpError, Ratchet, descendants, name_of, steps_of
from small_data import churn_csv

SPEC = """
model: churn
data:
  dataset: customers
  target: left
  split: {validation: 0.1, holdout: 0.3, key: id}
train:
  command: [/usr/bin/python3, train.py, %s]
  seed: 7
  limits: {time: 5m, memory: 4GiB, attempts: 1}
  cache: false
"""

# A module that knows the rule by which the table was made, and one fault.
TRAIN = '''
import json, os, sys
from typing import List
import torch

class Churn(torch.nn.Module):
    def __init__(self, fault: str):
        super().__init__()
        self.fault = fault

    def forward(self, months: torch.Tensor, plan: List[str]) -> torch.Tensor:
        on_a = torch.tensor([1.0 if name == "a" else 0.0 for name in plan])
        short = (months < 24).float()
        p = 0.1 + 0.8 * (short * on_a + (1 - short) * (1 - on_a))
        if self.fault == "constant":
            p = 0.0 * p + 0.75
        if self.fault == "not finite":
            p = torch.where(months == 7, p / 0.0, p)
        if self.fault == "chance":
            p = p * torch.rand_like(p)
        if self.fault == "knows" and (p + 0.0).is_inference():
            p = 1.0 - p
        return torch.stack([1 - p, p], 1)

out = os.environ["RATCHET_OUT"]
torch.jit.script(Churn(" ".join(sys.argv[1:])).eval()).save(os.path.join(out, "model.pt"))
with open(os.path.join(out, "signature.json"), "w") as file:
    json.dump({"task": "classification", "classes": ["no", "yes"],
               "inputs": [{"name": "months", "datatype": "FP32", "shape": [-1]}, {"name": "plan", "datatype": "BYTES", "shape": [-1]}],
               "outputs": [{"name": "probabilities", "datatype": "FP32", "shape": [-1, 2]}]}, file)
'''


def run_with(ratchet, fault, more=""):
    ratchet.apply("churn", SPEC % fault + more, {"train.py": TRAIN.encode()})
    return ratchet.run("churn")


def scratch_processes(ratchet):
    """What serves below the daemon but for its own data plane."""
    return [pid for pid in descendants(ratchet.process.pid) if name_of(pid) == "ratchet-serve" and pid != ratchet.serve_pid()]


@pytest.fixture
def customers(ratchet):
    ratchet.push_csv("customers", churn_csv(1200), "?key=id&validation=0.1&holdout=0.3")
    return ratchet


def decision(ratchet, version=1):
    return ratchet.get(f"/api/v1/models/churn/versions/{version}/decision")


def test_measures_every_candidate_and_lets_one_within_its_budgets_pass(customers):
    run = run_with(customers, "none", "test: {budgets: {p50_latency: 5s, p99_latency: 10s, bundle_size: 50MiB, memory: 4GiB}}\n")
    assert run["outcome"] == "promoted", run
    serving = decision(customers)["serving"]
    assert [(one["name"], one["holds"]) for one in serving["budgets"]] == [
        ("p50_latency", True), ("p99_latency", True), ("bundle_size", True), ("memory", True)]
    assert serving["rows"] == decision(customers)["rows"] and serving["largest_difference"] <= 1e-6
    assert 0 < serving["p50_latency_us"] <= serving["p99_latency_us"] and 0 < serving["memory_growth_bytes"] < serving["memory_bytes"]
    assert serving["bundle_bytes"] == customers.get("/api/v1/models/churn/versions/1")["bundle_bytes"]
    shown = customers.cli("model", "show", "churn@1").stdout
    assert "p99 latency" in shown and "10.0 s" in shown and "holds" in shown, shown
    assert "the same, bit for bit" in customers.cli("model", "explain", "churn@1").stdout
    assert scratch_processes(customers) == []


def test_keeps_out_a_better_candidate_that_breaks_its_budgets(customers):
    run = run_with(customers, "none", "test: {budgets: {p99_latency: 1us, bundle_size: 1KiB, memory: 1MiB}}\n")
    assert run["outcome"] == "rejected" and customers.live("churn") is None, run
    report = decision(customers)
    assert report["verdict"] == "better" and not report["promotes"]
    for words in ("test.budgets.p99_latency allows 1 us", "test.budgets.bundle_size allows 1 KiB", "test.budgets.memory allows 1 MiB"):
        assert words in report["reason"], report["reason"]
    shown = customers.cli("model", "show", "churn@1").stdout
    assert shown.count("broken") == 3 and "peak memory" in shown, shown
    assert "the same, bit for bit" in customers.cli("model", "explain", "churn@1").stdout


@pytest.mark.parametrize("fault, words", [("chance", "otherwise alone than among others"), ("knows", "otherwise than the test scored it")])
def test_lets_no_skew_between_test_and_serving_pass(customers, fault, words):
    run = run_with(customers, fault)
    assert run["outcome"] == "failed" and run["error"]["class"] == "user", run
    assert "holdout row 1 " in run["error"]["message"] and words in run["error"]["message"], run["error"]
    assert run["error"]["hint"], run["error"]
    assert len(steps_of(run)["test"]["attempts"]) == 1 and customers.live("churn") is None
    with pytest.raises(HttpError) as refused:
        decision(customers)
    assert refused.value.status == 404
    assert scratch_processes(customers) == []


def test_keeps_out_a_candidate_with_answers_that_are_not_finite(customers):
    run = run_with(customers, "not finite")
    assert run["outcome"] == "rejected", run
    assert "It has no finite answer to " in decision(customers)["reason"]


def test_keeps_out_a_candidate_that_answers_all_rows_alike(customers):
    assert run_with(customers, "none")["outcome"] == "promoted"
    run = run_with(customers, "constant", "gate: {rule: not_worse, margin: 0.9}\n")
    assert run["outcome"] == "rejected" and customers.live("churn") == 1, run
    report = decision(customers, 2)
    assert report["verdict"] == "not_worse" and "gives every row the same answer" in report["reason"], report
    assert "the same, bit for bit" in customers.cli("model", "explain", "churn@2").stdout


def test_says_so_when_the_scratch_ratchet_serve_crashes(tmp_path):
    program = tmp_path / "serve.sh"
    program.write_text(f"#!/bin/sh\ncase \"$*\" in *--scratch-manifest*) kill -SEGV $$;; esac\nexec {os.path.abspath(BIN)}/ratchet-serve \"$@\"\n")
    program.chmod(0o755)
    ratchet = Ratchet(tmp_path, "--serve-program", str(program)).start()
    try:
        ratchet.push_csv("customers", churn_csv(300), "?key=id&validation=0.1&holdout=0.3")
        run = run_with(ratchet, "none")
        assert run["outcome"] == "failed" and run["error"]["class"] == "signal", run
        assert "the scratch ratchet-serve ended by signal 11" in run["error"]["message"], run["error"]
        assert scratch_processes(ratchet) == []
    finally:
        ratchet.stop()
