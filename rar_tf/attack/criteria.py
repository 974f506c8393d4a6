"""What an attack may select its iterates by: metrics of two maps, by name."""

from rar_tf.attribution import center_shift, kendall_tau, spearman, top_k_intersection

METRICS = ("top_k", "kendall", "spearman", "center_shift")
# The metrics whose mean a criterion is: each its own, and of the two that are reported first.
CRITERIA = {name: (name,) for name in METRICS} | {"top_k_and_kendall": ("top_k", "kendall")}


def metric_function(name: str, k: int):
    """(criterion of two maps [B, H, W] -> [B], sign that makes a changed map score higher)."""
    functions = {
        "top_k": lambda a, b: top_k_intersection(a, b, k),
        "kendall": kendall_tau,
        "spearman": spearman,
        "center_shift": center_shift,
    }
    parts = [functions[part] for part in CRITERIA[name]]

    def mean(a, b):
        return sum(part(a, b) for part in parts) / len(parts)

    return mean, 1.0 if name == "center_shift" else -1.0
