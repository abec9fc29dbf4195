"""The ``fairseq-train`` command that is equivalent to a hydra configuration."""

import shlex
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

from fairseq.dataclass.configs import FairseqConfig
from fairseq.dataclass.initialize import hydra_init
from hydra import compose, initialize_config_dir
from hydra.core.config_store import ConfigStore
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf

from fairseq_plugins.errors import InputError

# Selected by --task, --arch and so on; the other sections are the same for every training.
CHOICES = {
    "task": "--task",
    "model": "--arch",
    "criterion": "--criterion",
    "optimizer": "--optimizer",
    "lr_scheduler": "--lr-scheduler",
}


def composed(config: str, overrides: Sequence[str], folder: Path) -> DictConfig:
    """Return a configuration with hydra's overrides.

    Args:
        config: name of a YAML file in ``folder``, without its suffix.
        overrides: in hydra's syntax.
        folder: absolute path.

    Raises:
        InputError: if there is no such file, or an override is invalid.
    """
    if not (folder / f"{config}.yaml").is_file():
        known = ", ".join(sorted(path.stem for path in folder.glob("*.yaml")))
        raise InputError(f"there is no configuration {config!r}; there are {known}")
    hydra_init()
    try:
        with initialize_config_dir(str(folder), version_base="1.1"):
            return compose(config, list(overrides))
    except HydraException as error:
        raise InputError(" ".join(str(error).split())) from error


def command(cfg: DictConfig) -> list[str]:
    """Return the arguments of ``fairseq-train``; missing values are in capitals."""
    given = _plain(cfg)
    task = given.get("task", {})
    data = [_placeholder("data", task["data"])] if "data" in task else []
    return ["fairseq-train", *data, *_arguments(given)]


def _arguments(sections: Mapping[str, Any]) -> Iterator[str]:
    for section, options in sections.items():
        chosen = options.get("_name")
        if chosen:
            yield from (CHOICES[section], chosen)
        schema = _schema(section, chosen)
        for name, value in options.items():
            if name == "_name" or (section, name) == ("task", "data") or value is None:
                continue
            option = "--" + name.replace("_", "-")
            if isinstance(value, bool):
                if value != schema.get(name):
                    yield option
                continue
            yield from (option, _placeholder(name, value))


def _schema(section: str, chosen: str | None) -> Mapping[str, Any]:
    """Return the defaults."""
    if chosen is None:
        return _plain(OmegaConf.structured(FairseqConfig)[section])
    return _plain(ConfigStore.instance().load(f"{section}/{chosen}.yaml").node)


def _plain(cfg: DictConfig) -> dict[str, Any]:
    return cast(dict[str, Any], OmegaConf.to_container(cfg, resolve=False))


def _placeholder(name: str, value: Any) -> str:
    if value == "???":
        return name.upper()
    if isinstance(value, list):
        # Options of several numbers are parsed by Python, except those that take commas.
        return ",".join(map(str, value)) if name in ("lr", "update_freq") else str(value)
    return str(value)


def shown(arguments: Sequence[str]) -> str:
    """Return the command as a user would type it, with one option per line."""
    lines: list[list[str]] = [[]]
    for argument in arguments:
        if argument.startswith("--"):
            lines.append([])
        lines[-1].append(shlex.quote(argument))
    return " \\\n    ".join(" ".join(line) for line in lines)
