"""What stands in a run's folder between a kill and the resume, and what may be made of it.

Checkpoints, settings and statistics that the Trainer and the stages left go in; the one to go on from comes out, or the
reason why not. It knows neither models nor losses.
"""

from __future__ import annotations

import errno
import hashlib
import json
import shutil
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from transformers import TrainerState

from finsa_moe.config import StageConfig
from finsa_moe.errors import ConfigError, DataError
from finsa_moe.files import FULL, locked, read_json, sha256, write
from finsa_moe.model.history import SETTINGS

STATE, INPUTS, LOCK = "trainer_state.json", "inputs.json", "lock"
_REMEDY = "name another --out, or remove the run first"
_MAY_CHANGE = {"trackers", "log_steps", "eval_batch_size"}  # no weight depends on these
_DISK = (*FULL, errno.EROFS, errno.EIO)


@contextmanager
def at_work(folder: Path, *, first: bool = True) -> Iterator[None]:
    """Hold a run's folder, which is made if need be; what a disk does not take ends the block in one line.

    Args:
        folder: The run's.
        first: Whether this process holds it; of several that train together only one does.

    Raises:
        ConfigError: If another run holds it.
        DataError: If there is no room for what is written.
    """
    lock = folder / LOCK
    try:
        with ExitStack() as held:
            if first:
                folder.mkdir(parents=True, exist_ok=True)
                taken = f"{folder}: another process trains here; wait for its end or name another --out"
                held.enter_context(locked(lock, ConfigError(taken)))
                held.callback(_remove, lock)
            yield
    except Exception as error:
        if not _no_room(error):
            raise
        told = "a full disk, most likely" if isinstance(error, RuntimeError) else getattr(error, "strerror", str(error))
        raise DataError(
            f"{folder}: {told}; see to that disk and go on, with --resume where the command has it"
        ) from error


def _remove(lock: Path) -> None:
    with suppress(OSError):  # Windows removes no open file
        lock.unlink()


def _no_room(error: Exception) -> bool:
    """Whether a disk is full or fails, as Python, safetensors (Rust's words) or torch (C++'s) tell it."""
    if isinstance(error, OSError):
        return error.errno in _DISK
    said = str(error)
    words = ("PytorchStreamWriter", "inline_container", *(f"(os error {number})" for number in _DISK))
    return any(word in said for word in words)


def check_own(out: Path, *sources: Path, begun: bool) -> None:
    """Refuse a folder whose backbone or model would be written over.

    Args:
        out: Where a backbone is to be written.
        sources: What is read.
        begun: Whether `out` holds a run that may have written what is there.

    Raises:
        ConfigError: If it is a source, or holds a model that no run in it has written.
    """
    for source in sources:
        if out.exists() and source.exists() and out.samefile(source):
            raise ConfigError(f"{out}: is read here, and would be written over; name another --out")
    there = [*out.glob("config.json"), *out.glob("*.safetensors")]
    if there and not begun:
        raise ConfigError(f"{out}: holds a model already ({there[0].name}); name another --out, or remove it first")


def keep_settings(folder: Path, settings: StageConfig, *, resume: bool) -> None:
    """Write a run's settings into its folder, or see that a run which goes on has those it began with.

    Raises:
        ConfigError: If another setting would change the result; two halves of two runs are neither.
    """
    path = folder / SETTINGS
    if resume and path.exists():
        same_settings(path, type(settings).load(path).as_dict(), settings)
    folder.mkdir(parents=True, exist_ok=True)
    settings.save(path)


def keep_inputs(folder: Path, inputs: Mapping[str, str], *, resume: bool) -> None:
    """Write what a run learns from into its folder, or see that a run which goes on has what it began with.

    Args:
        folder: The run's; it is there.
        inputs: A mark by the name of each input: rows, backbone, what it starts from.
        resume: Whether the run goes on; one of an earlier version may have kept no marks.

    Raises:
        ConfigError: If an input is another one; two halves of two runs are neither.
        ModelError: If the marks kept there are damaged.
    """
    path = folder / INPUTS
    if resume:
        same_inputs(path, read_json(path, _REMEDY, absent={}), inputs)
    write(path, json.dumps(dict(inputs), ensure_ascii=False, indent=2) + "\n")


def check_finished(folder: Path, settings: StageConfig, inputs: Mapping[str, str]) -> None:
    """See that a finished run is the one that is asked for; what its folder did not keep is taken for the same.

    Raises:
        ConfigError: If its settings or an input are others.
        ModelError: If the marks kept there are damaged.
    """
    path = folder / SETTINGS
    before = settings
    with suppress(ConfigError):  # of an earlier version, with what is no setting any more
        before = type(settings).load(path) if path.exists() else settings
    same_settings(path, before.as_dict(), settings)
    path = folder / INPUTS
    same_inputs(path, read_json(path, _REMEDY, absent={}), inputs)


def same_settings(path: Path, before: Mapping[str, object], settings: StageConfig) -> None:
    """Refuse settings that would change the result of a run; one older than a key had its default.

    Raises:
        ConfigError: Naming the first such setting and `path`, where those of before stand.
    """
    before = type(settings)().as_dict() | dict(before)
    for key, value in settings.as_dict().items():
        if before[key] != value and key not in _MAY_CHANGE:
            raise ConfigError(
                f"{path}: {key} was {before[key]!r}, now {value!r}; resume with the same settings or name another --out"
            )


def same_inputs(path: Path, before: Mapping[str, object], inputs: Mapping[str, object]) -> None:
    """Refuse inputs whose marks are not those of before; what has none there is not looked at.

    Raises:
        ConfigError: Naming the first such input and `path`, where the marks stand.
    """
    for name, mark in inputs.items():
        if before.get(name, mark) != mark:
            raise ConfigError(
                f"{path}: not the {name} that the run began with; resume with the same, or name another --out"
            )


def files_mark(*places: Path) -> str:
    """16 hexadecimal digits of SHA-256 over files, of a folder all safetensors that lie in it; one may be missing."""
    files = [file for place in places for file in (sorted(place.rglob("*.safetensors")) if place.is_dir() else [place])]
    return hashlib.sha256("".join(sha256(file) for file in files if file.is_file()).encode()).hexdigest()[:16]


def newest_checkpoint(folder: Path) -> Path | None:
    """Newest whole checkpoint; those that a kill cut short are removed. ``trainer_state.json`` is written last."""
    whole = []
    numbered = [path for path in folder.glob("checkpoint-*") if path.name.rsplit("-", 1)[1].isdigit()]
    for checkpoint in sorted(numbered, key=lambda path: int(path.name.rsplit("-", 1)[1])):
        try:
            json.loads((checkpoint / STATE).read_text())
            whole.append(checkpoint)
        except (OSError, json.JSONDecodeError):
            shutil.rmtree(checkpoint)
    return whole[-1] if whole else None


def ended(checkpoint: Path | None) -> TrainerState | None:
    """The Trainer's state when training was over at this checkpoint, by its plan or early; None when it goes on.

    A Trainer that is given such a checkpoint makes one more step, and may even find it the best.
    """
    if checkpoint is None:
        return None
    state = TrainerState.load_from_json(str(checkpoint / STATE))
    control = state.stateful_callbacks.get("TrainerControl", {})
    over = isinstance(control, dict) and control.get("args", {}).get("should_training_stop", False)
    return state if over or state.global_step >= state.max_steps else None


def forget_after(statistics: Path, step: int) -> None:
    """Drop statistics of steps that a resumed run will make again, and a line that the kill cut short."""
    if not statistics.exists():
        return
    kept = []
    for line in statistics.read_text(encoding="utf-8").splitlines():
        with suppress(json.JSONDecodeError):
            if json.loads(line)["step"] <= step:
                kept.append(f"{line}\n")
    statistics.write_text("".join(kept), encoding="utf-8")


def finish(folder: Path) -> None:
    """Drop the checkpoints of a finished run; they hold the optimiser's state, which nobody needs any more."""
    shutil.rmtree(folder / "checkpoints", ignore_errors=True)
