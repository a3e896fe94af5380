"""Recipes: strict YAML with places -> models -> plain data."""

from wholeword.core.config.load import load_recipe
from wholeword.core.config.recipe import Recipe

__all__ = ["Recipe", "load_recipe"]
