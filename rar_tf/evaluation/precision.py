"""Precision of an attack's coarse maps: chosen by a trial, or the one an evaluation began with."""

import dataclasses
import json
import pathlib
from typing import TypeVar

import keras
from absl import logging

from rar_tf import models
from rar_tf.attack import LocalSearch, MapAttack, Ranking, Search

_FULL = models.PRECISIONS[0]
_Part = TypeVar("_Part", Search, LocalSearch, Ranking)


def with_precision(
    attack: MapAttack,
    network: keras.Model,
    precision: str,
    *,
    is_named: bool,
    image_shape: tuple[int, ...] | None = None,
    output: str | pathlib.Path | None = None,
) -> MapAttack:
    """The attack in a precision that works on this processor.

    Args:
      attack: the attack.
      network: images -> logits.
      precision: one of `models.PRECISIONS` for all searches, or "auto": a named attack's coarse
        maps are then computed in bfloat16 if a trial shows that it works and is faster, else in
        float32; a custom attack keeps its own precisions.
      is_named: whether the attack is a named one, as its name defines it.
      image_shape: (H, W, C) of the images; None for that of the network's input.
      output: folder of the evaluation; one that was begun there keeps its precision.

    Raises:
      ValueError: a precision that does not work here.
    """
    coarse = [part.precision for part in _parts(attack) if part.precision != _FULL]
    if precision != models.AUTO:
        models.check_precision(network, precision, image_shape)
        return _replaced(attack, precision, everywhere=True)
    if not coarse:
        return attack
    if not is_named:
        models.check_precision(network, coarse[0], image_shape)
        return attack
    kept = None if output is None else _kept_precision(pathlib.Path(output), attack)
    if kept is not None:
        _check_kept(network, kept, image_shape, output)
        return _replaced(attack, kept)
    trial = models.try_precisions(network, image_shape)
    logging.info("precision of the searches: %s, as %s", trial.precision, trial.reason)
    return _replaced(attack, trial.precision)


def relative_seconds(
    attack: MapAttack, network: keras.Model, image_shape: tuple[int, ...] | None = None
) -> float:
    """Seconds of a pass in the precision of the attack's coarse maps over those in float32."""
    if all(part.precision == _FULL for part in _parts(attack)):
        return 1.0
    seconds = models.try_precisions(network, image_shape).seconds
    return seconds[models.PRECISIONS[1]] / seconds[_FULL] if seconds else 1.0


def _parts(attack: MapAttack) -> list[Search | LocalSearch | Ranking]:
    ranking = [] if attack.ranking is None else [attack.ranking]
    return [*attack.searches, *attack.refinements, *ranking]


def _replaced(attack: MapAttack, precision: str, *, everywhere: bool = False) -> MapAttack:
    """The attack with another precision of the parts that are not in float32, or of all."""

    def replace(part: _Part) -> _Part:
        if part.precision == _FULL and not everywhere:
            return part
        return dataclasses.replace(part, precision=precision)

    return dataclasses.replace(
        attack,
        searches=tuple(map(replace, attack.searches)),
        refinements=tuple(map(replace, attack.refinements)),
        ranking=None if attack.ranking is None else replace(attack.ranking),
    )


def _kept_precision(folder: pathlib.Path, attack: MapAttack) -> str | None:
    """Precision of the coarse maps of this attack's evaluation in the folder; None without one."""
    try:
        settings = json.loads((folder / "settings.json").read_text(encoding="utf-8"))
        searches = settings["searches"] if settings["attack"] == attack.name else []
        pairs = zip(attack.searches, searches, strict=True)
        kept = [row["precision"] for search, row in pairs if search.precision != _FULL]
    except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return None  # The output folder names what is wrong with its files.
    return kept[0] if kept and kept[0] in models.PRECISIONS else None


def _check_kept(
    network: keras.Model,
    precision: str,
    image_shape: tuple[int, ...] | None,
    output: str | pathlib.Path | None,
) -> None:
    try:
        models.check_precision(network, precision, image_shape)
    except ValueError as error:
        raise ValueError(
            f"output {output} holds an evaluation in {precision}, which fails on this processor; "
            "choose a new output folder"
        ) from error
