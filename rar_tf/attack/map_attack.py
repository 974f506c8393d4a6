"""MapAttack: the searches that attack the maps of an image, and what is kept of their results."""

import dataclasses

from rar_tf.attack.ifia import Ifia
from rar_tf.attack.random_search import LocalSearch, RandomSearch
from rar_tf.attribution import Explainer
from rar_tf.attribution.metrics import CRITERIA
from rar_tf.checks import is_count

Search = Ifia | RandomSearch


@dataclasses.dataclass(frozen=True)
class Ranking:
    """Cheap maps that rank the points of all searches, so that few are measured.

    Attributes:
      explainer: map of the ranking.
      precision: floating-point type of its network.
      keep: (criterion, number of points) pairs: of each image the points that rank as the worst
        by each criterion are measured by the protocol's map.
    """

    explainer: Explainer
    precision: str = "float32"
    keep: tuple[tuple[str, int], ...] = (("top_k", 1), ("kendall", 1))

    def __post_init__(self) -> None:
        if not self.keep or not all(
            name in CRITERIA and is_count(count) and count >= 1 for name, count in self.keep
        ):
            raise ValueError(
                "keep must be pairs of a criterion and a number of points >= 1. "
                f"Received: keep={self.keep!r}"
            )


@dataclasses.dataclass(frozen=True)
class MapAttack:
    """Attack on maps: searches that run one after the other on the same images.

    Attributes:
      name: label of the attack in reports and file names; it decides nothing.
      searches: the searches, at least one.
      worst_of_each_metric: if true, each metric of an image is the worst over the measured points.
        If false, all metrics are those of one point, the worst by the first criterion of the
        first search.
      ranking: cheap maps that choose the points to measure; None measures the points of all
        searches.
      refinements: searches from the best point by their criterion, whose results are measured
        too; they need a ranking.
      counts_unchanged: also report the mean in which images without candidate count as
        unchanged, as the code of [RAR] does.

    Raises:
      ValueError: searches that are no tuple of searches, or refinements without a ranking.
    """

    name: str
    searches: tuple[Search, ...]
    worst_of_each_metric: bool = False
    ranking: Ranking | None = None
    refinements: tuple[LocalSearch, ...] = ()
    counts_unchanged: bool = False

    def __post_init__(self) -> None:
        if (
            not isinstance(self.searches, tuple)
            or not self.searches
            or not all(isinstance(search, Search) for search in self.searches)
        ):
            raise ValueError(
                "searches must be a tuple of Ifia or RandomSearch, at least one. "
                f"Received: {self.searches!r}"
            )
        if self.refinements and self.ranking is None:
            raise ValueError("refinements need a ranking. Received: ranking=None")

    @property
    def criterion(self) -> str | None:
        """Criterion that ranks the points; None where each metric has its own worst point."""
        return None if self.worst_of_each_metric else self.searches[0].select[0]
