"""Is the headline attack as strong as a random search of its cost, and how fast is it?

    python -m benchmarks.worst_case --num_examples=96
    python -m benchmarks.worst_case --table

Attacks the maps of the same validation images of zoo models with `worst_case`; with a random search
of at least as many map evaluations (three families of signs, a seed that the attack does not use);
with the portfolio `strongest` of an earlier version; with `quick`; and with each search of
`worst_case` alone. Appends a row for each image to the CSV file: stop it at any time, the same
command goes on. Prints for each model on how many images the random search wins and by how much;
the means of every attack beside the headline's; and the images a second, without the first batch,
which is traced.
"""

import csv
import dataclasses
import pathlib
import sys
import time

import numpy as np
from absl import app, flags, logging

from rar_tf import datasets, environment, evaluation
from rar_tf.attack import FAMILIES, Ifia, LocalSearch, MapAttack, RandomSearch, Ranking
from rar_tf.attribution import Explainer
from rar_tf.reporting import measurements
from rar_tf.serving import zoo

FLAGS = flags.FLAGS
flags.DEFINE_list(
    "models", ["natural", "madry", "ig_norm", "ig_sum_norm", "aat", "adv_aat"],
    "Zoo models of the data set."
)  # fmt: skip
flags.DEFINE_string("dataset", "fashion_mnist", "Data set; its validation images are attacked.")
flags.DEFINE_string("manual_dir", None, "Folder with the data set's official files.")
flags.DEFINE_integer("num_examples", 96, "Number of correctly classified images of each model.")
flags.DEFINE_integer("batch_size", 32, "Number of images attacked at once.")
flags.DEFINE_list("attacks", [], "Names of the attacks to run. Default: all.")
flags.DEFINE_string("output", "results/worst_case.csv", "CSV file that grows.")
flags.DEFINE_bool("table", False, "Only print the tables.")

FIELDS = ("model", "attack", "index", "top_k", "kendall", "seconds", "seed", "machine")
# Seed of the random search; the attacks have seed 0.
RANDOM_SEED = 1000


def map_evaluations(attack: MapAttack) -> int:
    """Number of maps of one image that an attack computes, whatever their number of nodes."""
    total = 1  # the clean map
    for search in attack.searches:
        if isinstance(search, Ifia):
            total += search.steps + -(-search.steps // search.select_every)
        else:
            total += search.count
    if attack.ranking:
        total += sum(search.num_points for search in attack.searches)
        total += sum(search.count + 1 for search in attack.refinements)
        return total + sum(count for _, count in attack.ranking.keep) + len(attack.refinements)
    return total + sum(search.num_points for search in attack.searches)


def random_attack(protocol: evaluation.Protocol, count: int) -> MapAttack:
    """At least `count` random perturbations of three families, the best of each measured."""
    explainer = Explainer(steps=16, rule="midpoint")
    searches = tuple(
        RandomSearch(
            protocol.threat,
            protocol.k,
            family=family,
            count=-(-count // len(FAMILIES)),
            select=("top_k", "kendall"),
            explainer=explainer,
            clean_explainer=protocol.explainer,
            precision="mixed_bfloat16",
        )
        for family in FAMILIES
    )
    return MapAttack("random", searches, worst_of_each_metric=True)


def strongest(protocol: evaluation.Protocol) -> MapAttack:
    """The portfolio of an earlier version: seven gradient searches, the worst of each metric."""
    quick = protocol.attack("quick").searches
    first = [dataclasses.replace(s, select=("top_k", "kendall", "spearman")) for s in quick]
    base = quick[0]
    shrinking = dataclasses.replace(
        base,
        select=("top_k", "kendall"),
        select_every=2,
        explainer=dataclasses.replace(base.explainer, steps=5),
        selection_explainer=base.explainer,
        steps=20,
        step_size=protocol.threat.epsilon / 2,
        decay="linear",
    )
    random = dataclasses.replace(shrinking, random_start=True)
    searches = (
        *first,
        dataclasses.replace(random, score="top_k"),
        dataclasses.replace(shrinking, score="mass_center"),
        dataclasses.replace(random, score="log_pearson"),
        dataclasses.replace(shrinking, score=(("top_k", 1.0), ("log_pearson", 1.0))),
        dataclasses.replace(
            random,
            score="log_pearson",
            second_derivatives="softplus_second_derivative",
            softplus_beta=4.0,
        ),
    )
    ranking = Ranking(base.explainer, base.precision, (("top_k", 1), ("kendall", 1)))
    return MapAttack("strongest", searches, worst_of_each_metric=True, ranking=ranking)


def portfolio(protocol: evaluation.Protocol) -> dict[str, tuple[MapAttack, int]]:
    """Attacks by name, each with its seed: the headline, what it is compared with, its parts."""
    headline = protocol.attack("worst_case")
    attacks = {
        "worst_case": (headline, 0),
        "random": (random_attack(protocol, map_evaluations(headline)), RANDOM_SEED),
        "strongest": (strongest(protocol), 0),
        "quick": (protocol.attack("quick"), 0),
    }
    for number, search in enumerate(headline.searches):
        name = f"{number + 1} {_words(search)}"
        attacks[name] = (MapAttack(name, (search,), worst_of_each_metric=True), 0)
    return attacks


def _words(search: Ifia | RandomSearch | LocalSearch) -> str:
    if isinstance(search, Ifia):
        kind = "twin" if search.second_derivatives == "softplus_twin" else "second derivative"
        softness = f" {search.softness:g}" if search.score == "soft_top_k" else ""
        return f"{search.score}{softness}, {kind} {search.softplus_beta:g}"
    return f"{search.family} signs"


def read(path: pathlib.Path) -> list[dict[str, str]]:
    """Rows of the CSV file; [] where there is none."""
    if not path.exists():
        return []
    with open(path, newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def append(path: pathlib.Path, rows: list[dict]) -> None:
    """Append rows; they are written when this returns."""
    new = not path.exists()
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "a", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, FIELDS, lineterminator="\n")
        if new:
            writer.writeheader()
        writer.writerows(rows)


def measure(output: pathlib.Path) -> None:
    """Run what is missing, model by model."""
    data = datasets.load(FLAGS.dataset, manual_dir=FLAGS.manual_dir)
    images = evaluation.EvaluationSet(data, split="validation", num_examples=3 * FLAGS.num_examples)
    protocol = evaluation.protocol("rar", FLAGS.dataset, data.image_shape)
    machine = environment.hardware()["processor"]
    attacks = portfolio(protocol)
    for model in FLAGS.models:
        classifier = evaluation.logits_of(zoo.load(f"{FLAGS.dataset}/{model}"), images).model
        hits = np.flatnonzero(evaluation.correct(classifier, images).hits)[: FLAGS.num_examples]
        for name in FLAGS.attacks or attacks:
            attack, seed = attacks[name]
            done = sum((row["model"], row["attack"]) == (model, name) for row in read(output))
            started = time.monotonic()
            runs = evaluation.attack_maps(
                classifier,
                images,
                hits,
                protocol,
                attack,
                done=done,
                seed=seed,
                batch_size=FLAGS.batch_size,
            )
            shared = {"model": model, "attack": name, "seed": seed, "machine": machine}
            for rows, _ in runs:
                names = ("index", "top_k", "kendall", "seconds")
                append(output, [{n: getattr(row, n) for n in names} | shared for row in rows])
            logging.info("%s, %s: %.0f s", model, name, time.monotonic() - started)


def main(argv: list[str]) -> None:
    """Exit status 0 only on success."""
    if len(argv) > 1:
        raise app.UsageError(f"expected flags only. Received: {' '.join(argv[1:])}")
    logging.set_verbosity(logging.INFO)
    output = pathlib.Path(FLAGS.output)
    try:
        if not FLAGS.table:
            measure(output)
        rows = read(output)
    except (ValueError, OSError, KeyError) as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(1)
    for make in (measurements.random_wins, measurements.margins, measurements.attack_speed):
        print(make(rows), end="\n\n")


if __name__ == "__main__":
    app.run(main)
