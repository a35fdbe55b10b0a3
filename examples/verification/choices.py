"""What the options of the command line choose: method and recipe."""

import argparse
from dataclasses import replace

from common import command_line
from verification.methods import MARGINS, POWER_S, STRENGTH, Method
from verification.recipes import SHORT, Recipe, Stage, published_recipe


def method_of(options: argparse.Namespace) -> Method:
    """Returns the method of the options for a single run."""
    head = options.head or Method.head
    margin = options.margin
    method = Method(
        head=head, margin=MARGINS[head] if margin is None else margin
    )
    if options.energy == "none":
        return method
    return replace(
        method,
        energy=options.energy or "batch",
        power_s=options.power_s or POWER_S,
        strength=options.strength or STRENGTH,
    )


def mirror_of(options: argparse.Namespace) -> bool:
    """Returns whether images are mirrored; a mirrored glyph is another one."""
    if options.mirror is None:
        return bool(options.dataset == "folders")
    return bool(options.mirror)


def recipe_of(options: argparse.Namespace, method: Method) -> Recipe:
    """Returns the recipe with the options that were given in place."""
    if options.recipe == "published":
        recipe = published_recipe(method.head, method.margin)
    else:
        recipe = SHORT[options.dataset]
    names = (
        "network",
        "embedding_size",
        "batch_size",
        "weight_decay",
        "scale",
        "lambda_base",
        "lambda_gamma",
        "lambda_power",
        "lambda_min",
        "feature_norm",
        "gradient_detachment",
    )
    changes = command_line.given(options, names)
    recipe = replace(recipe, mirror=mirror_of(options), **changes)
    rate = options.learning_rate
    training = _changed(recipe.training, options.epochs, options.steps, rate)
    pretraining = recipe.pretraining
    if options.pretrained or options.pretrain_epochs == 0:
        pretraining = None
    elif pretraining is not None:
        pretraining = _changed(
            pretraining,
            options.pretrain_epochs,
            None,
            options.pretrain_learning_rate,
        )
    return replace(recipe, training=training, pretraining=pretraining)


def _changed(
    stage: Stage, epochs: int | None, steps: int | None, rate: float | None
) -> Stage:
    if epochs or steps:
        stage = replace(stage, epochs=epochs, steps=steps)
    return stage if rate is None else replace(stage, learning_rate=rate)
