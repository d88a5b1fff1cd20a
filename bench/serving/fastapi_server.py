"""The peer of bench/serving/run: FastAPI, uvicorn and PyTorch from the distribution's packages, in two forms.

`taught` is what the documentation teaches: a pydantic model of the body, a function that the server runs in its thread pool, an
answer that FastAPI turns into JSON. `fast` is the quickest that we could write with the same parts: the raw body, json, one call of
the model on the event loop, the raw answer. The model's path and its input's type and shape come by BENCH_MODEL, BENCH_DATATYPE,
BENCH_SHAPE.
"""

import json
import os
from typing import List

import torch
from fastapi import FastAPI, Request, Response
from pydantic import BaseModel

torch.set_num_threads(1)
MODEL = torch.jit.load(os.environ["BENCH_MODEL"]).eval()
DTYPE = {"FP32": torch.float32, "UINT8": torch.uint8}[os.environ["BENCH_DATATYPE"]]
SHAPE = [-1, *json.loads(os.environ["BENCH_SHAPE"])]

taught = FastAPI()
fast = FastAPI()


class Tensor(BaseModel):
    name: str
    datatype: str
    shape: List[int]
    data: List[float]


class Output(BaseModel):
    name: str
    datatype: str
    shape: List[int]
    data: List[float]


class Body(BaseModel):
    inputs: List[Tensor]


class Answer(BaseModel):
    model_name: str
    outputs: List[Output]


def predict(data):
    with torch.no_grad():
        return MODEL(torch.tensor(data, dtype=DTYPE).reshape(SHAPE))


@taught.post("/infer", response_model=Answer)
def infer_as_taught(body: Body):
    probabilities = predict(body.inputs[0].data)
    return {"model_name": "m", "outputs": [{"name": "probabilities", "datatype": "FP32", "shape": list(probabilities.shape),
                                            "data": probabilities.flatten().tolist()}]}


@fast.post("/infer")
async def infer_fast(request: Request):
    probabilities = predict(json.loads(await request.body())["inputs"][0]["data"])
    return Response(json.dumps({"model_name": "m", "outputs": [{"name": "probabilities", "datatype": "FP32",
                                                                "shape": list(probabilities.shape),
                                                                "data": probabilities.flatten().tolist()}]}),
                    media_type="application/json")
