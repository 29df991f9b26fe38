"""Make the weights of the sample entries from seeds: ``python submissions/training/train.py [--only NAME]...``.

Writes each net, in half precision, with its ``model.json``, into the entries that use it, and then the table
``RESULTS.md``. The committed files are this command's output.
"""

import argparse
import functools
import importlib
import json
from collections.abc import Callable

import report
import report_shapes
import torch
from learning import train
from recipes import DEFENSES, RECIPES, SHAPES, TRAINING, Recipe
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from safetensors.torch import save as to_bytes
from sets import SETS

from field_kit.model import DEVICE, Model, build, load

#: Attacks that are trained offline, each by a program of its own.
OFFLINE = {
    "universal": "train_universal.main",
    "fully-convolutional": "train_fully_convolutional.main",
    "shapes-universal": "train_universal.main_shapes",
}
#: Tables of results, and the defenses that each is about.
REPORTS = {"report": (report, DEFENSES), "shapes-report": (report_shapes, SHAPES / "defenses")}


def main() -> None:
    """Train what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    names = [recipe.name for recipe in RECIPES] + list(OFFLINE) + list(REPORTS)
    parser.add_argument("--only", action="append", choices=names, metavar="NAME", help=f"one of: {', '.join(names)}")
    chosen = parser.parse_args().only or names
    recipes = [recipe for recipe in RECIPES if recipe.name in chosen]
    offline = [name for name in OFFLINE if name in chosen]
    columns = TextColumn("{task.description:20}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn()
    with Progress(*columns) as progress:
        tasks = {recipe.name: progress.add_task(recipe.name, total=recipe.epochs, start=False) for recipe in recipes}
        tasks |= {name: progress.add_task(name, total=1, start=False) for name in offline}
        data = {name: SETS[name].training_set() for name in {recipe.data for recipe in recipes}}
        for recipe in recipes:
            progress.start_task(tasks[recipe.name])
            save(make(recipe, data[recipe.data], functools.partial(progress.advance, tasks[recipe.name])), recipe)
        for name in offline:
            progress.start_task(tasks[name])
            module, _, function = OFFLINE[name].partition(".")
            getattr(importlib.import_module(module), function)()
            progress.advance(tasks[name])
        for name in [name for name in REPORTS if name in chosen]:
            module, defenses = REPORTS[name]
            task = progress.add_task(name, total=len(list(defenses.glob("*/metadata.json"))))
            module.write_report(functools.partial(progress.advance, task))


def make(recipe: Recipe, data: tuple[torch.Tensor, torch.Tensor], tick: Callable[[], None]) -> Model:
    """Train one net from its seed."""
    by_name = {row.name: row for row in RECIPES}
    others = [load(by_name[name].folders[0] / f"{by_name[name].file}.json") for name in recipe.others]
    torch.manual_seed(recipe.seed)
    model = build(recipe.spec()).to(DEVICE)
    train(model, recipe, data, others, tick)
    return model


def save(model: Model, recipe: Recipe) -> None:
    """Write the net into every folder that uses it."""
    weights = to_bytes({
        name: (value.half() if value.is_floating_point() else value).contiguous().cpu()
        for name, value in model.net.state_dict().items()
    })
    for folder in recipe.folders:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{recipe.file}.json").write_text(json.dumps(recipe.spec()) + "\n")
        (folder / f"{recipe.file}.safetensors").write_bytes(weights)
    for spec_file in TRAINING.parent.rglob("*.json"):
        spec = json.loads(spec_file.read_text())
        if spec.get("recipe") == recipe.name:
            (spec_file.parent / spec["weights"]).write_bytes(weights)


if __name__ == "__main__":
    main()
