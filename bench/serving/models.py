"""The models that bench/serving/run serves, as bundles in a blob store, with the body of a request of one row."""

import hashlib
import json
import pathlib
import random

import torch


class Mlp(torch.nn.Module):
    """784-256-10: some 50 µs a row alone, a few in a batch."""

    def __init__(self):
        super().__init__()
        self.first = torch.nn.Linear(784, 256)
        self.second = torch.nn.Linear(256, 10)

    def forward(self, x):
        return torch.softmax(self.second(torch.relu(self.first(x))), 1)


class Cnn(torch.nn.Module):
    """The network of vision.classifier for 28 x 28 grey images: two blocks of convolution, pooling and normalisation."""

    def __init__(self):
        super().__init__()
        self.blocks = torch.nn.Sequential(*self.block(1, 16), *self.block(16, 32))
        self.head = torch.nn.Linear(32 * 7 * 7, 10)

    @staticmethod
    def block(inputs, outputs):
        return (torch.nn.Conv2d(inputs, outputs, 3, padding=1, bias=False), torch.nn.MaxPool2d(2),
                torch.nn.BatchNorm2d(outputs), torch.nn.ReLU())

    def forward(self, x):
        rows = x.size(0)
        x = x.float().contiguous(memory_format=torch.channels_last) / 255.0
        if rows == 1:
            x = torch.cat([x, x])
        x = self.head(torch.flatten(self.blocks(x), 1))
        return torch.softmax(torch.narrow(x, 0, 0, rows), 1)


class Heavy(torch.nn.Module):
    """A few milliseconds a row whatever the batch: what the client and HTTP cost hardly counts beside it."""

    def __init__(self):
        super().__init__()
        self.widen = torch.nn.Linear(8, 512)
        self.deep = torch.nn.Linear(512, 512)
        self.last = torch.nn.Linear(512, 10)

    def forward(self, x):
        rows = x.size(0)
        x = self.widen(x).unsqueeze(1).expand(-1, 4, -1).reshape(-1, 512)
        for _ in range(2):
            x = torch.relu(self.deep(x))
        return torch.softmax(self.last(x.reshape(rows, 4, 512).mean(1)), 1)


KINDS = {"mlp": (Mlp, "FP32", [784]), "cnn": (Cnn, "UINT8", [1, 28, 28]), "heavy": (Heavy, "FP32", [8])}


class Served:
    """One model's files below `folder`: model.pt, manifest.json, body.json; and its route in serve/routes.json."""

    def __init__(self, folder, name):
        self.name = name
        self.folder = pathlib.Path(folder) / name
        self.blobs, self.dir = self.folder / "blobs", self.folder / "serve"
        self.model, self.manifest, self.body = (self.folder / file for file in ("model.pt", "manifest.json", "body.json"))
        self.dir.mkdir(parents=True)
        kind, datatype, shape = KINDS[name]
        torch.manual_seed(1)
        torch.jit.script(kind().eval()).save(str(self.model))
        self.write_manifest(datatype, shape)
        self.write_routes()
        self.write_body(datatype, shape)

    def put(self, data):
        digest = hashlib.sha256(data).hexdigest()
        folder = self.blobs / "sha256" / digest[:2]
        folder.mkdir(parents=True, exist_ok=True)
        (folder / digest).write_bytes(data)
        return digest

    def write_manifest(self, datatype, shape):
        data = self.model.read_bytes()
        self.manifest.write_text(json.dumps({
            "format": 1, "task": "classification", "recipe": "", "target": "label", "metric": "accuracy",
            "signature": {"inputs": [{"name": "x", "datatype": datatype, "shape": [-1, *shape]}],
                          "outputs": [{"name": "probabilities", "datatype": "FP32", "shape": [-1, 10]}]},
            "classes": list(range(10)), "ops": [], "lineage": {}, "training": {},
            "files": {"model.pt": {"sha256": self.put(data), "bytes": len(data)}}}))

    def write_routes(self):
        live = {"version": 1, "bundle": self.put(self.manifest.read_bytes())}
        (self.dir / "routes.json").write_text(json.dumps({"revision": 1, "routes": [
            {"model": self.name, "epoch": 1, "live": live, "previous": None, "loading": None}]}))

    def write_body(self, datatype, shape):
        chance = random.Random(1)
        count = 1
        for size in shape:
            count *= size
        values = [chance.randint(0, 255) if datatype == "UINT8" else round(chance.random(), 4) for _ in range(count)]
        self.body.write_text(json.dumps({"inputs": [
            {"name": "x", "datatype": datatype, "shape": [1, *shape], "data": values}]}))
