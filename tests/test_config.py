from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from finsa_moe.config import (
    SHIPPED,
    AdaptConfig,
    DomainConfig,
    ExpertConfig,
    JointConfig,
    MergeConfig,
    PretrainConfig,
    StageConfig,
    TrainConfig,
)
from finsa_moe.config import STAGES as ALL
from finsa_moe.errors import ConfigError

STAGES: tuple[type[StageConfig], ...] = (PretrainConfig, ExpertConfig, MergeConfig, JointConfig)


def test_the_papers_values_are_the_defaults() -> None:
    """The paper, stages 1 and 3, copied from the page by hand."""
    expert, joint = ExpertConfig(), JointConfig()
    assert (expert.rank, expert.alpha, expert.dropout, expert.max_length) == (16, 16, 0.05, 512)
    for stage in (expert, joint):
        assert (stage.learning_rate, stage.warmup_steps, stage.epochs, stage.batch_size) == (3e-4, 500, 3, 16)
        assert (stage.eval_steps, stage.patience) == (500, 12)
        assert (stage.beta, stage.smoothing, stage.gamma, stage.loss) == (0.99, 0.1, 2.0, "adaptive_balanced")
    assert (joint.routing_weight, joint.balance_weight, joint.router_steps) == (1.5, 0.05, 500)
    merge = MergeConfig()
    assert (merge.router_hidden, merge.router_dropout, merge.head_dropout) == (64, 0.1, 0.1)
    assert (merge.route_at, merge.shared_head) == (0.0, False)


def test_the_papers_own_form_differs_where_the_page_says() -> None:
    changed = {}
    for stage in ALL.values():
        ours, own = stage.load(Path("paper")).as_dict(), stage.load(Path("paper-form")).as_dict()
        changed |= {f"{stage.section()}.{key}": value for key, value in own.items() if value != ours[key]}
    assert changed == {
        "expert.quantisation": "nf4", "merge.route_at": 1.0, "merge.shared_head": True,
        "joint.router_learning_rate": 3e-4, "joint.router_warmup_steps": 500, "joint.gate": "soft",
    }  # fmt: skip
    joint = JointConfig.load(Path("paper-form"))
    assert (joint.router_learning_rate, joint.router_warmup_steps) == (joint.learning_rate, joint.router_steps)
    page = (SHIPPED.parents[2] / "docs" / "method.md").read_text(encoding="utf-8")
    (named,) = (part for part in page.split("\n\n") if "`configs/paper-form.yaml`" in part)
    for key in changed:
        assert f"`{key.partition('.')[2]}" in named, key


@pytest.mark.parametrize("stage", STAGES)
def test_there_and_back_through_yaml(stage: type[StageConfig], tmp_path: Path) -> None:
    odd = {
        "seed": 87,
        "learning_rate": 1.5e-5,
        "trackers": ("tensorboard", "wandb"),
        "prompt": "请判断：{text}",
        "shared_head": True,
    }
    names = {field.name for field in dataclasses.fields(stage)}
    config = stage(**{key: value for key, value in odd.items() if key in names})
    config.save(tmp_path / "c.yaml")
    assert stage.load(tmp_path / "c.yaml") == config
    assert list(yaml.safe_load((tmp_path / "c.yaml").read_text())) == [stage.section()]
    assert [p.name for p in tmp_path.iterdir()] == ["c.yaml"]


@pytest.mark.parametrize("name", ["paper", "laptop"])
@pytest.mark.parametrize("stage", STAGES)
def test_the_shipped_files_hold(
    name: str, stage: type[StageConfig], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "laptop").mkdir()  # a folder of that name is not what is meant
    assert stage.load(Path(name)) == stage.load(SHIPPED / f"{name}.yaml")
    if name == "paper":
        assert stage.load(Path(name)) == stage(), "the paper's file says what the defaults are"
    with pytest.raises(ConfigError, match=r"laptop-2: no such file; give --config a YAML file, or .*laptop, .*paper"):
        stage.load(Path("laptop-2"))


def test_the_layers_of_settings(tmp_path: Path) -> None:
    file = tmp_path / "c.yaml"
    file.write_text("expert: {rank: 8, alpha: 32, seed: 21}\njoint: {seed: 42}\n")
    config = ExpertConfig.load(file, ["rank=4", " alpha =64"], alpha=2, prompt=None)
    assert (config.rank, config.alpha, config.seed, config.prompt) == (4, 2, 21, "auto")
    assert JointConfig.load(file).seed == 42
    assert MergeConfig.load(file) == MergeConfig(), "a file without the section changes nothing"
    assert ExpertConfig.load(file, ["rank=4", "rank=6"]).rank == 6, "the last word counts"


@pytest.mark.parametrize(
    ("text", "value"),
    [("3e-4", 3e-4), ("3E-4", 3e-4), ("1e-3", 1e-3), ("1", 1.0), (".5", 0.5), ("0.0003", 3e-4), ("1.e-4", 1e-4)],
)
def test_rates_in_every_spelling(text: str, value: float, tmp_path: Path) -> None:
    """YAML 1.1 reads 3e-4 as a string."""
    (tmp_path / "c.yaml").write_text(f"expert:\n  learning_rate: {text}\n")
    for config in (ExpertConfig.load(None, [f"learning_rate={text}"]), ExpertConfig.load(tmp_path / "c.yaml")):
        assert config.learning_rate == value
        assert type(config.learning_rate) is float


@pytest.mark.parametrize(
    ("override", "field", "value"),
    [
        ("bf16=true", "bf16", True), ("trackers=none", "trackers", ()), ("trackers=wandb", "trackers", ("wandb",)),
        ("trackers=[tensorboard, wandb]", "trackers", ("tensorboard", "wandb")), ("trackers=[]", "trackers", ()),
        ("max_steps=-1", "max_steps", -1), ("prompt=none", "prompt", "none"), ("prompt=判断 a=b：{text}", "prompt", "判断 a=b：{text}"),
        ("prompt=Text: {text}\nAnswer:", "prompt", "Text: {text}\nAnswer:"), ("prompt=[a", "prompt", "[a"), ("prompt=5", "prompt", "5"),
        ("loss=cross_entropy", "loss", "cross_entropy"), ("epochs=2", "epochs", 2.0), ("patience=0", "patience", 0),
    ],
)  # fmt: skip
def test_set_by_key_and_value(override: str, field: str, value: object) -> None:
    assert getattr(ExpertConfig.load(None, [override]), field) == value


@pytest.mark.parametrize(
    ("override", "says"),
    [
        ("learnin_rate=1", r"unknown key 'learnin_rate'; did you mean 'learning_rate'\?"),
        ("lora_rank=4", r"unknown key 'lora_rank'"),
        ("Rank=4", r"unknown key 'Rank'; did you mean 'rank'\?"),
        ("rank", "--set rank: write key=value, for example --set max_steps=20"),
        ("=4", "unknown key ''"),
        ("rank=", "rank: expected int, found ''"),
        ("rank=4.5", "rank: expected int, found 4.5"),
        ("rank=four", "rank: expected int, found 'four'"),
        ("rank=true", "rank: expected int, found True"),
        ("rank=[4]", r"rank: expected int, found \[4\]"),
        ("rank=0", "rank: 0 must be at least 1"),
        ("max_steps=0", "max_steps: 0 must be at least 1, and finite, or -1"),
        ("max_steps=-2", "max_steps: -2 must be at least 1, and finite, or -1"),
        ("bf16=1", "bf16: expected bool, found 1"),
        ("learning_rate=fast", "learning_rate: expected float, found 'fast'"),
        ("learning_rate=-1", "learning_rate: -1.0 must be at least 0"),
        ("learning_rate=true", "learning_rate: expected float, found True"),
        ("learning_rate=nan", "learning_rate: nan must be"),
        ("learning_rate=.nan", "learning_rate: nan must be"),
        ("learning_rate=inf", "learning_rate: inf must be"),
        ("beta=1.5", "beta: 1.5 must be between 0 and 1"),
        ("route_at=-0.1", "route_at: -0.1 must be between 0 and 1"),
        ("loss=focal", "loss: 'focal' is none of adaptive_balanced, cross_entropy"),
        ("quantisation=int8", "quantisation: 'int8' is none of none, nf4"),
        ("dtype=float16", "dtype: 'float16' is none of float32, bfloat16"),
        ("epochs=2024-13-45", "--set 'epochs=2024-13-45': not readable as YAML"),
        ("trackers=5", "trackers: expected a list of names, found 5"),
        ("trackers=[1]", r"trackers: expected a list of names, found \[1\]"),
        ("rank={", "--set 'rank={': not readable as YAML"),
    ],
)
def test_what_is_refused_and_how(override: str, says: str) -> None:
    with pytest.raises(ConfigError, match=says) as caught:
        ExpertConfig.load(None, [override])
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("stage", [PretrainConfig, AdaptConfig, ExpertConfig, DomainConfig, JointConfig])
def test_steps_are_one_or_more_or_as_many_as_the_epochs_take(stage: type[StageConfig]) -> None:
    """Nought would be no step to one command and all of them to another."""
    assert stage.load(None, ["max_steps=-1"]) == stage()
    with pytest.raises(ConfigError, match=f"{stage.section()}: max_steps: 0 must be"):
        stage.load(None, ["max_steps=0"])


@pytest.mark.parametrize("key", ["beta", "smoothing", "gamma"])
def test_adapt_has_no_setting_of_a_loss_that_it_does_not_know(key: str) -> None:
    with pytest.raises(ConfigError, match=f"adapt: unknown key '{key}'"):
        AdaptConfig.load(None, [f"{key}=0.5"])
    with pytest.raises(ConfigError, match="loss: 'adaptive_balanced' is none of cross_entropy"):
        AdaptConfig(loss="adaptive_balanced")


def test_a_whole_number_may_not_be_any_size_of_text() -> None:
    with pytest.raises(ConfigError, match="seed: -1 must be between 0 and 4294967294"):
        ExpertConfig.load(None, ["seed=-1"])
    for stage in (*STAGES, DomainConfig):  # NumPy takes up to 2³² - 1, and joint training counts one up
        with pytest.raises(ConfigError, match="seed: 4294967295 must be between 0 and 4294967294"):
            stage.load(None, ["seed=4294967295"])
        assert stage.load(None, ["seed=4294967294"]).seed == 2**32 - 2
    with pytest.raises(ConfigError, match=r"dropout: 0.95 must be between 0 and 0.9"):
        ExpertConfig(dropout=0.95)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("expert: {rnk: 4}", r"c\.yaml: expert: unknown key 'rnk'; did you mean 'rank'\?"),
        (
            "exprt: {rank: 4}",
            r"c\.yaml: unknown section 'exprt'; known are pretrain, adapt, expert, merge, joint, domain; did you mean 'expert'\?",
        ),
        ("rank: 4", r"c\.yaml: unknown section 'rank'"),
        ("- 1\n- 2", r"c\.yaml: expected sections pretrain, adapt, expert, merge, joint, domain, found list"),
        ("5", r"c\.yaml: expected sections .*found int"),
        ("expert: [1, 2]", r"c\.yaml: expert: expected .*found list"),
        ("expert: 5", r"c\.yaml: expert: expected .*found int"),
        ("expert: text", r"c\.yaml: expert: expected .*found str"),
        ("expert: {5: 6}", r"c\.yaml: expert: unknown key 5"),
        ("expert: {rank: ", r"c\.yaml: not readable as YAML"),
        ("expert:\n\trank: 4", r"c\.yaml: not readable as YAML"),
        ("expert: {prompt: 5}", "prompt: expected str, found 5"),
        ("expert: {epochs: 2024-13-45}", r"c\.yaml: not readable as YAML: month must be in 1\.\.12"),
        ("expert: {rank: null}", "rank: expected int, found None"),
        ("expert: !!python/object/apply:os.getcwd []", r"c\.yaml: not readable as YAML"),
    ],
)
def test_a_file_that_cannot_be_used(content: str, says: str, tmp_path: Path) -> None:
    (tmp_path / "c.yaml").write_text(content)
    with pytest.raises(ConfigError, match=says) as caught:
        ExpertConfig.load(tmp_path / "c.yaml")
    assert "\n" not in str(caught.value)


def test_files_that_are_no_text(tmp_path: Path) -> None:
    (tmp_path / "gb.yaml").write_bytes("expert: {prompt: 判断}".encode("gb18030"))
    with pytest.raises(ConfigError, match=r"gb\.yaml: not readable as YAML"):
        ExpertConfig.load(tmp_path / "gb.yaml")
    with pytest.raises(ConfigError, match=str(tmp_path)):
        ExpertConfig.load(tmp_path)


@pytest.mark.parametrize("content", ["", "# nothing\n", "expert:\n", "expert: {}\n"])
def test_an_empty_file_or_section_is_the_defaults(content: str, tmp_path: Path) -> None:
    (tmp_path / "c.yaml").write_text(content)
    assert ExpertConfig.load(tmp_path / "c.yaml") == ExpertConfig()


def test_a_config_is_frozen() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        TrainConfig().epochs = 5.0  # type: ignore[misc]


@settings(max_examples=80, deadline=None)
@given(
    key=st.sampled_from([field.name for field in dataclasses.fields(JointConfig)]),
    value=st.text(alphabet="abc019.-+:{}[]!&*#?|<>=%@`'\"\\, \t\né利", max_size=12),
)
def test_no_override_is_a_traceback(key: str, value: str) -> None:
    """One that is taken is of the setting's kind; one that is not is told in a line that names the setting."""
    told, taken = "", None
    try:
        taken = getattr(JointConfig.load(None, [f"{key}={value}"]), key)
    except ConfigError as error:
        told = str(error)
    if told:
        assert key in told
        assert "\n" not in told
    else:
        assert type(taken) is type(getattr(JointConfig(), key))
