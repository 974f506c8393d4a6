"""Checks of the arguments that constructors of networks share."""


def check_arguments(
    num_classes: int, input_shape: tuple[int, int, int], *, minimum: int, divisor: int = 1
) -> None:
    """Raise ValueError unless a network can have these classes and images.

    Args:
      num_classes: number of logits, at least 2.
      input_shape: [H, W, C] of an image.
      minimum: smallest height and width.
      divisor: number that divides height and width.
    """
    if num_classes < 2:
        raise ValueError(f"num_classes must be >= 2. Received: num_classes={num_classes}")
    if len(input_shape) != 3 or any(n < minimum or n % divisor for n in input_shape[:2]):
        divisible = f" and divisible by {divisor}" if divisor > 1 else ""
        raise ValueError(
            f"input_shape must be (height, width, channels) with height and width >= {minimum}"
            f"{divisible}. Received: input_shape={input_shape}"
        )
