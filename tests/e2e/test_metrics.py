"""Metrics that are no mean of right and wrong rows: from the spec by the test's evidence to a decision."""

import random

from small_data import CHURN_SPEC, churn_csv

SALES_SPEC = """
model: sales
data:
  dataset: days
  target: sold
  split: {validation: 0.1, holdout: 0.3, key: id}
train:
  recipe: tabular.regressor
  params: {epochs: 8}
  seed: 7
  limits: {time: 5m, memory: 4GiB}
test: {metric: wape, slices: [weekday]}
"""


def sales_csv(rows):
    chance = random.Random(5)
    lines = ["id,price,weekday,sold"]
    for index in range(rows):
        price, weekday = chance.uniform(1, 9), chance.randrange(3)
        lines.append(f"d{index:06d},{price:.3f},{weekday},{200 - 18 * price + 15 * weekday + chance.gauss(0, 4):.3f}")
    return "\n".join(lines) + "\n"


def test_judges_a_classifier_by_the_area_under_its_curve(ratchet):
    ratchet.apply("churn", CHURN_SPEC + "test: {metric: roc_auc, slices: [plan], min_rows: 30}\n")
    ratchet.push_csv("customers", churn_csv(1500))
    run = ratchet.run("churn")
    assert run["outcome"] == "promoted", run
    decision = ratchet.get("/api/v1/models/churn/versions/1/decision")
    assert decision["metric"] == "roc_auc" and decision["higher_is_better"] and decision["verdict"] == "better"
    assert decision["opponent"] == 0.5 and decision["candidate"] > 0.7
    assert {one["name"] for one in decision["slices"]} == {"plan = a", "plan = b", "plan = c"}

    classes = decision["class_report"]
    assert classes["classes"] == ["no", "yes"]
    for side in (classes["candidate"], classes["opponent"]):
        assert sum(map(sum, side["confusion"])) == decision["rows"]
        assert sum(one["rows"] for one in side["reliability"]) == decision["rows"]
        assert 0 <= side["expected_calibration_error"] <= 1
    assert [row[0] == 0 or row[1] == 0 for row in classes["opponent"]["confusion"]] == [True, True]

    shown = ratchet.cli("model", "show", "churn@1").stdout
    assert "OPPONENT F1" in shown and "Expected calibration error" in shown, shown
    assert "the same, bit for bit" in ratchet.cli("model", "explain", "churn@1").stdout


def test_judges_a_regression_by_its_share_of_the_targets(ratchet):
    ratchet.apply("sales", SALES_SPEC)
    ratchet.push_csv("days", sales_csv(1500))
    run = ratchet.run("sales")
    assert run["outcome"] == "promoted", run
    decision = ratchet.get("/api/v1/models/sales/versions/1/decision")
    assert decision["metric"] == "wape" and not decision["higher_is_better"] and decision["verdict"] == "better"
    assert 0 < decision["candidate"] < decision["opponent"] < 1
    assert "class_report" not in decision
    assert "the same, bit for bit" in ratchet.cli("model", "explain", "sales@1").stdout


def test_says_why_a_metric_is_not_to_be_had(ratchet, tmp_path):
    spec = tmp_path / "churn.yaml"
    for metric, why in (("ndcg@10", "lists as ranked"), ("mase", "scale of each row's series"), ("wape", "is a metric for regression")):
        spec.write_text(CHURN_SPEC + f"test: {{metric: {metric}}}\n")
        refused = ratchet.cli("pipeline", "apply", str(spec), check=False)
        assert refused.returncode != 0 and why in refused.stderr, refused.stderr
