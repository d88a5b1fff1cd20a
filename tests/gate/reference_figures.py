#!/usr/bin/python3
"""Writes seeded cases and what the gate's metrics must answer for them, worked out by scikit-learn, SciPy and NumPy.

Usage: reference_figures.py FILE. One line an entry: its key, then numbers. "case NAME" begins a case. Columns of one side
are called 0.column and 1.column; figures are figure/METRIC/SIDE, and influence/METRIC/SIDE is what the figure changes by as
each row comes to count a little more: the slope of the reference's own figure in the row's weight, times all weights.
Texts are the numbers of their code points.
"""
import sys
import warnings

import numpy as np
import scipy.stats
from sklearn import metrics as sk
from sklearn.calibration import calibration_curve

STEP = 1e-3  # in the weights, around 1, of the differences; their error is of the order of (STEP / rows)², relative


def influence(figure, weight):
    """figure: a function of the rows' weights. Central differences; for rows without weight one-sided ones, of three points."""
    values = np.empty(len(weight))
    for i in range(len(weight)):
        at = [figure(weight + step * STEP * (np.arange(len(weight)) == i)) for step in ((0, 1, 2) if weight[i] == 0 else (-1, 1))]
        values[i] = (-3 * at[0] + 4 * at[1] - at[2] if weight[i] == 0 else at[1] - at[0]) / (2 * STEP)
    return values * weight.sum()


class Writer:
    def __init__(self, file):
        self.file = file

    def case(self, name):
        print("case", name, file=self.file)

    def put(self, key, values):
        print(key, *(repr(float(v)) for v in np.ravel(values)), file=self.file)

    def figure(self, metric, side, figure, weight):
        self.put(f"figure/{metric}/{side}", figure(weight))
        self.put(f"influence/{metric}/{side}", influence(figure, weight))


def weights_of(kind, rows, rng):
    if kind == "weighted":
        return rng.uniform(0.2, 3, rows)
    if kind == "zeros":
        return rng.integers(0, 3, rows).astype(float) + np.arange(rows) % 2
    return np.ones(rows)


def put_weights(out, weight):
    if np.any(weight != 1):
        out.put("weight", weight)


# --- classes


def class_figures(target, probabilities, predicted):
    classes = probabilities.shape[1]
    one_hot = np.eye(classes)[target]
    halved = 0.5 if classes == 2 else 1

    def brier(w):
        if classes == 2:
            return sk.brier_score_loss(target, probabilities[:, 1], sample_weight=w, pos_label=1)
        return halved * np.average(((probabilities - one_hot) ** 2).sum(axis=1), weights=w)

    return {
        "accuracy": lambda w: sk.accuracy_score(target, predicted, sample_weight=w),
        "balanced_accuracy": lambda w: sk.balanced_accuracy_score(target, predicted, sample_weight=w),
        "macro_f1": lambda w: sk.f1_score(target, predicted, average="macro", sample_weight=w, zero_division=0),
        "micro_f1": lambda w: sk.f1_score(target, predicted, average="micro", sample_weight=w),
        "log_loss": lambda w: sk.log_loss(target, probabilities, labels=range(classes), sample_weight=w, eps=1e-15),
        "brier": brier,
    }


def curve_figures(target, score):
    return {
        "roc_auc": lambda w: sk.roc_auc_score(target, score, sample_weight=w),
        "pr_auc": lambda w: sk.average_precision_score(target, score, sample_weight=w),
    }


def put_report(out, side, target, predicted, classes, weight):
    labels = range(classes)
    out.put(f"confusion/{side}", sk.confusion_matrix(target, predicted, labels=labels, sample_weight=weight))
    figures = sk.precision_recall_fscore_support(target, predicted, labels=labels, sample_weight=weight, zero_division=0)
    for name, values in zip(("precision", "recall", "f1", "support"), figures):
        out.put(f"{name}/{side}", values)


def put_calibration(out, name, side, came_true, probability, bins):
    """Bins by SciPy, means of the bins with rows by scikit-learn's own curve as well."""
    edges = np.linspace(0, 1, bins + 1)
    edges[0] = -1e-9
    place = np.digitize(probability, edges, right=True) - 1
    rows = scipy.stats.binned_statistic(place, came_true, "count", bins=bins, range=(-0.5, bins - 0.5)).statistic
    share = scipy.stats.binned_statistic(place, came_true, "mean", bins=bins, range=(-0.5, bins - 0.5)).statistic
    mean = scipy.stats.binned_statistic(place, probability, "mean", bins=bins, range=(-0.5, bins - 0.5)).statistic
    true_curve, mean_curve = calibration_curve(came_true, probability, n_bins=bins)
    assert np.allclose(true_curve, share[rows > 0]) and np.allclose(mean_curve, mean[rows > 0])
    share, mean = np.nan_to_num(share), np.nan_to_num(mean)
    out.put(f"{name}_rows/{side}", rows)
    out.put(f"{name}_share/{side}", share)
    out.put(f"{name}_mean/{side}", mean)
    out.put(f"{name}_error/{side}", np.sum(rows / rows.sum() * np.abs(share - mean)))


def softmax(logits):
    e = np.exp(logits - logits.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)


def put_class_case(out, name, target, sides, weight):
    """sides: rows × classes probabilities of candidate and opponent."""
    out.case(name)
    rows, classes = sides[0].shape
    out.put("classes", classes)
    out.put("target", target)
    put_weights(out, weight)
    for side, probabilities in enumerate(sides):
        predicted = probabilities.argmax(axis=1)
        out.put(f"{side}.predicted", predicted)
        out.put(f"{side}.target_probability", probabilities[np.arange(rows), target])
        out.put(f"{side}.predicted_probability", probabilities.max(axis=1))
        out.put(f"{side}.square_sum", (probabilities**2).sum(axis=1))
        figures = class_figures(target, probabilities, predicted)
        put_report(out, side, target, predicted, classes, weight)
        if np.all(weight == 1):
            put_calibration(out, "answers", side, predicted == target, probabilities.max(axis=1), 10)
        if classes == 2:
            out.put(f"{side}.positive_probability", probabilities[:, 1])
            figures |= curve_figures(target, probabilities[:, 1])
            if np.all(weight == 1):
                put_calibration(out, "positive", side, target == 1, probabilities[:, 1], 7)
        for metric, figure in figures.items():
            out.figure(metric, side, figure, weight)
    if classes == 2 and np.all(weight == 1):
        put_delong(out, target, [p[:, 1] for p in sides])


def put_delong(out, target, scores):
    """The definition, pair by pair: covariances of the components of DeLong, DeLong & Clarke-Pearson (1988)."""
    components = []
    for score in scores:
        positive, negative = score[target == 1], score[target == 0]
        kernel = (positive[:, None] > negative[None, :]) + 0.5 * (positive[:, None] == negative[None, :])
        components.append((kernel.mean(axis=1), kernel.mean(axis=0)))
    s10 = np.cov(components[0][0], components[1][0], ddof=1)
    s01 = np.cov(components[0][1], components[1][1], ddof=1)
    s = s10 / np.sum(target == 1) + s01 / np.sum(target == 0)
    out.put("delong", [s[0, 0], s[1, 1], s[0, 1], s[0, 0] + s[1, 1] - 2 * s[0, 1]])


def put_class_cases(out, rng):
    for kind in ("plain", "weighted", "zeros"):
        for classes, rows in ((2, 41), (3, 60), (5, 48)):
            target = rng.integers(0, classes, rows)
            target[:classes] = range(classes)
            sides = [softmax(rng.normal(0, 1, (rows, classes)) + s * np.eye(classes)[target]) for s in (1.5, 1.0)]
            put_class_case(out, f"classes_{classes}_{kind}", target, sides, weights_of(kind, rows, rng))
    for kind in ("plain", "weighted"):
        # Scores of a few values only, so that most rows are tied.
        target = rng.integers(0, 2, 50)
        sides = []
        for strength in (0.3, 0.1):
            p = np.clip(np.round(rng.uniform(0.1, 0.9, 50) + strength * (target - 0.5), 1), 0.1, 0.9)
            sides.append(np.column_stack([1 - p, p]))
        put_class_case(out, f"ties_{kind}", target, sides, weights_of(kind, 50, rng))
    target = np.arange(30) % 3 == 0
    flat = np.full((30, 2), 0.5)
    sure = np.column_stack([~target * 0.8 + 0.1, target * 0.8 + 0.1])
    put_class_case(out, "all_tied_against_all_right", target.astype(int), [flat, sure], np.ones(30))
    # A class that is never a target, one that is never the answer, and probabilities of 0 and 1.
    target = np.array([0, 1, 2, 2, 1, 0, 0, 1, 2, 1, 0, 2] * 3)
    answers = [np.where(np.arange(36) % 4 == 0, 3, target), np.where(target == 1, 0, target)]
    put_class_case(out, "classes_that_are_missing", target, [np.eye(5)[a] for a in answers], np.ones(36))
    # Enough rows that the scores are sorted digit by digit, and scores of both signs; no influence, that would take long.
    put_many_scores(out, rng)


def put_many_scores(out, rng):
    out.case("many_scores")
    target = rng.integers(0, 2, 20_000)
    scores = [rng.normal(0.8 * target, 1), np.round(rng.normal(0.6 * target, 1), 2)]
    out.put("classes", 2)
    out.put("target", target)
    for side, score in enumerate(scores):
        out.put(f"{side}.positive_probability", score)
        out.put(f"figure/roc_auc/{side}", sk.roc_auc_score(target, score))
        out.put(f"figure/pr_auc/{side}", sk.average_precision_score(target, score))
    put_delong(out, target[:20_000], scores)


# --- numbers


def number_figures(target, prediction, scale):
    absolute = np.abs(target - prediction)
    figures = {
        "mae": lambda w: sk.mean_absolute_error(target, prediction, sample_weight=w),
        "rmse": lambda w: sk.mean_squared_error(target, prediction, sample_weight=w, squared=False),
        "wape": lambda w: np.dot(w, absolute) / np.dot(w, np.abs(target)),
        "smape": lambda w: np.average(2 * absolute / (np.abs(target) + np.abs(prediction)), weights=w),
        "mase": lambda w: sk.mean_absolute_error(target / scale, prediction / scale, sample_weight=w),
    }
    if np.all(target != 0):
        figures["mape"] = lambda w: sk.mean_absolute_percentage_error(target, prediction, sample_weight=w)
    return figures


def quantile_figures(target, levels, quantiles):
    def pinball(w):
        return np.mean([sk.mean_pinball_loss(target, quantiles[:, k], sample_weight=w, alpha=q) for k, q in enumerate(levels)])

    inside = (target >= quantiles[:, 0]) & (target <= quantiles[:, -1])
    return {
        "pinball": pinball,
        "weighted_quantile_loss": lambda w: 2 * pinball(w) * w.sum() / np.dot(w, np.abs(target)),
        "coverage": lambda w: np.average(inside, weights=w),
    }


def put_number_cases(out, rng):
    levels = np.array([0.1, 0.25, 0.5, 0.9])
    for kind in ("plain", "weighted", "zeros"):
        for name, shift in (("positive", 50.0), ("both_signs", 0.0), ("zero_targets", 0.0)):
            rows = 45
            weight = weights_of(kind, rows, rng)
            target = shift + rng.normal(0, 10, rows)
            if name == "zero_targets":
                target[::7] = 0
            scale = rng.uniform(0.5, 4, rows)
            out.case(f"numbers_{name}_{kind}")
            out.put("target", target)
            out.put("scale", scale)
            out.put("levels", levels)
            put_weights(out, weight)
            for side, spread in enumerate((3, 4)):
                prediction = target + rng.normal(0, spread, rows)
                quantiles = prediction[:, None] + spread * scipy.stats.norm.ppf(levels)[None, :]
                out.put(f"{side}.prediction", prediction)
                out.put(f"{side}.quantiles", quantiles)
                for metric, figure in (number_figures(target, prediction, scale) | quantile_figures(target, levels, quantiles)).items():
                    out.figure(metric, side, figure, weight)


# --- ranked lists


def query_scores(ranked, relevant, k):
    """One query: ranked relevances and all that there are."""
    everything = list(ranked) + unranked(ranked, relevant)
    order = -np.arange(len(everything), dtype=float)
    hits = [i for i, r in enumerate(ranked) if r > 0]
    found = sum(1 for i in hits if i < k)
    there = sum(1 for r in relevant if r > 0)
    return {
        f"ndcg@{k}": sk.ndcg_score([everything], [order], k=k),
        "mrr": 1 / (hits[0] + 1) if hits else 0,
        f"mrr@{k}": 1 / (hits[0] + 1) if found else 0,
        f"hit_rate@{k}": float(found > 0),
        f"recall@{k}": found / there if there else 0,
    }


def unranked(ranked, relevant):
    left = list(relevant)
    for r in ranked:
        left.remove(r)
    return left


def put_query_cases(out, rng):
    for kind in ("plain", "weighted"):
        rows = 30
        weight = weights_of(kind, rows, rng)
        out.case(f"queries_{kind}")
        put_weights(out, weight)
        relevant = [rng.choice([0, 0, 0, 1, 2, 3, 0.5], rng.integers(2, 25)) for _ in range(rows)]
        relevant[3] = np.zeros(4)
        out.put("relevant_ends", np.cumsum([len(r) for r in relevant]))
        out.put("relevant", np.concatenate(relevant))
        for side in range(2):
            # Some rankings stop early, but none before rank 10.
            ranked = [rng.permutation(r)[: max(10, len(r) - 3)] for r in relevant]
            out.put(f"{side}.ranked_ends", np.cumsum([len(r) for r in ranked]))
            out.put(f"{side}.ranked", np.concatenate(ranked))
            for k in (1, 3, 10):
                scores = [query_scores(a, b, k) for a, b in zip(ranked, relevant)]
                for metric in scores[0] if k == 10 else [m for m in scores[0] if "@" in m]:
                    values = np.array([s[metric] for s in scores])
                    out.figure(metric, side, lambda w: np.average(values, weights=w), weight)
    put_single_answers(out, rng)


def put_single_answers(out, rng):
    """One relevant item a query, where scikit-learn has the reciprocal rank and the hit rate under other names."""
    rows, items = 25, 8
    scores = rng.normal(0, 1, (rows, items))
    answer = rng.integers(0, items, rows)
    truth = np.eye(items)[answer]
    out.case("queries_with_one_answer")
    out.put("relevant_ends", np.arange(1, rows + 1))
    out.put("relevant", np.ones(rows))
    for side in range(2):
        order = np.argsort(-scores, axis=1)
        out.put(f"{side}.ranked_ends", np.arange(1, rows + 1) * items)
        out.put(f"{side}.ranked", np.take_along_axis(truth, order, axis=1))
        out.put(f"figure/mrr/{side}", sk.label_ranking_average_precision_score(truth, scores))
        out.put(f"figure/ndcg@{items}/{side}", sk.ndcg_score(truth, scores))
        for k in (1, 3):
            hit = sk.top_k_accuracy_score(answer, scores, k=k, labels=range(items))
            out.put(f"figure/hit_rate@{k}/{side}", hit)
            out.put(f"figure/recall@{k}/{side}", hit)
        scores = rng.normal(0, 1, (rows, items)) + 2 * truth


# --- transcripts


def edits(a, b):
    """Levenshtein by the table of all prefixes."""
    row = list(range(len(b) + 1))
    for i, x in enumerate(a, 1):
        left = [i]
        for j, y in enumerate(b, 1):
            left.append(min(row[j] + 1, left[j - 1] + 1, row[j - 1] + (x != y)))
        row = left
    return row[-1]


def spoil(text, alphabet, rng, share):
    out = []
    for c in text:
        what = rng.random()
        if what < share:
            out.append(str(rng.choice(alphabet)))
        if what > share / 2:
            out.append(c)
    return "".join(out)


def put_transcript_cases(out, rng):
    alphabet = list("abcde   éß漢字🙂\u3000\n")
    counts = {0: [], 1: []}
    for number, length in enumerate([0, 0, 1, 3, 10, 40, 63, 64, 65, 100, 127, 128, 129, 200, 400, 700, 30, 30, 30, 30]):
        reference = "".join(rng.choice(alphabet, length))
        out.case(f"text_{number}")
        out.put("reference", [ord(c) for c in reference])
        for side, share in enumerate((0.1, 0.6)):
            answer = spoil(reference, alphabet, rng, share) if number % 7 else "".join(rng.choice(alphabet, 2 * length + number))
            words = (edits(reference.split(), answer.split()), len(reference.split()))
            characters = (edits(reference.strip(), answer.strip()), len(reference.strip()))
            out.put(f"{side}.answer", [ord(c) for c in answer])
            out.put(f"words/{side}", words)
            out.put(f"characters/{side}", characters)
            counts[side].append(words + characters)
    for kind in ("plain", "weighted"):
        out.case(f"transcripts_{kind}")
        weight = weights_of(kind, len(counts[0]), rng)
        put_weights(out, weight)
        for side in range(2):
            table = np.array(counts[side], dtype=float)
            for at, name in enumerate(("word_edits", "words", "character_edits", "characters")):
                out.put(f"{side}.{name}", table[:, at])
            out.figure("wer", side, lambda w: np.dot(w, table[:, 0]) / np.dot(w, table[:, 1]), weight)
            out.figure("cer", side, lambda w: np.dot(w, table[:, 2]) / np.dot(w, table[:, 3]), weight)


def main():
    warnings.simplefilter("ignore")  # of classes that are missing, which is what some cases are about
    rng = np.random.default_rng(20260401)
    with open(sys.argv[1], "w", encoding="ascii") as file:
        out = Writer(file)
        put_class_cases(out, rng)
        put_number_cases(out, rng)
        put_query_cases(out, rng)
        put_transcript_cases(out, rng)


if __name__ == "__main__":
    main()
