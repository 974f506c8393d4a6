"""publish: tables, figures and a page of finished evaluations."""

import pathlib

from rar_tf.evaluation.examples import AttackedExample, ExampleMetrics
from rar_tf.naming import as_file_name
from rar_tf.reporting.figures import figure_1, figure_2, load_pictures
from rar_tf.reporting.page import page
from rar_tf.reporting.setting import Setting, short_names
from rar_tf.reporting.tables import Result, find_results, markdown, published, settings


def publish(pattern: str, output: str | pathlib.Path) -> pathlib.Path:
    """Write table.md, figure_1 and figure_2 of each setting, and report.html.

    Pictures and box plots show the attack `worst_case` where it was run, else `quick`, else
    `original`. Figure 1 shows the first image that all models have a picture of.

    Args:
      pattern: glob of report.json files or their folders.
      output: folder of the page, made if it does not exist.

    Returns:
      The path of report.html.

    Raises:
      ValueError: nothing matches, or a file is damaged.
    """
    results = find_results(pattern)
    folder = pathlib.Path(output)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "table.md").write_text(markdown(results), encoding="utf-8")
    figures, gallery, class_names = {}, [], set()
    names = short_names(settings(results))
    for setting in settings(results):
        shown = _shown([result for result in results if result.setting == setting])
        k = shown[0].report.protocol["k"]
        title, suffix = setting.title, _suffix(setting, names[setting])
        rows = {result.approach: result.rows() for result in shown}
        examples = [_examples(result) for result in shown]
        common = set.intersection(*(set(part) for part in examples))
        if common:
            first = [part[min(common)] for part in examples]
            figure = figure_1(first, k)
            figure.savefig(folder / f"figure_1_{suffix}.png", dpi=160)
            figures[f"Image {min(common)} under attack: {title}"] = figure
        figure = figure_2({name: part for name, part in rows.items() if part}, k)
        figure.savefig(folder / f"figure_2_{suffix}.png", dpi=160)
        figures[f"Metrics over images: {title}"] = figure
        class_names.add(tuple(shown[0].report.dataset.get("class_names") or ()))
        gallery += [
            (f"{name}, {names[setting]}" if len(names) > 1 else name, picture, row)
            for part in examples
            for name, picture, row in part.values()
        ]
    path = folder / "report.html"
    labels = (class_names.pop() if len(class_names) == 1 else ()) or None
    path.write_text(page(results, figures, gallery, labels), encoding="utf-8")
    return path


def _shown(results: list[Result]) -> list[Result]:
    """The result of each approach: that of the attack `worst_case` if there is one."""
    # Results of custom attacks are not comparable; they are shown last.
    rank = {"worst_case": 2, "quick": 1, "original": 0}
    best: dict[str, Result] = {}
    for result in sorted(results, key=lambda result: rank.get(result.report.attack, -1)):
        best[result.approach] = result
    # As the papers list them, others after.
    names = [*published(results[0].setting), *best]
    return [best[name] for name in dict.fromkeys(names) if name in best]


def _suffix(setting: Setting, name: str) -> str:
    """End of the names of a setting's figures: protocol, data set and what else tells it apart."""
    words = [word for word in name.split(", ") if word != f"protocol {setting.protocol}"]
    return as_file_name("_".join([setting.protocol, *words]).replace(" ", "_"))


def _examples(result: Result) -> dict[int, tuple[str, AttackedExample, ExampleMetrics]]:
    """Approach, picture and row by the number of the image."""
    rows = {row.index: row for row in result.rows()}
    pictures = load_pictures(result.folder)
    return {
        index: (result.approach, picture, rows[index])
        for index, picture in pictures.items()
        if index in rows
    }
