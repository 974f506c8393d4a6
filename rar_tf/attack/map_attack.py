"""MapAttack: the searches that attack the maps of an image, and what is kept of their results."""

import dataclasses

from rar_tf.attack.ifia import Ifia
from rar_tf.checks import is_count


@dataclasses.dataclass(frozen=True)
class MapAttack:
    """Attack on maps: searches that run one after the other on the same images.

    Attributes:
      name: label of the attack in reports and file names; it decides nothing.
      searches: the searches, at least one.
      worst_of_each_metric: if true, each metric of an image is the worst over the points of all
        searches. If false, all metrics are those of one point, the worst by the first criterion
        of the first search.
      reference: number of leading searches whose first criterion's point is always measured by
        the protocol's map. With `worst_of_each_metric` other points are measured only where the
        first search's own maps rank them as the worst in a metric.
      counts_unchanged: also report the mean in which images without candidate count as
        unchanged, as the code of [RAR] does.

    Raises:
      ValueError: searches that are no tuple of `Ifia`, or `reference` outside 0 .. len(searches).
    """

    name: str
    searches: tuple[Ifia, ...]
    worst_of_each_metric: bool = False
    reference: int = 0
    counts_unchanged: bool = False

    def __post_init__(self) -> None:
        if (
            not isinstance(self.searches, tuple)
            or not self.searches
            or not all(isinstance(search, Ifia) for search in self.searches)
        ):
            raise ValueError(
                f"searches must be a tuple of Ifia, at least one. Received: {self.searches!r}"
            )
        if not is_count(self.reference) or not 0 <= self.reference <= len(self.searches):
            raise ValueError(
                f"reference must be in 0 .. {len(self.searches)}, the number of searches. "
                f"Received: reference={self.reference!r}"
            )

    @property
    def criterion(self) -> str | None:
        """Criterion that ranks the points; None where each metric has its own worst point."""
        return None if self.worst_of_each_metric else self.searches[0].select[0]

    @property
    def reference_points(self) -> tuple[int, ...]:
        """Places of the reference searches' first criteria among the points of all searches."""
        places, place = [], 0
        for search in self.searches[: self.reference]:
            places.append(place)
            place += search.num_points
        return tuple(places)
