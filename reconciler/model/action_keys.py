"""Name the action keys of approval policies that gate something (contract 3.6)."""

from types import MappingProxyType
from typing import Final

EXPERIMENT_TWINS: Final = MappingProxyType(
    {
        "feature_flag.enable": "experiment.launch",
        "feature_flag.disable": "experiment.pause",
        "feature_flag.update": "experiment.update",
    }
)
"""Action on flags -> the same action on flags that an experiment owns (contract 3.8)."""

FLAG_ACTIONS: Final = tuple(EXPERIMENT_TWINS)
EXPERIMENT_ACTIONS: Final = tuple(EXPERIMENT_TWINS.values())
HOLDOUT_ACTIONS: Final = ("experiment_holdout.update", "experiment_holdout.delete")
GATING_ACTIONS: Final = (*FLAG_ACTIONS, *EXPERIMENT_ACTIONS, *HOLDOUT_ACTIONS)
