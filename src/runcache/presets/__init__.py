"""What each package manager caches, and under which key: a preset for each.

A preset is a row of a table that has the folders, the keys and the files of the matching `setup-*`
action. `resolve` makes recipes of it for one project on one machine.
"""

from runcache.presets.detect import detect
from runcache.presets.machine import Machine, read_machine
from runcache.presets.recipe import Recipe
from runcache.presets.resolve import AUTO, resolve
from runcache.presets.table import PRESETS

__all__ = ["AUTO", "PRESETS", "Machine", "Recipe", "detect", "read_machine", "resolve"]
