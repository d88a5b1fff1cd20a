"""Answers of a bundle in plain PyTorch: answer.py model.pt signature.json pack -> {"shape": …, "values": …}."""
import json
import sqlite3
import sys

import torch

TYPES = {"UINT8": torch.uint8, "FP64": torch.float64, "FP32": torch.float32, "INT64": torch.int64}


def argument(spec, column, values):
    if spec["datatype"] == "BYTES":
        return ["" if value is None else str(value) for value in values]
    if column["type"] == "blob":
        rows = [torch.tensor(list(value), dtype=torch.uint8) for value in values]
        return torch.stack(rows).reshape([-1] + column["shape"]).to(TYPES[spec["datatype"]])
    return torch.tensor([float("nan") if value is None else value for value in values], dtype=TYPES[spec["datatype"]])


def main():
    model = torch.jit.load(sys.argv[1])
    with open(sys.argv[2]) as file:
        signature = json.load(file)
    pack = sqlite3.connect("file:" + sys.argv[3] + "?mode=ro", uri=True)
    schema = json.loads(pack.execute("SELECT value FROM meta WHERE key = 'schema'").fetchone()[0])
    columns = {column["name"]: column for column in schema}
    arguments = []
    for spec in signature["inputs"]:
        values = [row[0] for row in pack.execute('SELECT "%s" FROM rows ORDER BY row' % spec["column"])]
        arguments.append(argument(spec, columns[spec["column"]], values))
    with torch.no_grad():
        answer = model(*arguments)
    print(json.dumps({"shape": list(answer.shape), "values": answer.double().flatten().tolist()}))


main()
