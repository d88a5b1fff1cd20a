"""A bundle answers alike in ratchet-serve, in a bare LibTorch program and in the distribution's Python: equal to 1e-6."""

import base64
import json
import os
import random
import sqlite3
import subprocess
import tarfile

import pytest
import torch

from ratchet_process import http
from small_data import CHURN_SPEC, churn_csv

EXAMPLES = os.path.join(os.path.dirname(__file__), "../../examples")
SIDE = 12
TORCH_TYPES = {"UINT8": torch.uint8, "INT64": torch.int64, "FP32": torch.float32, "FP64": torch.float64}

PHOTO_SPEC = """
model: photos
data: {dataset: photos, target: label, split: {validation: 0.1, holdout: 0.2, key: id}}
train:
  recipe: vision.classifier
  params: {epochs: 4, flip: false}    # a mirrored photo would be of the other class
  limits: {time: 5m}
"""


def photo_pack(path, rows):
    """Photos whose bright half tells the class: left 3, right 8."""
    chance = random.Random(5)
    pack = sqlite3.connect(path)
    pack.execute("PRAGMA application_id = 1380993841")
    pack.execute("CREATE TABLE meta(key TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT")
    pack.execute('CREATE TABLE rows("row" INTEGER PRIMARY KEY, "id" TEXT, "image" BLOB, "label" INTEGER) STRICT')
    for row in range(1, rows + 1):
        right = row % 2
        pixels = bytes(min(255, chance.randint(0, 120) + (110 if (x >= SIDE // 2) == bool(right) else 0))
                       for _ in range(SIDE) for x in range(SIDE))
        pack.execute("INSERT INTO rows VALUES (?, ?, ?, ?)", (row, f"p{row}", pixels, 8 if right else 3))
    schema = [{"name": "id", "type": "text"}, {"name": "image", "type": "blob", "shape": [1, SIDE, SIDE]},
              {"name": "label", "type": "integer"}]
    pack.executemany("INSERT INTO meta VALUES (?, ?)", [("format", "1"), ("schema", json.dumps(schema)), ("rows", str(rows))])
    pack.commit()
    pack.close()


def as_argument(tensor):
    if tensor["datatype"] == "BYTES":
        return list(tensor["data"])
    data = [float("nan") if value is None else value for value in tensor["data"]]
    return torch.tensor(data, dtype=TORCH_TYPES[tensor["datatype"]]).reshape(tensor["shape"])


def in_python(model, inputs):
    answer = torch.jit.load(model)(*[as_argument(tensor) for tensor in inputs])
    return (answer[0] if isinstance(answer, tuple) else answer).double().flatten().tolist()


def in_bare_libtorch(model, inputs, folder):
    path = os.path.join(folder, "inputs.json")
    with open(path, "w") as file:
        json.dump({"inputs": inputs}, file)
    done = subprocess.run([os.environ["RATCHET_BARE_PREDICT"], model, path], capture_output=True, text=True, check=True)
    answer = json.loads(done.stdout)
    return [float(value) for value in answer["outputs"][0]["data"]]


def check_alike(ratchet, name, inputs, folder):
    """`inputs` in the order of the signature; the version served is the one exported."""
    tar = os.path.join(folder, "bundle.tar")
    ratchet.cli("model", "export", f"{name}@1", tar)
    with tarfile.open(tar) as bundle:
        assert sorted(bundle.getnames()) == ["manifest.json", "model.pt"]
        bundle.extractall(folder)
    model = os.path.join(folder, "model.pt")
    with open(os.path.join(folder, "manifest.json")) as file:
        manifest = json.load(file)
    wanted = [tensor["name"] for tensor in manifest["signature"]["inputs"]]
    by_name = {tensor["name"]: tensor for tensor in inputs}
    inputs = [by_name[one] for one in wanted]
    first = manifest["signature"]["outputs"][0]["name"]
    outputs = {output["name"]: output["data"] for output in ratchet.infer(name, inputs)["outputs"]}
    served = outputs[first]
    for other in (in_python(model, inputs), in_bare_libtorch(model, inputs, folder)):
        assert len(served) == len(other) > 0
        assert max(abs(a - b) for a, b in zip(served, other)) <= 1e-6
    return manifest, outputs


def test_a_photo_bundle_answers_alike_everywhere(ratchet, tmp_path):
    photo_pack(tmp_path / "photos.pack", 600)
    ratchet.apply("photos", PHOTO_SPEC)
    ratchet.cli("dataset", "push", "photos", tmp_path / "photos.pack")
    assert ratchet.run("photos")["outcome"] == "promoted"
    chance = random.Random(6)
    pixels = [chance.randint(0, 255) for _ in range(5 * SIDE * SIDE)]
    manifest, outputs = check_alike(ratchet, "photos", [
        {"name": "image", "datatype": "UINT8", "shape": [5, 1, SIDE, SIDE], "data": pixels}], str(tmp_path))
    assert manifest["classes"] == [3, 8]
    assert set(outputs["label"]) <= {3, 8}


def test_a_table_bundle_answers_alike_everywhere(ratchet, tmp_path):
    ratchet.apply("churn", CHURN_SPEC)
    ratchet.push_csv("customers", churn_csv(1200))
    assert ratchet.run("churn")["outcome"] == "promoted"
    names = ratchet.get("/api/v1/models/churn/versions/1")["manifest"]["signature"]["inputs"]
    values = {"months": [3, 40, None, 12], "plan": ["a", "b", "", "never seen"], "spend": [20.5, None, 3.0, 88.0]}
    inputs = [{"name": one["name"], "datatype": one["datatype"], "shape": [4], "data": values[one["name"]]} for one in names]
    manifest, outputs = check_alike(ratchet, "churn", inputs, str(tmp_path))
    assert manifest["classes"] == ["no", "yes"]
    assert set(outputs["label"]) <= {"no", "yes"}


def test_a_regression_bundle_answers_alike_everywhere(ratchet, tmp_path):
    chance = random.Random(9)
    lines = ["id,size,kind,price"]
    for row in range(1500):
        size, kind = chance.uniform(20, 200), chance.choice(["flat", "house"])
        lines.append(f"r{row},{size:.1f},{kind},{1000 * size * (1.5 if kind == 'house' else 1) + chance.gauss(0, 5000):.0f}")
    ratchet.apply("price", "model: price\ndata: {dataset: homes, target: price, split: {validation: 0.1, holdout: 0.2, key: id}}\n"
                           "train: {recipe: tabular.regressor, params: {epochs: 20}}\n")
    ratchet.push_csv("homes", "\n".join(lines) + "\n")
    run = ratchet.run("price")
    assert run["outcome"] == "promoted", run
    decision = ratchet.get("/api/v1/models/price/versions/1/decision")
    assert decision["opponent_kind"] == "median" and decision["test"] == "paired_t"
    names = ratchet.get("/api/v1/models/price/versions/1")["manifest"]["signature"]["inputs"]
    values = {"size": [30.0, 100.0, None], "kind": ["flat", "house", ""]}
    inputs = [{"name": one["name"], "datatype": one["datatype"], "shape": [3], "data": values[one["name"]]} for one in names]
    folder = tmp_path / "bundle"
    folder.mkdir()
    tar = folder / "bundle.tar"
    ratchet.cli("model", "export", "price@1", tar)
    with tarfile.open(tar) as bundle:
        bundle.extractall(folder)
    served = ratchet.infer("price", inputs)["outputs"][0]["data"]
    for other in (in_python(str(folder / "model.pt"), inputs), in_bare_libtorch(str(folder / "model.pt"), inputs, str(folder))):
        # Prices are in the hundred thousands: a relative 1e-6 is what single precision leaves of an absolute one.
        assert max(abs(a - b) / max(1, abs(b)) for a, b in zip(served, other)) <= 1e-6


def test_the_example_of_an_own_trainer_goes_live(ratchet, tmp_path):
    """examples/train_command, as its user would: apply, push, run, predict."""
    spec = os.path.join(EXAMPLES, "train_command/pipeline.yaml")
    ratchet.cli("pipeline", "apply", spec)
    pipeline = ratchet.cli_json("pipeline", "list")["items"][0]
    assert pipeline["files"], "train.py travels with the spec"
    table = tmp_path / "rows.csv"
    subprocess.run(["/usr/bin/python3", os.path.join(EXAMPLES, "make_churn_csv.py"), "--rows", "3000", "--out", table], check=True)
    ratchet.cli("dataset", "push", pipeline["spec"]["data"]["dataset"], table)
    run = ratchet.run(pipeline["name"])
    assert run["outcome"] == "promoted", run
    manifest = ratchet.get(f"/api/v1/models/{pipeline['model']}/versions/1")["manifest"]
    assert manifest["lineage"]["trainer_files"]

