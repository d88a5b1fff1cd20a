"""A trainer of one's own: a small network on numeric columns, in Python with PyTorch.

Ratchet runs it in a folder of its own and tells it all by environment variables:

    RATCHET_TRAIN        the training rows: a pack (an SQLite file)
    RATCHET_VALIDATION   the validation rows, likewise; empty where there are none. The holdout is nowhere to be found
    RATCHET_PARAMS       a JSON file with the spec's train.params
    RATCHET_OUT          a folder; leave model.pt and signature.json there
    RATCHET_PROGRESS     a file or fifo that takes one JSON object a line; optional to use

Exit code 0 and a model that loads make a candidate. Anything else is a failed attempt, and what was printed is its log.
RATCHET_TARGET, RATCHET_SEED and RATCHET_THREADS repeat what the spec says elsewhere, for trainers that care.

train.params: features (numeric columns; default: all but the target), target (default: the spec's), epochs,
learning_rate, hidden, batch.
"""

import json
import os
import sqlite3
import sys
import time
import urllib.parse

import torch


def read_pack(path, columns):
    """The columns of all rows. A missing value is None."""
    if not path:
        return []
    quoted = ", ".join('"' + name.replace('"', '""') + '"' for name in columns)
    # immutable: packs are never written, and the folder they lie in cannot be written by a trainer.
    pack = sqlite3.connect(f"file:{urllib.parse.quote(path)}?mode=ro&immutable=1", uri=True)
    rows = pack.execute(f'SELECT {quoted} FROM rows ORDER BY "row"').fetchall()
    pack.close()
    return rows


def numeric_columns(path, target):
    """Every integer and real column but the target, by the schema inside the pack."""
    pack = sqlite3.connect(f"file:{urllib.parse.quote(path)}?mode=ro&immutable=1", uri=True)
    schema = json.loads(pack.execute("SELECT value FROM meta WHERE key = 'schema'").fetchone()[0])
    pack.close()
    return [c["name"] for c in schema if c["type"] in ("integer", "real") and c["name"] != target]


class Progress:
    """Writes JSON lines that 'ratchet run start --wait' and the web page show as they come."""

    def __init__(self):
        path = os.environ.get("RATCHET_PROGRESS")
        # A number names a descriptor that is open already.
        self.file = None if not path else os.fdopen(int(path), "a") if path.isdigit() else open(path, "a")

    def tell(self, **fields):
        if self.file:
            self.file.write(json.dumps({"at": int(time.time() * 1e6), **fields}) + "\n")
            self.file.flush()


class Classifier(torch.nn.Module):
    """Takes one tensor for each input column and returns class probabilities.

    Standardising and filling gaps happens inside, with the training rows' own figures: whoever asks the model later
    sends plain values, and gets the same answer everywhere.
    """

    def __init__(self, mean, deviation, hidden, classes):
        super().__init__()
        self.register_buffer("mean", mean)
        self.register_buffer("deviation", deviation)
        self.layers = torch.nn.Sequential(torch.nn.Linear(len(mean), hidden), torch.nn.ReLU(),
                                          torch.nn.Linear(hidden, classes))

    def logits(self, values: torch.Tensor) -> torch.Tensor:
        scaled = (values - self.mean) / self.deviation
        return self.layers(torch.nan_to_num(scaled, nan=0.0))  # a gap becomes the mean


def script(model, inputs):
    """TorchScript wants a forward with as many arguments as the signature has inputs."""
    arguments = [f"x{i}" for i in range(inputs)]
    stacked = ", ".join(f"{name}.reshape(-1).to(torch.float32)" for name in arguments)
    scripted = torch.jit.script(Answering(model))
    scripted.define("def forward(self, " + ", ".join(f"{name}: Tensor" for name in arguments) + "):\n" +
                    f"    return self.answer(torch.stack([{stacked}], 1))\n")
    return scripted


class Answering(torch.nn.Module):
    def __init__(self, model):
        super().__init__()
        self.model = model

    @torch.jit.export
    def answer(self, values: torch.Tensor) -> torch.Tensor:
        return torch.softmax(self.model.logits(values), 1)


# TorchScript compiles what forward calls; logits is called from outside forward only.
Classifier.logits = torch.jit.export(Classifier.logits)


def tensors(rows, classes):
    """Features (NaN = missing) and class numbers; rows without a target are left out."""
    index = {value: i for i, value in enumerate(classes)}
    kept = [row for row in rows if row[-1] in index]
    features = torch.tensor([[float("nan") if value is None else float(value) for value in row[:-1]] for row in kept])
    return features.reshape(len(kept), -1), torch.tensor([index[row[-1]] for row in kept])


def accuracy(model, features, labels):
    with torch.no_grad():
        return (model.logits(features).argmax(1) == labels).float().mean().item() if len(labels) else 0.0


def main():
    with open(os.environ["RATCHET_PARAMS"], encoding="utf-8") as file:
        params = json.load(file)
    target = params.get("target") or os.environ.get("RATCHET_TARGET")
    if not target:
        sys.exit("train.params.target is missing: name the column to predict")
    train_pack = os.environ["RATCHET_TRAIN"]
    names = params.get("features") or numeric_columns(train_pack, target)
    torch.manual_seed(int(os.environ.get("RATCHET_SEED", 7)))
    torch.set_num_threads(int(os.environ.get("RATCHET_THREADS", 1)))

    train_rows = read_pack(train_pack, names + [target])
    classes = sorted({row[-1] for row in train_rows if row[-1] is not None})
    if len(classes) < 2:
        sys.exit(f"The column {target} has fewer than two different values in the training rows")
    features, labels = tensors(train_rows, classes)
    valid_features, valid_labels = tensors(read_pack(os.environ.get("RATCHET_VALIDATION", ""), names + [target]), classes)

    present = ~features.isnan()
    count = present.sum(0).clamp(min=1)
    mean = torch.nan_to_num(features).sum(0) / count
    deviation = (torch.nan_to_num((features - mean) ** 2).sum(0) / count).sqrt().clamp(min=1e-6)
    model = Classifier(mean, deviation, int(params.get("hidden", 32)), len(classes))

    progress = Progress()
    epochs, batch = int(params.get("epochs", 10)), int(params.get("batch", 64))
    optimizer = torch.optim.Adam(model.parameters(), lr=float(params.get("learning_rate", 0.01)))
    for epoch in range(1, epochs + 1):
        started, loss_sum = time.monotonic(), 0.0
        for picked in torch.randperm(len(labels)).split(batch):
            optimizer.zero_grad()
            loss = torch.nn.functional.cross_entropy(model.logits(features[picked]), labels[picked])
            loss.backward()
            optimizer.step()
            loss_sum += loss.item() * len(picked)
        seconds = max(time.monotonic() - started, 1e-6)
        metrics = {"validation_accuracy": round(accuracy(model, valid_features, valid_labels), 4)}
        progress.tell(phase="train", epoch=epoch, of=epochs, loss=round(loss_sum / len(labels), 5),
                      rows_per_s=round(len(labels) / seconds), metrics=metrics)
        print(f"epoch {epoch}/{epochs}  loss {loss_sum / len(labels):.4f}  {metrics}", flush=True)

    out = os.environ["RATCHET_OUT"]
    script(model.eval(), len(names)).save(os.path.join(out, "model.pt"))
    signature = {
        "task": "classification",
        "inputs": [{"name": name, "datatype": "FP32", "shape": [-1], "column": name} for name in names],
        "outputs": [{"name": "probabilities", "datatype": "FP32", "shape": [-1, len(classes)]}],
        "classes": classes,
    }
    with open(os.path.join(out, "signature.json"), "w", encoding="utf-8") as file:
        json.dump(signature, file, indent=1)


if __name__ == "__main__":
    main()
