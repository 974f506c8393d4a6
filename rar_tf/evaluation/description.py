"""Description of an evaluation as plain data: the fields of a report that decide its rows."""

import dataclasses
import json
from typing import Any

import keras

from rar_tf import models
from rar_tf.attack import LocalSearch, MapAttack, Search
from rar_tf.evaluation import identity
from rar_tf.evaluation.architecture import architecture_digest
from rar_tf.evaluation.evaluation_set import EvaluationSet
from rar_tf.evaluation.protocols import Protocol
from rar_tf.naming import json_default


def describe(
    model: dict[str, Any],
    attacked_set: EvaluationSet,
    protocol: Protocol,
    attack: MapAttack,
    seed: int,
) -> dict[str, Any]:
    """Fields of the report that decide the rows of an evaluation, as plain data."""
    described = {
        "model": model,
        "dataset": {
            "name": attacked_set.name,
            "source": attacked_set.source,
            "split": attacked_set.split,
            "images": f"the first {len(attacked_set)}",
            "num_examples": len(attacked_set),
            "class_names": attacked_set.class_names,
            **identity.data_digests(attacked_set),
            "prefixes": identity.prefix_digests(attacked_set),
        },
        "protocol": dataclasses.asdict(protocol),
        "attack": attack.name,
        "searches": [described_search(search) for search in attack.searches],
        "worst_of_each_metric": attack.worst_of_each_metric,
        "ranking": attack.ranking and dataclasses.asdict(attack.ranking),
        "refinements": [described_search(search) for search in attack.refinements],
        "seed": seed,
    }
    # Tuples become lists, as when read again.
    return json.loads(json.dumps(described, default=json_default))


def described_search(search: Search | LocalSearch) -> dict[str, Any]:
    """A search as plain data, with its class as `kind`."""
    return {"kind": type(search).__name__, **dataclasses.asdict(search)}


def describe_model(
    classifier: keras.Model, conversions: models.Conversions, model_info: dict[str, Any] | None
) -> dict[str, Any]:
    """Facts on the classifier, and digests of its weights and architecture."""
    relus = models.count_relus(classifier)
    return {
        "name": classifier.name,
        "outputs": conversions.outputs,
        "input_convention": conversions.to_plain(),
        "parameters": int(classifier.count_params()),
        "relus": relus,
        "weights_sha256": identity.weights_digest(classifier),
        "architecture_sha256": architecture_digest(classifier),
        **(model_info or {}),
    }
