"""How far the maps of correctly classified images can be pushed, one row an image."""

import dataclasses
import functools
import time
from collections.abc import Iterator

import keras
import numpy as np
import tensorflow as tf

from rar_tf.attack import AttackResult, Ifia
from rar_tf.attribution import is_constant, label_logit, saliency
from rar_tf.attribution.metrics import CRITERIA, METRICS, measure
from rar_tf.evaluation.classifier import explained, networks
from rar_tf.evaluation.evaluation_set import EvaluationSet
from rar_tf.evaluation.examples import AttackedExample, ExampleMetrics
from rar_tf.evaluation.protocols import Protocol
from rar_tf.progress import Progress

_NAMES = list(METRICS)
_SIGNS = np.array([metric.sign for metric in METRICS.values()])
_UNCHANGED = np.array([metric.unchanged for metric in METRICS.values()])


def attack_maps(
    classifier: keras.Model,
    selection: EvaluationSet,
    indices: np.ndarray,
    protocol: Protocol,
    attack: str,
    *,
    done: int = 0,
    seed: int = 0,
    batch_size: int = 32,
    nodes_per_pass: int | None = 10,
    region: np.ndarray | None = None,
    searches: tuple[Ifia, ...] | None = None,
) -> Iterator[tuple[list[ExampleMetrics], list[AttackedExample]]]:
    """Attacks correctly classified images batch by batch.

    Of several searches the one that did worst by the first's first criterion of selection
    (Kendall in the papers) gives all metrics of an image; for "strongest" each metric is the
    worst of all that was found. The metrics are of the protocol's own maps, whatever the
    searches looked at.

    Args:
      classifier: images -> logits.
      selection: where the images are.
      indices: which of them; the classifier must predict their labels.
      protocol: what is measured.
      attack: how it is searched, see `Protocol.searches`.
      done: how many of `indices` an earlier run has attacked.
      seed: of random starts; an image's place in `indices` is part of the key.
      batch_size: images at once.
      nodes_per_pass: nodes of a map at once; with batch_size it bounds the memory.
      region: [H, W] of 0 and 1, for searches with the score `target`.
      searches: instead of the protocol's.

    Yields:
      (rows, pictures) of each batch.
    """
    searches = protocol.searches(attack) if searches is None else searches
    clean_explainer = protocol.explainer
    runs = {
        search: _search_function(
            classifier, selection, search, nodes_per_pass, region, clean_explainer
        )
        for search in dict.fromkeys(searches)
    }
    explain = _explain_function(classifier, selection, protocol, nodes_per_pass)
    look = None
    if attack == "strongest":
        look = _look_function(classifier, selection, searches[0], nodes_per_pass)
        spared = _firsts(searches)[: len(protocol.searches("default"))]
    with Progress(f"{attack} attack on maps", len(indices), done) as progress:
        for first in range(done, len(indices), batch_size):
            started = time.monotonic()
            batch = np.asarray(indices[first : first + batch_size])
            images, labels = selection.read(batch)
            x, y = tf.constant(images), tf.constant(labels)
            here = {"y": y, "first_row": tf.constant(first)}
            before = explain(x, **here)
            found = [
                runs[search](x, y, tf.constant([seed, number]), tf.constant(first), before[0])
                for number, search in enumerate(searches)
            ]
            x_adv, candidates = _points(found)
            if look is not None:
                glance = functools.partial(look, **here)
                x_adv, candidates = _shortlist(x, x_adv, candidates, glance, protocol.k, spared)
            undefined = np.any([part.undefined.numpy() for part in found], 0)
            maps = functools.partial(explain, **here)
            points = x_adv, candidates, undefined
            by = None if attack == "strongest" else searches[0].select[0]
            rows, pictures = _measure(x, y, batch, points, before, maps, protocol.k, by)
            seconds = (time.monotonic() - started) / len(batch)
            yield [dataclasses.replace(row, seconds=seconds) for row in rows], pictures
            progress.advance(len(batch))


def _search_function(classifier, selection, search, nodes_per_pass, region, clean_explainer):
    """(x, y, seed, first_row, the maps of x by `clean_explainer`) -> what the search found."""
    network, selected = networks(classifier, search)
    target = None if region is None else tf.constant(region, tf.float32)
    known = (search.clean_explainer or search.explainer) == clean_explainer

    signature = [*selection.signature, tf.TensorSpec([2], tf.int32), tf.TensorSpec([], tf.int32)]
    maps = tf.TensorSpec([None, *selection.signature[0].shape[1:3]], tf.float32)

    @tf.function(autograph=False, input_signature=[*signature, maps])
    def run(x, y, seed, first_row, clean):
        return search(
            classifier,
            x,
            y,
            ascended=network,
            selected=selected,
            seed=seed,
            first_row=first_row,
            region=target,
            clean=clean if known else None,
            nodes_per_pass=nodes_per_pass,
        )

    return run


def _explain_function(classifier, selection, protocol, nodes_per_pass):
    network = explained(classifier)
    logit = label_logit(network)
    signature = [*selection.signature, tf.TensorSpec([], tf.int32)]

    @tf.function(autograph=False, input_signature=signature)
    def explain(x, y, first_row):
        options = {"nodes_per_pass": nodes_per_pass, "first_row": first_row}
        attribution = protocol.explainer.attribution(network, x, y, **options)
        change = logit(x, y) - logit(tf.zeros_like(x), y)
        error = tf.abs(tf.reduce_sum(attribution, [1, 2, 3]) - change)
        return saliency(attribution), error, change

    return explain


def _look_function(classifier, selection, search, nodes_per_pass):
    """(x, y, first_row) -> the maps that the search selects by."""
    selected, explainer = (
        networks(classifier, search)[1],
        search.selection_explainer or search.explainer,
    )

    signature = [*selection.signature, tf.TensorSpec([], tf.int32)]

    @tf.function(autograph=False, input_signature=signature)
    def look(x, y, first_row):
        return explainer.saliency(
            selected, x, y, nodes_per_pass=nodes_per_pass, first_row=first_row
        )

    return look


def _points(found: list[AttackResult]):
    """(x_adv [B, M, H, W, C], candidate [B, M]) of all searches."""
    return (
        np.concatenate([part.x_adv.numpy() for part in found], 1),
        np.concatenate([part.candidate.numpy() for part in found], 1),
    )


def _firsts(searches: tuple[Ifia, ...]) -> np.ndarray:
    """Of all searches' points, where each one's first criterion stands."""
    return np.cumsum([0, *(len(search.select) for search in searches[:-1])])


def _shortlist(x, x_adv, candidates, look, k, spared):
    """Of all points those that full maps are worth: the spared ones, and each metric's worst.

    Spared are those by which `default` is measured, which others must not hide. The worst are
    found by the maps that the searches select by, at a fraction of the cost.
    """
    metrics = _metrics(look(x).numpy(), _maps(look, x_adv), candidates, k)
    worst = np.argmax(np.nan_to_num(metrics * _SIGNS, nan=-np.inf), 1)
    places = np.concatenate([np.tile(spared, (len(worst), 1)), worst], 1)
    rows = np.arange(len(places))[:, np.newaxis]
    return x_adv[rows, places], candidates[rows, places]


def _maps(explain, x_adv):
    """[B, M, H, W]: the map of each point of [B, M, H, W, C]."""
    points = [tf.constant(x_adv[:, m]) for m in range(x_adv.shape[1])]
    return np.stack([explain(point).numpy() for point in points], 1)


def _measure(x, y, batch, points, before, explain, k, by):
    """Rows and pictures of a batch, from the points (x_adv, candidates, undefined).

    Metrics are those of the point that is worst by the criterion `by`; None for each one's worst.
    """
    x_adv, candidates, undefined = points
    before, error, change = (part.numpy() for part in before)
    afters = _maps(lambda point: explain(point)[0], x_adv)
    metrics = _metrics(before, afters, candidates, k)
    undefined |= np.isnan(metrics).any((1, 2))
    columns = [_NAMES.index(name) for name in CRITERIA[by or "kendall"]]
    badness = (metrics * _SIGNS)[..., columns].mean(-1)
    # A NaN must not hide a defined metric; where all are NaN the row says so.
    worst = np.argmax(np.nan_to_num(badness, nan=-np.inf), 1)
    rows = np.arange(len(batch))
    values = metrics[rows, worst]
    if by is None:
        values = _SIGNS * np.fmax.reduce(metrics * _SIGNS, 1)
    kept, after = x_adv[rows, worst], afters[rows, worst]
    moved = np.abs(kept - x.numpy()).reshape(len(batch), -1).max(1)
    result = [
        ExampleMetrics(
            index=int(batch[i]),
            label=int(y[i]),
            top_k=float(values[i, 0]),
            kendall=float(values[i, 1]),
            spearman=float(values[i, 2]),
            center_shift=float(values[i, 3]),
            candidate=int(candidates[i].any()),
            undefined=int(undefined[i]),
            constant=int(is_constant(before[i : i + 1])[0]),
            perturbation=float(moved[i]),
            completeness_error=float(error[i]),
            output_change=float(change[i]),
            seconds=0.0,
        )
        for i in rows
    ]
    pictures = [
        AttackedExample(int(batch[i]), x[i].numpy(), kept[i], before[i], after[i]) for i in rows
    ]
    return result, pictures


def _metrics(before, afters, candidates, k):
    """[B, M, metrics] of the points' maps; the unchanged values where there is no candidate."""
    values = np.stack([measure(before, after, k) for after in np.moveaxis(afters, 1, 0)], 1)
    return np.where(candidates[..., np.newaxis], values, _UNCHANGED)
