"""What an attack may select its iterates by: metrics of two maps, by name."""

from rar_tf.attribution import center_shift, kendall_tau, spearman, top_k_intersection

METRICS = ("top_k", "kendall", "spearman", "center_shift")
# A metric, or the mean of the two that are reported first.
CRITERIA = (*METRICS, "top_k_and_kendall")


def metric_function(name: str, k: int):
    """(metric of two maps [B, H, W] -> [B], sign that makes a changed map score higher)."""
    functions = {
        "top_k": (lambda a, b: top_k_intersection(a, b, k), -1.0),
        "kendall": (kendall_tau, -1.0),
        "spearman": (spearman, -1.0),
        "center_shift": (center_shift, 1.0),
        "top_k_and_kendall": (
            lambda a, b: (top_k_intersection(a, b, k) + kendall_tau(a, b)) / 2,
            -1.0,
        ),
    }
    return functions[name]
