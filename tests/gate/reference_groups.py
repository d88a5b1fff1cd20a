#!/usr/bin/python3
"""Writes reference_groups.h: errors of means over groups, over times and of the bootstrap, worked out from the definitions
and not from the closed forms of the gate. Run: reference_groups.py > reference_groups.h

- groups: CR2 as Bell and McCaffrey write it, with the hat matrix, the inverse square roots of I − H by eigenvalues, and
  Satterthwaite's degrees from the traces of the quadratic form (numpy).
- times: the equal-weighted cosine estimate of the long-run variance, each cosine sum worked out by itself.
- bootstrap: the ABC interval by numeric derivatives of the figure as a function of the observations' shares, expanded by
  the error and degrees of CR2.
"""
import math
import random
import textwrap

import mpmath as mp
import numpy as np


def cr2(gain, group, weight):
    """Mean, error and degrees of the weighted mean, its rows' working variances being 1 / weight."""
    x, w = np.asarray(gain), np.asarray(weight)
    root = np.sqrt(w)
    design, target = root[:, None], root * x  # whitened
    bread = 1 / (design.T @ design)[0, 0]
    mean = bread * (design.T @ target)[0]
    residual = target - design[:, 0] * mean
    n = len(x)
    hat = design @ design.T * bread
    variance, forms = 0.0, []
    for g in sorted(set(group)):
        rows = np.array([i for i in range(n) if group[i] == g])
        block = np.eye(len(rows)) - hat[np.ix_(rows, rows)]
        values, vectors = np.linalg.eigh(block)
        inverse_root = vectors @ np.diag(1 / np.sqrt(values)) @ vectors.T
        form = bread * (np.eye(n) - hat)[:, rows] @ inverse_root @ design[rows, 0]
        variance += (bread * design[rows, 0] @ inverse_root @ residual[rows]) ** 2
        forms.append(form)
    gram = np.array([[a @ b for b in forms] for a in forms])
    return mean, math.sqrt(variance), np.trace(gram) ** 2 / np.sum(gram**2)


def cosines(gain, time, horizon):
    times = sorted(set(time))
    n, rows, mean = len(times), len(gain), sum(gain) / len(gain)
    residual = [sum(gain[i] - mean for i in range(rows) if time[i] == t) for t in times]
    count = max(1, min(int(0.4 * n ** (2 / 3)), n // (3 * horizon), 128))
    waves = [
        math.sqrt(2 / n) * math.fsum(residual[t] * float(mp.cos(mp.pi * wave * (t + mp.mpf(1) / 2) / n)) for t in range(n))
        for wave in range(1, count + 1)
    ]
    long_run = math.fsum(w * w for w in waves) / count
    if count < 4:
        long_run = max(long_run, math.fsum(r * r for r in residual) / n)
    return mean, math.sqrt(n * long_run) / rows, count


def student_quantile(p, degrees):
    low, high = 0.0, 1000.0
    for _ in range(200):
        middle = (low + high) / 2
        tail = mp.betainc(degrees / 2, 0.5, 0, degrees / (degrees + middle**2), regularized=True) / 2
        low, high = (middle, high) if 1 - tail < p else (low, middle)
    return low


def abc(gain, group, weight, confidence):
    groups = sorted(set(group))
    sums = np.array([sum(w * x for x, g, w in zip(gain, group, weight) if g == k) for k in groups])
    sizes = np.array([sum(w for g, w in zip(group, weight) if g == k) for k in groups])
    n = len(groups)
    level = np.full(n, 1 / n)

    def figure(shares):
        return (shares @ sums) / (shares @ sizes)

    def normal(z):
        return math.erfc(-z / math.sqrt(2)) / 2

    def quantile(p):
        low, high = -12.0, 12.0
        for _ in range(200):
            middle = (low + high) / 2
            low, high = (middle, high) if normal(middle) < p else (low, middle)
        return low

    step = 1e-4 / n
    first, second = np.zeros(n), np.zeros(n)
    for i in range(n):
        towards = np.eye(n)[i] - level
        up, down = figure(level + step * towards), figure(level - step * towards)
        first[i] = (up - down) / (2 * step)
        second[i] = (up - 2 * figure(level) + down) / step**2
    error = math.sqrt(np.sum(first**2)) / n
    a = np.sum(first**3) / (6 * np.sum(first**2) ** 1.5)
    bias = np.sum(second) / (2 * n**2)
    direction = first / (n**2 * error)
    step = 1e-3
    curve = (figure(level + step * direction) - 2 * figure(level) + figure(level - step * direction)) / (2 * error * step**2)
    z0 = quantile(2 * normal(a) * normal(curve - bias / error))

    def end(z):
        w = z0 + z
        return figure(level + w / (1 - a * w) ** 2 * direction)

    _, corrected, degrees = cr2(gain, group, weight)
    z = student_quantile(0.5 + confidence / 2, degrees) * corrected / error
    return end(-z), end(z)


def cases():
    draw = random.Random(4)
    for rows, groups in ((12, 4), (60, 9), (200, 25)):
        sizes = [draw.random() ** 2 + 0.02 for _ in range(groups)]
        group = list(range(groups)) + draw.choices(range(groups), sizes, k=rows - groups)
        level = [draw.gauss(0.1, 0.4) for _ in range(groups)]
        gain = [round(level[g] + draw.expovariate(1) - 1, 6) for g in group]
        for weighted in (False, True):
            yield gain, group, [round(draw.random() + 0.1, 3) if weighted else 1.0 for _ in gain]


def numbers(values):
    return textwrap.fill("{" + ", ".join(repr(v) for v in values) + "}", 112, subsequent_indent=" " * 6)


def main():
    print("// Made by reference_groups.py; not edited by hand.\n#pragma once\n\n#include <cstdint>\n#include <vector>\n")
    print("namespace ratchet::gate::reference {\n")
    print("struct Grouped {\n  std::vector<double> gain;\n  std::vector<std::uint64_t> group;\n  std::vector<double> weight;")
    print("  double mean, error, degrees, abc_low, abc_high;\n};")
    print("struct Timed {\n  std::vector<double> gain;\n  std::vector<std::int64_t> time;\n  int horizon;")
    print("  double mean, error, degrees;\n};")
    print("\ninline const Grouped kGrouped[] = {")
    for gain, group, weight in cases():
        found = [float(v) for v in (*cr2(gain, group, weight), *abc(gain, group, weight, 0.95))]
        print(f"    {{{numbers(gain)},\n     {numbers(group)},\n     {numbers(weight)},\n     {', '.join(map(repr, found))}}},")
    print("};\n\ninline const Timed kTimed[] = {")
    draw = random.Random(5)
    for steps, series, horizon in ((30, 1, 1), (80, 1, 7), (50, 3, 4), (150, 1, 1)):
        level, gain, time = 0.0, [], []
        for t in range(steps):
            level = 0.6 * level + draw.gauss(0.05, 1)
            for _ in range(series if t % 5 else 1):
                gain.append(round(level + draw.gauss(0, 0.5), 6))
                time.append(3 * t)
        order = draw.sample(range(len(gain)), len(gain))
        gain, time = [gain[i] for i in order], [time[i] for i in order]
        found = ", ".join(repr(float(v)) for v in cosines(gain, time, horizon))
        print(f"    {{{numbers(gain)},\n     {numbers(time)},\n     {horizon}, {found}}},")
    print("};\n\n}  // namespace ratchet::gate::reference")


if __name__ == "__main__":
    main()
