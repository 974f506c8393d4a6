"""Marked blocks of pages: rendered from data files, found stale, rewritten."""

import json

import pytest

from rar_tf.reporting.blocks import (
    TABLES,
    render,
    rewrite,
    rewrite_pages,
    stale_pages,
    without_blocks,
)

PAGE = "Text.\n\n<!-- results:speed -->\nold\n<!-- /results -->\n\nMore.\n"


@pytest.fixture
def results(tmp_path):
    (tmp_path / "speed.csv").write_text('name,figure,figure\n`a`,"1,000",.5\n')
    return tmp_path


def test_a_csv_file_is_shown_as_it_stands(results):
    assert render("speed", results).splitlines() == [
        "| name | figure | figure |", "| --- | --- | --- |", "| `a` | 1,000 | .5 |"
    ]  # fmt: skip


def test_only_blocks_are_rewritten(results):
    text = rewrite(PAGE, results)
    assert text.startswith("Text.\n\n<!-- results:speed -->\n| name |")
    assert text.endswith("| .5 |\n<!-- /results -->\n\nMore.\n")
    assert rewrite(text, results) == text
    assert without_blocks(PAGE) == "Text.\n\n\n\nMore.\n"


def test_stale_pages_are_found_and_rewritten_once(results):
    page, plain = results / "page.md", results / "plain.md"
    page.write_text(PAGE)
    plain.write_text("Text.\n")
    assert stale_pages([page, plain], results) == [page]
    assert page.read_text() == PAGE
    assert rewrite_pages([page, plain], results) == [page]
    assert not stale_pages([page, plain], results)


@pytest.mark.parametrize(
    "text, message",
    [
        ("<!-- results:speed -->\n", "must be followed by a line .* Received: 1 and 0"),
        ("<!-- results:speed -->\n" * 2 + "<!-- /results -->\n", "Received: 2 and 1"),
        (PAGE.replace("speed", "other"), "must name a table .* Received: other"),
    ],
)
def test_a_block_that_cannot_be_rendered_is_an_error(results, text, message):
    with pytest.raises(ValueError, match=message):
        rewrite(text, results)


def test_an_empty_csv_file_is_an_error(results):
    (results / "speed.csv").write_text("")
    with pytest.raises(ValueError, match="must have a header. Received: an empty file"):
        render("speed", results)


WORST_CASE = """model,attack,index,top_k,kendall,seconds,seed,machine
m,worst_case,0,0.5,0.5,9,0,P
m,worst_case,1,0.6,0.7,4,0,P
m,worst_case,2,nan,0.3,4,0,P
m,random,0,0.4,0.6,9,1000,P
m,random,1,0.6,0.695,1,1000,P
m,random,2,0.9,0.3,1,1000,P
m,strongest,0,0.5,0.5,9,0,P
m,strongest,1,0.5,0.5,8,0,P
"""


def test_wins_of_a_random_search_by_hand(results):
    (results / "worst_case.csv").write_text(WORST_CASE)
    line = TABLES["worst_case_wins"](results).splitlines()[2]
    # Image 0 by .1 in IN; image 2, where the headline has no IN, counts from 1: by .1.
    cells = "| `m` | 3 | 55.00 | 63.33 | 66.7% | 10.00 | 0.5000 | 0.5317 | 33.3% | 0.0050 |"
    assert line == cells


def test_margins_and_speed_by_hand(results):
    (results / "worst_case.csv").write_text(WORST_CASE)
    assert TABLES["worst_case_margins"](results).splitlines()[2:] == [
        "| worst_case | 55.00 | 0.5000 |",
        "| random | 63.33 | 0.5317 |",
        "| strongest | 50.00 | 0.5000 |",
    ]
    # The first batch, which shares its time, is left out.
    assert TABLES["worst_case_speed"](results).splitlines()[2:] == [
        "| worst_case | 2 | 0.25 | 2.00 |",
        "| random | 2 | 1.00 | 8.00 |",
        "| strongest | 1 | 0.12 | 1.00 |",
    ]


def test_the_time_to_quality_is_of_means_over_seeds(results):
    (results / "time_to_quality").mkdir()
    for objective in ("madry", "ig_norm", "ig_sum_norm"):
        for seed in (0, 1):
            accuracy = {"value": 0.5 + 0.1 * seed}
            names = ("natural_accuracy", "pgd_accuracy", "strong_pgd_accuracy")
            metrics = {"top_k": {"mean": 0.7}, "kendall": {"mean": 0.6}}
            row = {
                "objective": objective,
                "minutes": 10 + 2 * seed,
                "machine": {"processor": "P"},
                "paper_step": {"preset": {"max_steps": 60}, "seconds": 11.0},
                "report": {"metrics": metrics} | dict.fromkeys(names, accuracy),
            }
            path = results / "time_to_quality" / f"{objective}-{seed}.json"
            path.write_text(json.dumps(row))
    line = TABLES["time_to_quality"](results).splitlines()[2]
    assert line.startswith("| `madry` | 2 | P | 11.0 (2.0) | 1 (0) | 55.00 (10.00) |")


def test_accuracies_under_attack_stand_in_a_line_a_model(results):
    lines = ["model,attack,images,AA,seconds", "m,weak,9,50.0,2.4", "m,strong,9,44.4,3.6"]
    lines += ["n,weak,9,0.0,1.0", "n,strong,9,0.0,0.2"]
    (results / "accuracy_attacks.csv").write_text("\n".join(lines) + "\n")
    assert TABLES["accuracy_attacks"](results).splitlines() == [
        "| model | images | weak | strong |",
        "| --- | --- | --- | --- |",
        "| `m` | 9 | 50.0 | 44.4 |",
        "| `n` | 9 | 0.0 | 0.0 |",
    ]


def test_architectures_before_and_after_with_their_difference(tmp_path):
    names = [f"{name}_{when}" for name in ("NA", "AA", "IN", "CO") for when in ("before", "after")]
    header = ["architecture", "objective", "seed", "split", "images", "steps", "minutes", *names]
    values = ["small_vit", "aat", "0", "test", "190", "700", "9.8"]
    values += ["90.00", "88.25", "1.00", "20.00", "40.00", "60.50", "0.4500", "0.6125"]
    text = f"{','.join(header)}\n{','.join(values)}\n"
    (tmp_path / "architectures.csv").write_text(text)
    line = render("architectures", tmp_path).splitlines()[-1]
    assert line == (
        "| `small_vit` | `aat` | test, 190 | 0 | 700 | 9.8 | 90.0 -> 88.2 (-1.8) | "
        "1.0 -> 20.0 (+19.0) | 40.0 -> 60.5 (+20.5) | 0.450 -> 0.613 (+0.163) |"
    )
