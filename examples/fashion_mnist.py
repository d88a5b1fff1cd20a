#!/usr/bin/env python3
"""Writes photos of Fashion-MNIST as packs that Ratchet takes, or one photo as PNG.

    fashion_mnist.py --rows 0:10000 --out parcels-1.pack       the first 10,000 of the 60,000 training photos
    fashion_mnist.py --test --out test.pack                    the official 10,000 test photos
    fashion_mnist.py --test --png 0 --out photo.png            one photo

The photos come from Debian's package dataset-fashion-mnist, or from the folder that --from names
(train-images-idx3-ubyte.gz and its three companions). Only Python's standard library is used.
"""

import argparse
import gzip
import json
import os
import sqlite3
import struct
import subprocess
import sys
import zlib

PACKAGE = "dataset-fashion-mnist"
PACK_APPLICATION_ID = 0x52504B31  # "RPK1"
SIDE = 28
PHOTO_BYTES = SIDE * SIDE
SCHEMA = [
    {"name": "id", "type": "text"},
    {"name": "image", "type": "blob", "shape": [1, SIDE, SIDE]},
    {"name": "label", "type": "integer"},
]


def package_folder():
    """Where the package put its files, as dpkg knows."""
    try:
        listing = subprocess.run(["dpkg", "-L", PACKAGE], capture_output=True, text=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError):
        sys.exit(f"The photos are not here. Install them with: sudo apt-get install {PACKAGE}\n"
                 "or name a folder that has the four .gz files with --from DIR")
    for path in listing.splitlines():
        if path.endswith("train-images-idx3-ubyte.gz"):
            return os.path.dirname(path)
    sys.exit(f"The package {PACKAGE} has no train-images-idx3-ubyte.gz; name a folder with --from DIR")


def read_idx(path, magic, item_bytes):
    """The items of an IDX file of bytes: a big-endian head (magic, sizes), then the bytes."""
    try:
        with gzip.open(path) as file:
            content = file.read()
    except OSError as error:
        sys.exit(f"Cannot read {path}: {error}")
    if len(content) < 8 or struct.unpack(">I", content[:4])[0] != magic:
        sys.exit(f"{path} is not an IDX file of the expected kind")
    count = struct.unpack(">I", content[4:8])[0]
    head = 16 if item_bytes > 1 else 8
    if len(content) != head + count * item_bytes:
        sys.exit(f"{path} is cut short or has photos of another size than {SIDE} x {SIDE}")
    return content[head:], count


def load(folder, test):
    prefix = "t10k" if test else "train"
    photos, count = read_idx(os.path.join(folder, f"{prefix}-images-idx3-ubyte.gz"), 0x803, PHOTO_BYTES)
    labels, label_count = read_idx(os.path.join(folder, f"{prefix}-labels-idx1-ubyte.gz"), 0x801, 1)
    if count != label_count:
        sys.exit(f"There are {count} photos but {label_count} labels in {folder}")
    return photos, labels


def photo(photos, index):
    return photos[index * PHOTO_BYTES:(index + 1) * PHOTO_BYTES]


def write_pack(path, rows):
    """A pack is an SQLite file; written beside its name and moved there when whole."""
    part = path + ".part"
    if os.path.exists(part):
        os.remove(part)
    pack = sqlite3.connect(part, isolation_level=None)
    pack.execute(f"PRAGMA application_id = {PACK_APPLICATION_ID}")
    pack.execute("PRAGMA journal_mode = delete")
    pack.execute("CREATE TABLE meta(key TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT")
    pack.execute('CREATE TABLE rows("row" INTEGER PRIMARY KEY, "id" TEXT, "image" BLOB, "label" INTEGER) STRICT')
    pack.execute("BEGIN")
    pack.executemany("INSERT INTO rows VALUES (?, ?, ?, ?)", ((number, *row) for number, row in enumerate(rows, 1)))
    count = pack.execute("SELECT count(*) FROM rows").fetchone()[0]
    pack.executemany("INSERT INTO meta VALUES (?, ?)",
                     [("format", "1"), ("schema", json.dumps(SCHEMA)), ("rows", str(count))])
    pack.execute("COMMIT")
    pack.close()
    os.replace(part, path)
    return count


def write_png(path, pixels):
    """An 8-bit grey PNG: a head, the lines (each after a filter byte 0) deflated, an end."""

    def chunk(kind, body):
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    lines = b"".join(b"\0" + pixels[row * SIDE:(row + 1) * SIDE] for row in range(SIDE))
    with open(path, "wb") as file:
        file.write(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", SIDE, SIDE, 8, 0, 0, 0, 0)) +
                   chunk(b"IDAT", zlib.compress(lines, 9)) + chunk(b"IEND", b""))


def row_range(text):
    try:
        first, end = (int(part) if part else None for part in text.split(":"))
    except ValueError:
        raise argparse.ArgumentTypeError("write it like 0:10000 (the end is not included)")
    return slice(first, end)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--from", dest="folder", metavar="DIR", help="folder of the four .gz files")
    parser.add_argument("--test", action="store_true", help="the 10,000 test photos instead of the 60,000 training photos")
    parser.add_argument("--rows", type=row_range, default=slice(None), metavar="A:B", help="which rows (default all)")
    parser.add_argument("--png", type=int, metavar="INDEX", help="write this one photo as PNG instead of a pack")
    parser.add_argument("--out", required=True, metavar="FILE", help="the file to write")
    options = parser.parse_args()
    photos, labels = load(options.folder or package_folder(), options.test)
    name = "test" if options.test else "train"
    if options.png is not None:
        if not 0 <= options.png < len(labels):
            parser.error(f"--png must be 0 to {len(labels) - 1}")
        write_png(options.out, photo(photos, options.png))
        print(f"{options.out}: photo {name}-{options.png:05d}, label {labels[options.png]}")
        return
    chosen = range(len(labels))[options.rows]
    if not chosen:
        parser.error(f"--rows names none of the {len(labels)} rows")
    count = write_pack(options.out, ((f"{name}-{i:05d}", photo(photos, i), labels[i]) for i in chosen))
    print(f"{options.out}: {count} rows")


if __name__ == "__main__":
    main()
