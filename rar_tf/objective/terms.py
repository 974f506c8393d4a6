"""Terms: what an objective adds to the loss. Each returns (classifier, batch, x_adv) -> [B]."""

from rar_tf.attribution import integrated_gradients, label_loss
from rar_tf.objective.objective import Term
from rar_tf.objective.sizes import SizeFn


def loss_attribution(size: SizeFn, *, steps: int, rule: str, chunk: int | None = None) -> Term:
    """s(IG^{l_y}(x, x_adv)): size of the attribution of the loss change  [RAR eq. 4].

    Args:
      size: s, attribution [B, ...] -> [B].
      steps, rule, chunk: of `integrated_gradients`.
    """

    def term(classifier, batch, x_adv):
        attribution = integrated_gradients(
            label_loss(classifier),
            x_adv,
            batch.label,
            baseline=batch.image,
            steps=steps,
            rule=rule,
            chunk=chunk,
        )
        return size(attribution)

    return term
