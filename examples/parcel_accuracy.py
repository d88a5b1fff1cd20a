#!/usr/bin/env python3
"""Asks the data plane for the official 10,000 test photos of Fashion-MNIST and prints each version's accuracy.

    parcel_accuracy.py --versions 1,2 [--at-least 2:0.91] [--serve http://127.0.0.1:7301]

These photos are never pushed to Ratchet: they are evidence from outside the loop. Exit status 1 when a version falls short.
"""

import argparse
import json
import os
import sys
import urllib.request

import fashion_mnist

BATCH = 500


def serve_url():
    server = os.environ.get("RATCHET_SERVER", "http://127.0.0.1:7300")
    with urllib.request.urlopen(server + "/api/v1/status") as answer:
        return json.load(answer)["serve"]["url"]


def labels_of(url, model, version, photos):
    body = json.dumps({"inputs": [{"name": "image", "datatype": "UINT8", "shape": [len(photos), 1, 28, 28],
                                   "data": list(b"".join(photos))}]}).encode()
    request = urllib.request.Request(f"{url}/v2/models/{model}/versions/{version}/infer", body,
                                     {"Content-Type": "application/json"})
    with urllib.request.urlopen(request) as answer:
        outputs = json.load(answer)["outputs"]
    return next(output["data"] for output in outputs if output["name"] == "label")


def accuracy(url, model, version, photos, labels):
    right = 0
    for start in range(0, len(photos), BATCH):
        told = labels_of(url, model, version, photos[start:start + BATCH])
        right += sum(a == b for a, b in zip(told, labels[start:start + BATCH]))
    return right / len(photos)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="parcel-sorter")
    parser.add_argument("--versions", default="2")
    parser.add_argument("--at-least", default="", metavar="VERSION:SHARE")
    parser.add_argument("--serve", default=None)
    parser.add_argument("--from", dest="folder", default=None)
    options = parser.parse_args()
    url = options.serve or serve_url()
    pixels, labels = fashion_mnist.load(options.folder or fashion_mnist.package_folder(), test=True)
    photos = [fashion_mnist.photo(pixels, index) for index in range(len(labels))]
    wanted = dict([options.at_least.split(":")]) if options.at_least else {}
    for version in options.versions.split(","):
        share = accuracy(url, options.model, version, photos, labels)
        print(f"{options.model}@{version}: {share:.4f} of {len(photos):,} test photos right")
        if share < float(wanted.get(version, 0)):
            sys.exit(f"{options.model}@{version} falls short of {wanted[version]}")


if __name__ == "__main__":
    main()
