"""Looking after what is kept: forget entries, prune bytes, settle new blobs, check everything.

Each of them makes a plan in bounded steps and applies it, or with `dry_run` only counts what it
would do. All may run at any time, several at once and in several processes.
"""

from runcache.maintenance.checking import CheckReport, Problem
from runcache.maintenance.forgetting import ForgetReport
from runcache.maintenance.maintenance import Maintenance
from runcache.maintenance.pruning import PruneReport

__all__ = ("CheckReport", "ForgetReport", "Maintenance", "Problem", "PruneReport")
